"""Sessions in a home of their own: on scripted models, and on a server of the test."""

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
    """A session on a server, in one home."""
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
