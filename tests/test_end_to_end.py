"""Tests of the whole pipeline over HTTP on loopback, against a server that fails on request."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket

import pandas as pd
import pytest

import ainb
from ainb.errors import CircuitOpenError, ProviderError
from tests.fault_server import Fault, FaultServer, random_plan

ORDER = [
    "RecordStage", "TextDeliveryStage", "ValidationStage", "DeadlineStage", "CacheStage", "AnswerStage",
    "BudgetStage", "RetryStage", "BudgetStage.before_attempt", "ResendStage", "GateStage", "RateLimitStage",
    "CacheStage.take_turn", "PermitStage",
    "AttemptTimeoutStage", "BudgetStage.before_sending", "OwnKeyStage",
]  # fmt: skip


def _name(stage):
    return getattr(stage, "__qualname__", type(stage).__name__)


@contextlib.contextmanager
def opened(tmp_path, server, **options):
    config = ainb.Config(**options)
    with ainb.Session("ollama:m", home=tmp_path / "home", api_base=server.base_url, config=config) as session:
        yield session


def test_the_stages_stand_in_this_order(tmp_path):
    with ainb.Session("scripted:echo", home=tmp_path) as session:
        names = [_name(stage) for stage in session.core.stages.in_order()]

    assert [name for name in names if "allback" not in name and "eplay" not in name] == ORDER


def test_a_server_that_fails_every_third_call_loses_no_reply(tmp_path):
    steps = itertools.cycle([Fault(), Fault(), Fault(status=503)])
    with (
        FaultServer(plan=lambda _seen: next(steps)) as server,
        opened(tmp_path, server, retry=ainb.Retry(base_seconds=0.01)) as session,
    ):
        replies = [session.ask(f"question {number}").text for number in range(12)]

    assert replies == [f"question {number}" for number in range(12)]
    assert server.hits > 12


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_of_300_calls_at_30_percent_503_none_is_lost_with_the_circuit_on(tmp_path, seed):
    options = {
        "retry": ainb.Retry(attempts=8, base_seconds=0.01),
        "circuit": ainb.Circuit(open_seconds=0.3, max_open_seconds=1),
    }
    with (
        FaultServer(plan=random_plan(seed, {503: 0.3})) as server,
        opened(tmp_path, server, **options) as session,
    ):
        frame = session.map([f"row {number}" for number in range(300)], "{value}")

    assert list(frame["reply"]) == [f"row {number}" for number in range(300)]


def test_a_dead_server_is_left_alone_after_few_hits_and_reported_in_one_line(tmp_path):
    options = {
        "retry": ainb.Retry(base_seconds=0.01),
        "rate_limit": ainb.RateLimit(concurrency=8),
        "cache": None,
    }

    async def ask_all(session):
        async def ask(number):
            with contextlib.suppress(ProviderError, CircuitOpenError):
                await session.submit(f"{number}")

        await asyncio.gather(*(ask(number) for number in range(100)))

    with FaultServer(plan=lambda _seen: 503) as server, opened(tmp_path, server, **options) as session:
        asyncio.run(ask_all(session))
        before = server.hits
        with pytest.raises(CircuitOpenError) as caught:
            session.ask("one more")

    assert before <= 18
    assert server.hits == before
    assert "\n" not in str(caught.value)
    assert caught.value.retry_after > 0


def test_100_identical_calls_at_once_make_one_request(tmp_path):
    async def main(session):
        return await asyncio.gather(*(session.submit("the same") for _ in range(100)))

    with (
        FaultServer(plan=lambda _seen: Fault(delay_seconds=0.1)) as server,
        opened(tmp_path, server) as session,
    ):
        replies = asyncio.run(main(session))

    assert server.hits == 1
    assert sum(reply.coalesced for reply in replies) == 99


def test_a_second_run_of_a_notebook_costs_nothing(tmp_path):
    prices = {"ollama:m": {"input_usd_per_million": 1000, "output_usd_per_million": 1000}}
    prompts = [f"cell {number}" for number in range(5)]
    with FaultServer() as server:
        for _ in range(2):
            with opened(tmp_path, server, prices=prices) as session:
                costs = [session.ask(prompt).cost_usd for prompt in prompts]

        assert server.hits == 5
        assert costs == [0] * 5
        with opened(tmp_path, server, prices=prices) as session:
            total = session.costs()
            by_model = session.costs(by=["request_model", "day"])

    assert total["cost_usd"].iloc[0] == total["saved_usd"].iloc[0] > 0
    assert len(by_model) == 1


def test_retry_after_pauses_the_whole_queue_and_nothing_is_lost(tmp_path):
    with FaultServer(requests_per_minute=6000, burst=5) as server, opened(tmp_path, server) as session:
        frame = session.map([f"row {number}" for number in range(60)], "{value}", concurrency=16)

    assert (frame["status"] == "ok").all()


def test_a_budget_stops_a_batch_before_it_is_passed(tmp_path):
    prices = {"ollama:m": {"input_usd_per_million": 0, "output_usd_per_million": 0, "request_usd": "0.01"}}
    with FaultServer() as server, opened(tmp_path, server, prices=prices) as session:
        frame = session.map([f"row {number}" for number in range(50)], "{value}", budget_usd="0.10")

    assert (frame["status"] == "ok").sum() == 10
    assert set(frame["error_type"].dropna()) == {"BudgetExceededError"}
    assert frame["cost_usd"].sum() == pytest.approx(0.10)
    assert server.hits == 10


def test_a_rejection_never_reaches_the_breaker(tmp_path):
    with FaultServer(plan=lambda _seen: 400) as server, opened(tmp_path, server) as session:
        frame = session.map([f"row {number}" for number in range(40)], "{value}")
        state = session.status()["circuit"].iloc[0]

    assert (frame["status"] == "error").all()
    assert state == "closed"


def test_nothing_listening_is_one_line_and_the_next_call_works(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = ainb.Config(retry=None)
    with ainb.Session(
        "ollama:m", home=tmp_path, api_base=f"http://127.0.0.1:{port}/v1", config=config
    ) as session:
        with pytest.raises(ProviderError, match="nothing answers at") as caught:
            session.ask("x")
        assert "\n" not in str(caught.value)
        assert session.ask("x", model="scripted:echo").text == "x"


def test_a_table_of_outcomes_is_a_table_of_rows(tmp_path):
    plan = {"a": Fault(), "b": Fault(status=400, message="no such thing"), "c": Fault(action="garbage")}
    with (
        FaultServer(plan=lambda seen: plan[seen.body["messages"][-1]["content"]]) as server,
        opened(tmp_path, server, retry=None) as session,
    ):
        session.map(list("abc"), "{value}")
        kinds = session.errors(by="error_type")
        usage = session.usage()

    assert dict(kinds["calls"]) == {"PermanentProviderError": 1, "TransientProviderError": 1}
    assert sorted(usage["status"]) == ["error", "error", "ok"]
    assert isinstance(usage, pd.DataFrame)
