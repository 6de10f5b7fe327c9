"""Tests of Dask collections on two worker processes: no lost or repeated row, shared limits, no key sent."""

from __future__ import annotations

import collections
import json
import os
import shutil
import signal
import threading
import time
from decimal import Decimal

import pandas as pd
import pytest

from ainb.config import Config
from ainb.dask import compute
from ainb.events import Notice
from ainb.pipeline.budget.options import Budget
from ainb.pipeline.rate_limit.options import RateLimit
from tests.dask.conftest import SECRET, WORKERS
from tests.fault_server import Fault, FaultServer
from tests.lazy import Lazy

dd = Lazy("dask.dataframe")

PRICES = {"openai:m": {"input_usd_per_million": 10_000, "output_usd_per_million": 10_000}}
CENT = Decimal("0.01")  # per token, at the price above
MOST_IN_FLIGHT = 64


def table(rows, partitions):
    return dd.from_pandas(pd.DataFrame({"row": [f"row-{n}" for n in range(rows)]}), npartitions=partitions)


def prompts(server):
    return collections.Counter(seen.body["messages"][-1]["content"] for seen in server.requests)


def test_rows_come_back_in_order_and_usage_progress_and_notices_reach_the_notebook(
    cluster, make_session, events
):
    seen = []
    with FaultServer() as server:
        session = make_session(api_base=server.base_url)
        lazy = session.map(table(60, 4), "{row}", watcher=lambda progress: seen.append(progress.done))
        result = compute(session.core, lazy)

    assert list(result["reply"]) == [f"row-{n}" for n in range(60)]
    assert seen[-1] == 60
    usage = session.usage()
    assert len(usage) == 60
    assert len(set(usage["batch_id"])) == 1
    assert len(set(usage["session_id"])) == WORKERS
    said = [event.text for event in events if isinstance(event, Notice) and event.kind == "dask"]
    assert len(said) == 1
    assert said[0].startswith(
        f"each of the {WORKERS} worker processes has limits, circuits and budgets of its own"
    )


def test_no_key_and_no_password_travels_with_the_work(cluster, make_session):
    from distributed.protocol import pickle

    session = make_session("openai:m", state="redis://ann:made-up-password@127.0.0.1:1/0")
    lazy = session.map(table(4, 2), "{row}", names={"mine": SECRET, "other": "x"})

    packed = pickle.dumps(lazy.optimize().__dask_graph__()) + pickle.dumps(session.for_partitions("{row}"))

    assert b"row" in packed
    assert SECRET.encode() not in packed
    assert b"made-up-password" not in packed


