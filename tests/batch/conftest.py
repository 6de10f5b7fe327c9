"""Fixtures of the batch tests: sessions in a temporary home, with scripted models or a test server."""

from __future__ import annotations

import pytest

import ainb
from ainb.config import load_config
from ainb.runtime import Runtime
from ainb.testing.faults import SCRIPTS


@pytest.fixture
def events():
    return []


@pytest.fixture
def session(tmp_path, events):
    made = ainb.Session(
        "scripted:echo", home=tmp_path / "home", runtime=ainb.assembly.Runtime(sink=events.append)
    )
    yield made
    made.close()
    SCRIPTS.clear()


@pytest.fixture
def make_session(tmp_path, events, monkeypatch):
    """Makes sessions that send to a server and share one home."""
    monkeypatch.setenv("OPENAI_API_KEY", "test-key-of-nobody")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key-of-nobody")
    made = []

    def make(server, model="openai:gpt-6-luna", **options):
        config = load_config({"home": tmp_path / "home"})
        session = ainb.Session(
            model, api_base=server.base_url, config=config, runtime=Runtime(sink=events.append), **options
        )
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()
