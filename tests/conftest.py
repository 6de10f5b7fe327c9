"""Fixtures for every test: no network beyond loopback, no API keys, no home folder of the user."""

from __future__ import annotations

import os
import signal
import socket

import pytest
from hypothesis import settings

from tests.memory_folder import open_memory_folder
from tests.python_path import STARTUP

LOOPBACK = ("127.", "::1", "localhost")
# Files that take minutes, some of them only with their slow tests. They start first, so that no worker still
# runs one of them while the others are idle.
LONG_FILES = (
    "test_single_flight.py",
    "test_any_value.py",
    "test_tampered_log.py",
    "test_simulations.py",
    "test_kills.py",
    "test_faults_at_any_moment.py",
    "test_csv_properties.py",
    "test_redis_scripts.py",
    "test_redis_held_up.py",
    "test_redis_cut_off.py",
    "test_nothing_leaks.py",
    "test_panels_browser.py",
    "test_notebooks.py",
    "test_hostile_browser.py",
    "test_panels_kernel.py",
    "test_shared_notebook.py",
    "test_resume.py",
    "test_site.py",
)


# The same examples in each run, so that a change is to blame for a failure; `make test-all` tries others.
settings.register_profile("fixed", derandomize=True)
if os.environ.get("AINB_TEST_EXAMPLES") != "random":
    settings.load_profile("fixed")
# Time limit of one test marked slow; the others have that of pyproject.toml.
SLOW_SECONDS = 3600


def pytest_collection_modifyitems(items):
    """Run the long files first, and the others in the order of collection."""
    places = {name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))


def pytest_configure():
    """Set the environment of pytest-xdist workers and of Python processes that tests start."""
    # A run in the background of a script ignores SIGINT, including the interrupts that tests send.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(STARTUP) not in folders:
        os.environ["PYTHONPATH"] = os.pathsep.join([*filter(None, folders), str(STARTUP)])
    open_memory_folder()


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch):
    """Fail a test that connects to another machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        host = address[0] if isinstance(address, tuple) else ""
        if host and not str(host).startswith(LOOPBACK):
            raise AssertionError(f"a test tried to reach {host}; tests stay on loopback")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """Remove the user's keys, options and stored answers from the environment of the tests."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL")) or (
            name.startswith("AINB_") and name != "AINB_MODEL_DIR"
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AINB_HOME", str(tmp_path / "home"))
