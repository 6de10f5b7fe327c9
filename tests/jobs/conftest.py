"""Fixtures of the job tests: sessions that send to the batch server."""

from __future__ import annotations

import pandas as pd
import pytest

import ainb
import ainb.batch.jobs.runner
from ainb.config import load_config
from ainb.runtime import Runtime

PRICES = {
    "openai:test-model": {"input_usd_per_million": 2, "output_usd_per_million": 8},
    "anthropic:test-model": {"input_usd_per_million": 2, "output_usd_per_million": 8},
}
POLL_SECONDS = 0.02


@pytest.fixture
def events():
    return []


@pytest.fixture
def make_session(tmp_path, events, monkeypatch):
    """Makes sessions on the server that share one home; ``anthropic=True`` selects the Anthropic protocol."""
    monkeypatch.setenv("OPENAI_API_KEY", "test-key-of-nobody")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key-of-nobody")
    made = []

    def make(server, *, anthropic=False, sink=events.append, poll_seconds=POLL_SECONDS, **options):
        config = load_config(
            {"prices": PRICES, "batch_poll_seconds": poll_seconds, "home": tmp_path / "home"}
        )
        session = ainb.Session(
            "anthropic:test-model" if anthropic else "openai:test-model",
            api_base=server.anthropic_url if anthropic else server.base_url,
            config=config,
            runtime=Runtime(sink=sink),
            **options,
        )
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


@pytest.fixture
def texts():
    """A frame of 20 rows with a non-default index."""
    return pd.DataFrame({"text": [f"row {number}" for number in range(20)]}, index=range(100, 120))
