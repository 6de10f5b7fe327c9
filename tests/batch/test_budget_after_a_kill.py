"""Tests of the day's budget after a kill: rows in flight count according to the cost of earlier rows."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

import ainb
from tests.fault_server import Fault, FaultServer

MODEL = "openai:gpt-4o"
BATCH = textwrap.dedent(
    """
    import sys
    import ainb

    home, url = sys.argv[1:]
    budget = ainb.Budget(usd=100, per="day")
    with ainb.Session("openai:gpt-4o", home=home, api_base=url, budget=budget, cache=None) as session:
        session.map((f"row {number}" for number in range(100000)), "{value}")
    """
)


@pytest.mark.parametrize("hits", [150, 400])
def test_the_budget_counts_about_what_was_served(tmp_path, monkeypatch, hits):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    with FaultServer(plan=lambda _seen: Fault(text="a short answer", delay_seconds=0.05)) as server:
        with subprocess.Popen([sys.executable, "-c", BATCH, str(tmp_path), server.base_url]) as process:
            assert server.wait_for_hits(hits, 60)
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        budget = ainb.Budget(usd=100, per="day")
        with ainb.Session(MODEL, home=tmp_path, api_base=server.base_url, budget=budget) as session:
            counted = session.budget_status()[0].spent_usd
            one = session.ask("row 100000").cost_usd

    # The last rows that were served are not yet acknowledged; they and the rows in flight may count twice.
    assert one * (hits - 64) * 9 / 10 <= counted <= one * server.hits * 3


def test_a_batch_that_is_killed_before_anything_is_known_counts_its_estimates(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    with FaultServer(plan=lambda _seen: Fault(action="hang")) as server:
        with subprocess.Popen([sys.executable, "-c", BATCH, str(tmp_path), server.base_url]) as process:
            assert server.wait_for_hits(4, 60)
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        budget = ainb.Budget(usd=100, per="day")
        with ainb.Session(MODEL, home=tmp_path, api_base=server.base_url, budget=budget) as session:
            counted = session.budget_status()[0].spent_usd

    assert counted >= 4 * 4_096 * 10 / 1_000_000  # USD: output tokens of an estimate at their price
