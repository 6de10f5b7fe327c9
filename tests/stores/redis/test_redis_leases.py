"""Tests of leases: identical calls of several processes are paid once, and only running calls are awaited."""

from __future__ import annotations

import signal
from decimal import Decimal

import pytest

import ainb
from ainb.errors import AinbError
from ainb.pipeline.rate_limit.options import RateLimit
from tests.fault_server import Fault, FaultServer
from tests.stores.redis.redis_lab import HOLDER, PATIENCE_SECONDS, spawn, state, until

pytestmark = pytest.mark.redis

SAME = "the same question"


@pytest.fixture
def open_session(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    opened = []

    def make(provider, **options):
        settings = {"circuit": None, "retry": None, "rate_limit": None, "state": server.url} | options
        session = ainb.Session(
            "openai:gpt-4o", api_base=provider.base_url, home=tmp_path / f"{len(opened)}", **settings
        )
        opened.append(session)
        until(lambda: state(session)["connected"])
        return session

    yield make
    for session in opened:
        session.close()


def answering(seen):
    """A plan that answers; prompts for a pause are answered after the end of the test."""
    text = seen.body["messages"][-1]["content"]
    if "hang" in text:
        return Fault(action="hang")
    return Fault(text=text.upper(), delay_seconds=0.2)


def held_by_rate_limit(open_session, provider):
    one = open_session(provider, rate_limit=RateLimit(requests_per_minute=1))
    one.ask("use it up")
    return one, one.submit(SAME)


def held_by_budget(open_session, provider):
    one = open_session(provider, budget=ainb.Budget(usd=Decimal("0.05"), per="session"))
    hanging = one.submit("hang")
    until(lambda: provider.hits == 1)
    assert not hanging.done()
    return one, one.submit(SAME)


def held_by_concurrency(open_session, provider):
    one = open_session(provider, rate_limit=RateLimit(concurrency=1))
    one.submit("hang")
    until(lambda: provider.hits == 1)
    return one, one.submit(SAME)


def held_by_another_call_that_was_told_to_wait(open_session, provider):
    one = open_session(provider, retry=ainb.Retry(), rate_limit=RateLimit())
    provider.plan = lambda _seen: Fault(status=429, headers={"retry-after": "60"})
    waiting = one.submit(SAME)
    until(lambda: provider.hits == 1)
    provider.plan = answering
    return one, waiting


HELD = [held_by_rate_limit, held_by_budget, held_by_concurrency, held_by_another_call_that_was_told_to_wait]


@pytest.mark.parametrize("hold", HELD)
def test_a_call_that_can_be_sent_does_not_wait_for_a_delayed_one(open_session, hold):
    with FaultServer(plan=answering) as provider:
        two = open_session(provider)
        _one, waiting = hold(open_session, provider)

        assert two.submit(SAME).result(PATIENCE_SECONDS / 3).text == SAME.upper()

        assert not waiting.done()
        waiting.cancel()


def test_a_refused_call_leaves_no_lease(open_session):
    with FaultServer(plan=answering) as provider:
        one = open_session(provider, rate_limit=RateLimit(requests_per_minute=1))
        two = open_session(provider)
        one.ask("use it up")

        with pytest.raises(AinbError):
            one.ask(SAME, timeout_seconds=0.3)

        assert two.submit(SAME).result(PATIENCE_SECONDS / 3).text == SAME.upper()


@pytest.mark.parametrize("number", [2, 3])
def test_a_call_gets_the_answer_of_an_identical_one_in_flight(open_session, number):
    with FaultServer(plan=answering) as provider:
        sessions = [open_session(provider) for _ in range(number)]
        jobs = [session.submit(SAME) for session in sessions for _ in range(3)]
        replies = [job.result(PATIENCE_SECONDS) for job in jobs]

        assert {reply.text for reply in replies} == {SAME.upper()}
        assert provider.hits == 1
        assert sum(not reply.cached for reply in replies) == 1
        assert sum(reply.cost_usd for reply in replies) == next(
            reply.cost_usd for reply in replies if not reply.cached
        )


def test_a_waiter_returns_its_money_and_slot(open_session):
    with FaultServer(plan=answering) as provider:
        limit = RateLimit(concurrency=1)
        budget = ainb.Budget(usd=1, per="session")
        sessions = [open_session(provider, rate_limit=limit, budget=budget) for _ in range(2)]
        for number in range(3):
            jobs = [session.submit(f"{SAME} {number}") for session in sessions]
            assert len({job.result(PATIENCE_SECONDS).text for job in jobs}) == 1
        assert provider.hits == 3
        # Slots are returned to the server after the reply is delivered.
        until(
            lambda: all(
                row["in_flight"] == 0
                for session in sessions
                for row in session.core.stages.rate_limit.status()
            )
        )
        until(lambda: [session.budget_status()[0].reserved_usd for session in sessions] == [0, 0])


def test_a_failure_of_the_one_that_sends_lets_the_next_one_send(open_session):
    with FaultServer(plan=[Fault(status=500, delay_seconds=0.3), Fault(text="good")]) as provider:
        one, two = open_session(provider), open_session(provider)
        first = one.submit(SAME)
        until(lambda: provider.hits == 1)
        second = two.submit(SAME)

        with pytest.raises(AinbError):
            first.result(PATIENCE_SECONDS)
        assert second.result(PATIENCE_SECONDS).text == "good"


def test_a_process_that_is_held_up_while_it_sends_is_not_waited_for(server, tmp_path):
    first = spawn(server, tmp_path / "a", HOLDER, 60, "first")
    assert first.stdout.readline() == "paying\n"
    first.send_signal(signal.SIGSTOP)

    second = spawn(server, tmp_path / "b", HOLDER, 0.1, "second")

    assert second.stdout.readline() == "paying\n"
    assert "second" in second.stdout.readline()
    first.send_signal(signal.SIGCONT)
