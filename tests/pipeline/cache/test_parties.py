"""Tests of identical calls of several users: they share one answer, and each keeps its own limits and row."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import CancelledError
from decimal import Decimal

import pytest

import ainb
from ainb.errors import BudgetExceededError, CallRejectedError, DeadlineExceededError, PermanentProviderError
from ainb.testing import FakeClock, run_virtual
from tests.fault_server import Fault, FaultServer
from tests.pipeline.cache.cache_lab import Lab, make_call, make_reply

MODEL = "openai:gpt-4o"
PROMPT = "the same question"


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up-key-of-the-team")
    monkeypatch.setenv("ANNS_KEY", "made-up-key-of-ann")


@pytest.fixture
def open_session(tmp_path):
    sessions = []

    def opened(server, **options):
        config = ainb.Config(retry=None, **options)
        session = ainb.Session(MODEL, home=tmp_path / "home", api_base=server.base_url, config=config)
        sessions.append(session)
        return session

    yield opened
    for session in sessions:
        session.close()


def outcomes(jobs):
    found = []
    for job in jobs:
        try:
            found.append(job.result())
        except ainb.AinbError as error:
            found.append(error)
        except CancelledError as error:
            found.append(error)
    return found


def rows_by_user(session):
    return {row.user: row for row in session.usage().itertuples()}


def test_users_with_money_are_answered_when_the_first_has_none(open_session):
    with FaultServer(plan=[Fault(text="yes", delay_seconds=0.2)]) as server:
        session = open_session(server, budget=ainb.Budget(usd=Decimal("0.10"), per="user"))
        while "ann" not in {item.name for item in session.budget_status() if item.left_usd < Decimal("0.05")}:
            session.core.stages.budget.book_replayed(make_call(user="ann", model="m"), Decimal("0.03"))
        jobs = [session.submit(PROMPT, user=user) for user in ("ann", "bob", "cat", "ann", "bob")]
        first, bob, cat, second, also_bob = outcomes(jobs)
        rows, spent = rows_by_user(session), {item.name: item.spent_usd for item in session.budget_status()}

    assert isinstance(first, BudgetExceededError)
    assert isinstance(second, BudgetExceededError)
    assert [reply.text for reply in (bob, cat, also_bob)] == ["yes"] * 3
    assert server.hits == 1
    payer, other = ("cat", "bob") if bob.coalesced else ("bob", "cat")
    paid = {"bob": bob, "cat": cat}[payer]
    free = [reply for reply in (bob, cat, also_bob) if reply is not paid]
    assert not paid.coalesced
    assert paid.cost_usd > 0
    assert [(reply.coalesced, reply.cost_usd, reply.saved_usd) for reply in free] == [
        (True, 0, paid.cost_usd)
    ] * 2
    assert spent[payer] == paid.cost_usd
    assert spent.get(other, 0) == 0
    assert rows["ann"].status == "rejected"
    assert (rows[other].attempts, rows[other].cost_usd) == (0, 0)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_calls_own_limit_refuses_that_call_alone(open_session, place):
    with FaultServer(plan=[Fault(text="yes", delay_seconds=0.2)]) as server:
        session = open_session(server)
        limits = [Decimal(1), Decimal(1), Decimal(1)]
        limits[place] = Decimal("0.0000001")
        found = outcomes([session.submit(PROMPT, budget_usd=limit) for limit in limits])

    assert isinstance(found[place], BudgetExceededError)
    assert [reply.text for reply in found if isinstance(reply, ainb.Reply)] == ["yes"] * 2
    assert server.hits == 1


@pytest.mark.parametrize("impatient", [0, 1, 2])
def test_a_deadline_ends_its_own_call_alone(open_session, impatient):
    with FaultServer(plan=[Fault(text="yes", delay_seconds=0.6)]) as server:
        session = open_session(server)
        seconds = [30.0, 30.0, 30.0]
        seconds[impatient] = 0.2
        found = outcomes([session.submit(PROMPT, timeout_seconds=limit) for limit in seconds])

    assert isinstance(found[impatient], DeadlineExceededError)
    assert [reply.text for reply in found if isinstance(reply, ainb.Reply)] == ["yes"] * 2
    assert server.hits <= 2  # the call with the short deadline may have been the one that was sent


def test_no_call_waits_for_the_rate_limit_of_another_user(open_session):
    def plan(seen):
        return Fault(text="yes", delay_seconds=30 if b"another" in seen.raw else 0.1)

    with FaultServer(plan=plan) as server:
        session = open_session(server, user_rate_limit=ainb.RateLimit(concurrency=1))
        busy = session.submit("another question", user="ann")
        assert server.wait_for_hits(1)
        found = outcomes([session.submit(PROMPT, user=user) for user in ("ann", "bob", "cat")])
        busy.cancel()
        rows = {row.user: row for row in session.usage(status="ok").itertuples()}

    assert [reply.text for reply in found] == ["yes"] * 3
    assert found[0].coalesced
    assert found[1].coalesced != found[2].coalesced
    assert server.hits == 2
    assert rows["ann"].status == "ok"


def test_a_refused_key_fails_its_own_call_only(open_session):
    def plan(seen):
        wrong = seen.headers["authorization"].endswith("ann")
        return Fault(status=401, delay_seconds=0.1) if wrong else Fault(text="yes", delay_seconds=0.1)

    with FaultServer(plan=plan) as server:
        session = open_session(server)
        names = ["ANNS_KEY", None, None]
        found = outcomes([session.submit(PROMPT, api_key_name=name) for name in names])

    assert isinstance(found[0], PermanentProviderError)
    assert [reply.text for reply in found[1:]] == ["yes"] * 2
    assert server.hits == 2


def test_a_reply_that_one_users_limit_cut_is_no_answer_for_the_others(open_session):
    def plan(seen):
        cut = "max_tokens" in seen.raw.decode() or "max_completion_tokens" in seen.raw.decode()
        return Fault(text="short" if cut else "the whole", finish_reason="length" if cut else "stop")

    with FaultServer(plan=plan) as server:
        session = open_session(server)
        session.ask("loads the prices", budget_usd=1)
        found = outcomes([session.submit(PROMPT, budget_usd=limit) for limit in (Decimal(1), None, None)])

    assert [reply.text for reply in found] == ["short", "the whole", "the whole"]
    assert server.hits == 3


@pytest.mark.parametrize("seed", range(4))
def test_a_hundred_of_ten_users_pay_once(open_session, seed):
    rng = random.Random(seed)
    users = [f"user{rng.randrange(10)}" for _ in range(100)]
    with FaultServer(plan=[Fault(text="yes", delay_seconds=0.1)]) as server:
        budget = ainb.Budget(usd=Decimal(1), per="user")
        session = open_session(server, budget=budget, user_rate_limit=ainb.RateLimit(concurrency=2))
        jobs = [session.submit(PROMPT, user=user) for user in users]
        for job in rng.sample(jobs[:50], 10):
            job.cancel()
        found = outcomes(jobs)
        frame = session.usage()
        spent = sum(item.spent_usd for item in session.budget_status())
        reserved = sum(item.reserved_usd for item in session.budget_status())

    replies = [reply for reply in found if isinstance(reply, ainb.Reply)]
    assert {reply.text for reply in replies} == {"yes"}
    assert len(replies) >= 90
    paid = [reply for reply in replies if reply.cost_usd]
    # A call that was cancelled while it was sending may have been billed, and counts as sent.
    assert len(paid) == 1
    assert server.hits <= 1 + 10
    assert reserved == 0
    assert spent >= paid[0].cost_usd
    assert len(frame) >= len(replies)
    # An attempt that was cancelled while connecting has not reached the server.
    assert server.hits <= frame["attempts"].sum() <= server.hits + 10


class Governed:
    """Random calls of several users, whose limits refuse, delay or pass them."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.sending = 0
        self.served = 0

    def play(self):
        run_virtual(self.main())

    async def main(self):
        loop = asyncio.get_running_loop()
        self.lab = Lab(clock=FakeClock(loop=loop))
        self.rules = {user: self.rng.choice(["pass", "pass", "refuse", 0.3, 2.0]) for user in "abcd"}
        self.fails = self.rng.choice([0, 0, 1, 2])
        tasks = {}
        for _ in range(self.rng.randrange(2, 12)):
            await asyncio.sleep(self.rng.choice([0, 0, 0, 0.1, 0.7]))
            user = self.rng.choice("abcd")
            task = loop.create_task(self.lab.stage(make_call(user=user), self.own_limits))
            tasks[task] = user
            if self.rng.random() < 0.15:
                loop.call_later(self.rng.choice([0, 0.2, 0.6]), task.cancel)
        await asyncio.wait(tasks, timeout=100)
        await self.check(tasks)

    async def own_limits(self, call):
        rule = self.rules[call.options.user]
        if rule == "refuse":
            raise BudgetExceededError("none left")
        if rule != "pass":
            await asyncio.sleep(rule)
        for attempt in range(3):
            try:
                return await self.lab.stage.take_turn(call, self.send)
            except ConnectionError:
                await asyncio.sleep(0.1 * attempt)
        raise ConnectionError

    async def send(self, call):
        assert self.sending == 0, "two calls are sent for one key"
        self.sending += 1
        try:
            call.attempts += 1
            await asyncio.sleep(0.5)
            if self.fails:
                self.fails -= 1
                raise ConnectionError
        finally:
            self.sending -= 1
        self.served += 1
        return make_reply("yes")

    async def check(self, tasks):
        for task, user in tasks.items():
            assert task.done(), "a call never ended"
            if task.cancelled():
                continue
            error = task.exception()
            if error is None:
                assert task.result().text == "yes"
            else:
                assert isinstance(error, CallRejectedError), error
                assert self.rules[user] == "refuse", "a call was refused without a limit of its own"
        assert self.served <= 1, "an answer was paid for twice"
        await asyncio.sleep(0)
        assert len(self.lab.calls) == 0
        assert self.lab.stage._works == {}
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left running"


def test_promises_hold_in_random_schedules_of_users():
    for seed in range(2_000):
        Governed(seed).play()
