"""Tests of budgets of batch jobs on a real Redis: no overshoot, no lost or repeated booking."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest

import ainb
from tests.jobs.batch_server import BatchServer, Behaviour
from tests.jobs.test_attaching import STUCK, let_end
from tests.jobs.test_batch_api import BOTH, PROMPT, TIGHT_USD, long_answer, notices, spent_at, spent_in
from tests.stores.redis.redis_lab import Server, until

pytestmark = pytest.mark.redis
MOST_USD = 20 * Decimal("0.000415")  # for 20 rows with 100 output tokens each


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("redis"))
    yield made
    made.close()


@pytest.fixture
def shared(redis, make_session):
    """Makes sessions that share their state."""
    redis.ask("FLUSHALL")

    def make(server, **options):
        session = make_session(server, state=redis.url, **options)
        until(lambda: next(row for row in session.state() if row["part"] == "state")["connected"])
        return session

    return make


@BOTH
@pytest.mark.parametrize("per", ["day", "session", "batch", "user"])
def test_rows_that_do_not_fit_the_shared_budget_are_rejected(shared, texts, anthropic, per):
    with BatchServer(answer=long_answer) as server:
        session = shared(server, anthropic=anthropic, budget=ainb.Budget(usd=TIGHT_USD, per=per))
        frame = session.map(texts, PROMPT, batch_api=True, max_tokens=100)

        assert list(frame["status"]) == ["ok"] * 8 + ["rejected"] * 12
        assert spent_in(session) == spent_at(server) <= Decimal(TIGHT_USD)
        until(lambda: sum(item.reserved_usd for item in session.budget_status()) == 0)
        assert sum(item.spent_usd for item in session.budget_status()) == spent_at(server)


@BOTH
def test_two_machines_together_stay_within_the_budget_of_the_day(shared, texts, anthropic, tmp_path):
    budget = ainb.Budget(usd=TIGHT_USD, per="day")
    with BatchServer([Behaviour(seconds=0.3)], answer=long_answer) as server:
        sessions = [
            shared(server, anthropic=anthropic, budget=budget, home=tmp_path / name) for name in ("a", "b")
        ]
        tables = [texts, texts.assign(text=[f"other {number}" for number in range(20)])]
        frames = [None, None]

        def run(place):
            frames[place] = sessions[place].map(tables[place], PROMPT, batch_api=True, max_tokens=100)

        threads = [threading.Thread(target=run, args=(place,)) for place in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        statuses = [status for frame in frames for status in frame["status"]]
        assert statuses.count("ok") == 8
        assert statuses.count("rejected") == 32
        assert spent_at(server) <= Decimal(TIGHT_USD)
        for session in sessions:
            until(lambda session=session: session.budget_status()[0].spent_usd == spent_at(server))
            assert session.budget_status()[0].reserved_usd == 0


@BOTH
def test_what_a_job_holds_stays_set_aside_over_restarts_and_is_settled_once(shared, texts, anthropic):
    budget = ainb.Budget(usd="0.01", per="day")
    with BatchServer([STUCK]) as server:
        first = shared(server, anthropic=anthropic, budget=budget)
        with pytest.raises(ainb.BatchPendingError):
            first.map(texts, PROMPT, batch_api=True, max_wait_seconds=1.0, max_tokens=100)
        first.close()
        second = shared(server, anthropic=anthropic, budget=budget)

        def set_aside():
            status = second.budget_status()[0]
            return status.reserved_usd + status.spent_usd

        until(lambda: set_aside() == MOST_USD)
        with pytest.raises((ainb.DeadlineExceededError, ainb.BudgetExceededError)):
            second.ask("x", max_tokens=1_200, timeout_seconds=0.5)
        let_end(server)
        second.map(texts, PROMPT, batch_api=True, max_tokens=100)

        until(lambda: set_aside() == spent_at(server))
        assert spent_in(second) == spent_at(server)
        third = shared(server, anthropic=anthropic, budget=budget)
        until(lambda: third.budget_status()[0].spent_usd == spent_at(server))


@BOTH
def test_a_job_gets_its_money_at_once_and_not_at_a_poll(shared, texts, anthropic, events):
    # Money that is drawn and not used is returned after one second, long before a poll.
    with BatchServer() as server:
        session = shared(server, anthropic=anthropic, budget=ainb.Budget(usd=1, per="day"), poll_seconds=600)
        job = session.submit_map(texts, PROMPT, batch_api=True, max_tokens=100)
        until(lambda: session.batch_jobs()["state"].tolist() == ["submitted"])
        job.cancel()

        assert len(server.jobs) == 1
        assert not [text for text in notices(events) if "set aside" in text]
