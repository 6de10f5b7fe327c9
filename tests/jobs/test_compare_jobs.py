"""Tests of `session.compare(..., batch_api=True)`: one job per variant, all submitted before waiting."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.jobs.batch_server import BatchServer


@pytest.mark.parametrize("anthropic", [False, True], ids=["openai", "anthropic"])
def test_a_comparison_submits_one_job_per_variant_and_only_once(make_session, anthropic):
    rows = pd.DataFrame({"text": [f"row {number}" for number in range(12)]})
    rows["truth"] = rows["text"].where(rows.index % 3 > 0, "another")
    prompts = {"plain": "{text}", "marked": "{text}!"}

    with BatchServer() as server:
        session = make_session(server, anthropic=anthropic)
        result = session.compare(rows, prompts, truth="truth", batch_api=True, budget_usd=1)
        again = session.compare(rows, prompts, truth="truth", batch_api=True, budget_usd=1)

        assert len(server.jobs) == 2
        assert server.live_calls == 0
    assert list(result.frame["accuracy"]) == [8 / 12, 0.0]
    assert list(result.frame["failed"]) == [0, 0]
    assert (result.frame["cost_usd_per_1000"] > 0).all()
    assert list(again.frame["accuracy"]) == list(result.frame["accuracy"])
