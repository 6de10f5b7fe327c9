"""Tests of a kernel that is killed at any step of a run with several jobs: no lost or repeated row."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
import threading
from decimal import Decimal

import pytest

from tests.jobs.batch_server import BatchServer, Behaviour
from tests.jobs.conftest import POLL_SECONDS, PRICES

ROWS = 400
JOB_ROWS = 100
RUN_SECONDS = 120
RUN = textwrap.dedent(
    """
    import json, pathlib, sys
    import ainb
    from ainb.config import load_config
    from ainb.providers.anthropic import batches as anthropic
    from ainb.providers.batch_service import BatchLimits
    from ainb.providers.openai import batches as openai

    model, url, home, rows, job_rows, poll, prices = json.loads(sys.argv[1])
    limits = BatchLimits(requests=job_rows, size_bytes=1_000_000)
    openai.OPENAI_LIMITS = anthropic.AnthropicBatches.limits = limits
    config = load_config({"prices": prices, "batch_poll_seconds": poll, "home": pathlib.Path(home)})
    session = ainb.Session(model, api_base=url, config=config, budget=ainb.Budget(usd=5, per="day"))
    frame = session.map([f"row {n}" for n in range(rows)], "{value}", batch_api=True, max_tokens=50)
    log = session.usage()
    status = session.budget_status()[0]
    print(json.dumps({
        "replies": frame["reply"].tolist(),
        "statuses": sorted(set(frame["status"])),
        "cost": str(round(log["cost_usd"].sum(), 9)),
        "calls": len(log),
        "ids": log["call_id"].nunique(),
        "spent": str(status.spent_usd),
        "reserved": str(status.reserved_usd),
        "open": int((session.batch_jobs()["state"] != "merged").sum()),
    }))
    session.close()
    """
)


def start(server, home, *, anthropic):
    model, url = (
        ("anthropic:test-model", server.anthropic_url)
        if anthropic
        else ("openai:test-model", server.base_url)
    )
    words = json.dumps([model, url, str(home), ROWS, JOB_ROWS, POLL_SECONDS, PRICES])
    keys = {
        "OPENAI_API_KEY": "nobody",
        "ANTHROPIC_API_KEY": "nobody",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.Popen(
        [sys.executable, "-c", RUN, words], stdout=subprocess.PIPE, text=True, env={**os.environ, **keys}
    )


def run_and_kill(server, home, rng, *, anthropic):
    """Run and kill the process soon after its nth request; returns whether it was killed before its end."""
    left = [rng.randint(1, 18)]
    pause = rng.choice([0.0, 0.0, rng.uniform(0, 0.05), rng.uniform(0, 0.3)])
    process = start(server, home, anthropic=anthropic)

    def count(_path):
        left[0] -= 1
        if left[0] == 0:
            threading.Timer(pause, process.kill).start()
            if pause == 0.0:
                process.kill()

    server.on_request = count
    with process:
        process.communicate(timeout=RUN_SECONDS)
    server.on_request = None
    return process.returncode != 0


def check(tmp_path, kills, seed, *, anthropic):
    rng = random.Random(seed)
    behaviour = Behaviour(polls=2, order="shuffled")
    with BatchServer([behaviour]) as server:
        for _ in range(kills):
            if not run_and_kill(server, tmp_path, rng, anthropic=anthropic):
                break
        with start(server, tmp_path, anthropic=anthropic) as process:
            said = json.loads(process.communicate(timeout=RUN_SECONDS)[0])

        assert said["replies"] == [f"row {number}" for number in range(ROWS)]
        assert said["statuses"] == ["ok"]
        assert server.rows_submitted_twice() == []
        assert set(server.submissions().values()) == {1}
        tokens_in, tokens_out = server.tokens(batch=True)
        bill = Decimal(2 * tokens_in + 8 * tokens_out) / 2 / 1_000_000
        assert server.live_calls == 0
        assert said["calls"] >= said["ids"] == said["calls"]
        assert Decimal(said["cost"]) == bill
        assert Decimal(said["spent"]) == bill
        assert Decimal(said["reserved"]) == 0
        assert said["open"] == 0


@pytest.mark.parametrize("anthropic", [False, True], ids=["openai", "anthropic"])
def test_a_killed_kernel_loses_and_repeats_nothing(tmp_path, anthropic):
    check(tmp_path, kills=4, seed=7 + anthropic, anthropic=anthropic)


@pytest.mark.slow
@pytest.mark.parametrize("anthropic", [False, True], ids=["openai", "anthropic"])
def test_a_hundred_kills_lose_and_repeat_nothing(tmp_path, anthropic):
    for round_number in range(10):
        check(tmp_path / str(round_number), kills=10, seed=100 + round_number, anthropic=anthropic)