def test_workers_read_their_own_key(cluster, make_session, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with FaultServer(api_key=SECRET) as server:
        session = make_session("openai:m", api_base=server.base_url)
        result = session.map(table(4, 2), "{row}").compute()

    assert (result["status"] == "ok").all()


def test_a_home_that_workers_do_not_see_costs_no_row_of_the_log(cluster, make_session):
    with FaultServer() as server:
        session = make_session(api_base=server.base_url)
        lazy = session.map(table(20, 2), "{row}")
        shutil.rmtree(session.config.home_folder() / "partitions")  # as if the workers were on other machines
        compute(session.core, lazy)

    usage = session.usage()
    assert len(usage) == 20
    assert usage["call_id"].nunique() == 20


def kill_half_way(cluster, make_session, rows, partitions):
    """Kill a worker while computing; returns the frame, the server's prompts, and calls in flight then."""
    in_flight = []

    def kill(server):
        assert server.wait_for_hits(rows // 2, 120)
        pid = next(iter(cluster.run(os.getpid).values()))
        in_flight.append(server.in_flight)
        os.kill(pid, signal.SIGKILL)

    with FaultServer(delay_seconds=0.02) as server:
        session = make_session(api_base=server.base_url)
        lazy = session.map(table(rows, partitions), "{row}")
        killer = threading.Thread(target=kill, args=(server,))
        killer.start()
        result = lazy.compute()
        killer.join(120)
        return result, prompts(server), in_flight[0]


def check_killed(result, paid, rows):
    assert list(result["reply"]) == [f"row-{n}" for n in range(rows)]
    assert len(paid) == rows
    assert sum(paid.values()) - rows <= MOST_IN_FLIGHT
    assert max(paid.values()) <= 2


def test_a_worker_that_is_killed_half_way_costs_only_what_it_had_in_flight(cluster, make_session):
    result, paid, _ = kill_half_way(cluster, make_session, 800, 4)

    check_killed(result, paid, 800)


@pytest.mark.slow
def test_of_ten_thousand_rows_each_comes_back_once_though_a_worker_is_killed(cluster, make_session):
    result, paid, _ = kill_half_way(cluster, make_session, 10_000, 20)

    check_killed(result, paid, 10_000)


def test_work_stops_when_its_result_is_dropped(cluster, make_session):
    with FaultServer(delay_seconds=0.2) as server:
        session = make_session(api_base=server.base_url, rate_limit=RateLimit(concurrency=2))
        future = cluster.compute(session.map(table(400, 2), "{row}"))
        assert server.wait_for_hits(4, 60)
        future.cancel()
        del future
        give_up = time.monotonic() + 30
        before = -1
        while server.hits != before and time.monotonic() < give_up:
            before = server.hits
            time.sleep(1.5)

    assert server.hits < 200


def test_a_row_that_fails_on_a_worker_is_an_error_in_the_frame_and_raises_when_asked(cluster, make_session):
    from ainb.batch import BatchFailedError

    def plan(seen):
        return Fault(status=400) if seen.body["messages"][-1]["content"] == "row-3" else Fault()

    with FaultServer(plan=plan) as server:
        session = make_session(api_base=server.base_url)
        result = session.map(table(8, 2), "{row}").compute()
        assert list(result["status"]) == ["ok"] * 3 + ["error"] + ["ok"] * 4
        with pytest.raises(BatchFailedError, match="1 of 4 rows failed"):
            session.map(table(8, 2), "{row}", on_error="raise").compute()


@pytest.mark.redis
def test_workers_share_one_rate_limit(cluster, make_session, redis, events):
    with FaultServer(requests_per_minute=600, burst=45) as server:
        limit = RateLimit(requests_per_minute=240, concurrency=32)  # a bucket of 40, then 4 per second
        session = make_session(api_base=server.base_url, state=redis.url, rate_limit=limit)
        result = session.map(table(56, 4), "{row}").compute()

    assert (result["status"] == "ok").all()
    times = sorted(seen.at for seen in server.requests)
    for number, at in enumerate(times):  # grants <= bucket + rate x time, in every window
        assert sum(1 for other in times if at <= other <= at + 2.0) <= 40 + 4 * 2.0 + 2, number
    assert times[-1] - times[0] >= 3.0
    assert not [event for event in events if isinstance(event, Notice) and event.kind == "dask"]


@pytest.mark.redis
@pytest.mark.parametrize("scope", ["run", "session", "batch"])
def test_workers_share_the_money_of_a_run(cluster, make_session, redis, scope):
    usd = 150 * 2 * CENT
    config = Config(prices=PRICES, budget=None if scope == "run" else Budget(usd=usd, per=scope))
    own = {"budget_usd": usd} if scope == "run" else {}
    with FaultServer(plan=lambda _seen: Fault(text="word", delay_seconds=0.01)) as server:
        session = make_session(
            "openai:m", config=config, api_base=server.base_url, state=redis.url, retry=None
        )
        lazy = session.map(table(220, 4), "{row}", max_tokens=1, **own)
        result = compute(session.core, lazy)

    spent = Decimal(str(result["cost_usd"].sum())).quantize(CENT)
    refused = result[result["status"] == "rejected"]
    assert (
        Decimal("0.9") * usd <= spent <= usd
    )  # a call may cost up to six times its actual cost, so the last cents remain unspent
    assert server.hits * 2 * CENT == spent
    assert set(refused["error_type"]) == {"BudgetExceededError"}
    if scope == "session":
        assert session.budget_status()[0].spent_usd == spent


def test_run_folders_hold_what_was_done(cluster, make_session):
    with FaultServer() as server:
        session = make_session(api_base=server.base_url)
        session.map(table(6, 3), "{row}").compute()

    (folder,) = (session.config.home_folder() / "partitions").iterdir()
    assert json.loads((folder / "run.json").read_text()) == {"partitions": 3}
    assert {path.name for path in folder.glob("*.done")} == {"0.done", "1.done", "2.done"}
