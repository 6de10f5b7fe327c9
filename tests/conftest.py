"""Fixtures for every test: no network beyond loopback, no keys, no home folder of the person who runs
them."""

from __future__ import annotations

import os
import signal
import socket

import pytest

LOOPBACK = ("127.", "::1", "localhost")


def pytest_configure():
    """A run that a script has put into the background ignores interrupts, also those that tests send."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch):
    """A test that reaches beyond this machine is a bug in the test."""
    connect = socket.socket.connect

    def guarded(self, address):
        host = address[0] if isinstance(address, tuple) else ""
        if host and not str(host).startswith(LOOPBACK):
            raise AssertionError(f"a test tried to reach {host}; tests stay on loopback")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No key, no option and no stored answer of the person's own reaches a test."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL")) or (
            name.startswith("AINB_") and name != "AINB_MODEL_DIR"
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AINB_HOME", str(tmp_path / "home"))
