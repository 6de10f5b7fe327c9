"""Tests of outages of a real Redis server: calls continue, and one notice is given."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import pandas as pd
import pytest

from ainb.engine import ENGINE
from ainb.events import Notice
from ainb.messages import Reply
from ainb.pipeline.budget.accounts import Account, Claim
from ainb.pipeline.budget.ledger import Hold
from ainb.pipeline.rate_limit.options import RateLimit
from ainb.runtime import Runtime
from ainb.session import Session
from tests.stores.redis.redis_lab import state, until

pytestmark = pytest.mark.redis

DAY = Account("day", "2026-05-04")
TEN = Claim(DAY, Decimal(10))
PATIENCE_SECONDS = 30


@pytest.fixture
def said():
    return []


@pytest.fixture
def open_session(server, tmp_path, said):
    opened = []

    def make(**options):
        runtime = Runtime(sink=lambda event: said.append(event) if isinstance(event, Notice) else None)
        session = Session(
            "scripted:echo", state=server.url, home=tmp_path / f"{len(opened)}", runtime=runtime, **options
        )
        opened.append(session)
        until(lambda: state(session)["connected"])
        return session

    yield make
    for session in opened:
        session.close()


def state_notices(said):
    return [event for event in said if event.kind == "state"]


def test_a_stopped_server_costs_no_call_and_one_notice(server, open_session, said):
    session = open_session()
    assert session.ask("one").text == "one"

    server.stop()

    assert [session.ask(f"more {number}").text for number in range(5)] == [
        f"more {number}" for number in range(5)
    ]
    assert len(state_notices(said)) == 1
    assert not state(session)["connected"]


def test_a_hanging_server_delays_the_calls_of_that_moment_and_no_later_one(server, open_session, said):
    session = open_session()
    session.ask("one")
    client = session.core.stages.shared.client
    server.freeze()

    jobs = [session.submit(f"held {number}") for number in range(20)]
    texts = [job.result(PATIENCE_SECONDS).text for job in jobs]

    assert texts == [f"held {number}" for number in range(20)]
    assert client.is_down
    assert session.ask("after").text == "after"
    assert len(state_notices(said)) == 1


def test_a_hanging_server_whose_buffers_are_full_lets_every_caller_go(server, open_session):
    client = open_session().core.stages.shared.client
    server.freeze()

    async def much():
        work = [client.run_command(("ECHO", "x" * 1_000_000)) for _ in range(30)]
        return await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), PATIENCE_SECONDS)

    found = ENGINE.run(much())

    assert {str(item) for item in found} == {"the server cannot be reached"}
    server.thaw()
    until(lambda: client.status()["connected"])
    assert ENGINE.run(client.run_command(("PING",))) == "PONG"


def test_a_blocked_process_does_not_report_an_outage_of_the_server(open_session, said):
    client = open_session().core.stages.shared.client

    async def held_up():
        answer = asyncio.ensure_future(client.run_command(("PING",)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        time.sleep(0.4)  # noqa: ASYNC251 - blocks the loop on purpose
        return await answer

    assert [ENGINE.run(held_up()) for _ in range(3)] == ["PONG"] * 3
    assert not state_notices(said)


def test_when_the_server_is_back_its_state_counts_again(server, open_session):
    session = open_session()
    server.freeze()
    session.ask("one")
    server.thaw()

    until(lambda: state(session)["connected"])

    assert session.ask("two").text == "two"
    until(lambda: server.ask("KEYS", "{ainb:ainb}:cache:*"))


def test_limits_are_divided_by_the_peers_last_seen(server, open_session):
    one, two = (
        open_session(rate_limit=RateLimit(requests_per_minute=600, concurrency=8), cache=None),
        open_session(),
    )
    until(lambda: state(one)["peers"] == 1)
    one.ask("up")

    server.stop()
    one.ask("down")

    row = one.core.stages.rate_limit.status()[0]
    assert (row["requests_limit"], row["concurrency"]) == (300, 4)
    assert two is not None


async def spend(ledger, estimate, cost):
    hold = await ledger.reserve(lambda: [TEN], Decimal(estimate))
    if not isinstance(hold, Hold):
        return False
    ledger.mark_sent(hold)
    ledger.settle(hold, Decimal(cost))
    return True


def test_costs_during_an_outage_are_reported_after_it(server, open_session):
    session = open_session()
    ledger = session.core.stages.ledger
    assert ENGINE.run(spend(ledger, 1, 1))
    until(lambda: server.ask("HGET", "{ainb:ainb}:spent", DAY.name) == str(10**9))
    server.freeze()

    assert ENGINE.run(spend(ledger, 2, 2))
    assert ENGINE.run(spend(ledger, 3, 3))
    server.thaw()

    until(lambda: server.ask("HGET", "{ainb:ainb}:spent", DAY.name) == str(6 * 10**9))
    assert not ENGINE.run(spend(ledger, "4.01", 1))
    assert ENGINE.run(spend(ledger, 4, 4))


def test_costs_are_reported_to_a_server_that_lost_its_data(server, open_session):
    session = open_session()
    ledger = session.core.stages.ledger
    assert ENGINE.run(spend(ledger, 6, 6))
    until(lambda: server.ask("HGET", "{ainb:ainb}:spent", DAY.name) == str(6 * 10**9))

    async def over_the_restart():
        hold = await ledger.reserve(lambda: [TEN], Decimal(2))
        ledger.mark_sent(hold)
        await asyncio.to_thread(server.restart)
        await asyncio.to_thread(
            until, lambda: server.ask("HGET", "{ainb:ainb}:spent", DAY.name) == str(6 * 10**9)
        )
        ledger.settle(hold, Decimal("1.5"))

    ENGINE.run(over_the_restart())

    until(lambda: server.ask("HGET", "{ainb:ainb}:spent", DAY.name) == str(int(7.5 * 10**9)))


@pytest.mark.parametrize("fault", ["stop", "freeze", "restart"])
def test_a_batch_goes_on_through_an_outage_and_pays_for_each_row_once(server, open_session, said, fault):
    session = open_session()
    calls = []

    async def answer(item):
        calls.append(item["text"])
        if len(calls) == 100:
            await asyncio.to_thread(getattr(server, fault))
        if len(calls) == 250 and fault == "freeze":
            await asyncio.to_thread(server.thaw)
        await asyncio.sleep(0.005)
        return Reply(text=item["text"].upper())

    frame = pd.DataFrame({"text": [f"row {number}" for number in range(400)]})

    found = session.map(frame, answer)

    assert list(found["reply"]) == [text.upper() for text in frame["text"]]
    assert sorted(calls) == sorted(frame["text"])
    assert len(state_notices(said)) <= 1
