"""Forks of a process with shared state: the child has a connection, calls, money and leases of its own."""

from __future__ import annotations

import os
import threading
import time
from decimal import Decimal

import pytest

import ainb
from ainb.engine import ENGINE
from ainb.pipeline.budget import Account, Claim
from ainb.pipeline.budget.ledger import Hold
from tests.forks import FORKS, elsewhere, end_of, in_child, start_child
from tests.stores.redis.redis_lab import state, until

pytestmark = [pytest.mark.redis, *FORKS]


@pytest.fixture(scope="module")
def server(server_of_module):
    return server_of_module


@pytest.fixture
def session(server, tmp_path):
    server.ask("FLUSHALL")
    limit = ainb.RateLimit(concurrency=1)
    with ainb.Session("scripted:echo", home=tmp_path, state=server.url, rate_limit=limit) as opened:
        until(lambda: state(opened)["connected"])
        opened.ask("before")
        yield opened


def test_the_money_lock_that_another_thread_holds_is_free_in_the_child(session):
    book = session.core.stages.ledger._day_book

    def work():
        assert session.ask("in the child").text == "in the child"
        assert state(session)["connected"]

    with elsewhere(book._lock):
        child = start_child(work)
    assert end_of(child) == 0
    assert session.ask("after").text == "after"


def test_calls_that_wait_in_the_parent_do_not_hold_up_the_child(session, tmp_path):
    began = threading.Event()

    def slow(prompt):
        began.set()
        time.sleep(1)
        return prompt

    guarded = session.guard(model="slow")(slow)
    threads = [threading.Thread(target=guarded, args=(f"{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    assert began.wait(30)
    limiters = [limiter for limiter, _ in session.core.stages.rate_limit._limiters.values()]
    until(lambda: any(len(limiter._queue) for limiter in limiters))

    def work():
        assert not any(len(limiter._queue) for limiter in limiters)
        assert guarded("in the child") == "in the child"

    assert in_child(work) == 0
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_parent_and_children_do_not_spend_the_same_money(session, server):
    ledger, claim = session.core.stages.ledger, Claim(Account("day", "2026-05-04"), Decimal(2))

    async def spend_all():
        spent = 0
        while isinstance(hold := await ledger.reserve(lambda: [claim], Decimal("0.05")), Hold):
            ledger.mark_sent(hold)
            ledger.settle(hold, Decimal("0.05"))
            spent += 5
        return spent

    async def draw():
        hold = await ledger.reserve(lambda: [claim], Decimal("0.05"))
        ledger.settle(hold, Decimal(0))

    ENGINE.run(draw())
    read, write = os.pipe()

    def work():
        spent = ENGINE.run(spend_all())
        # The child ends without closing its session, so that a report that is not written yet would be lost.
        until(lambda: not session.core.stages.shared._book._unconfirmed)
        os.write(write, b"%d\n" % spent)

    children = [start_child(work) for _ in range(3)]
    spent = ENGINE.run(spend_all())
    assert [end_of(child) for child in children] == [0] * 3
    os.close(write)
    with os.fdopen(read) as found:
        spent += sum(map(int, found))
    assert 190 <= spent <= 200
    until(lambda: int(server.ask("HGET", "{ainb:ainb}:spent", "2026-05-04")) == spent * 10**7)


def test_a_child_waits_for_the_answer_that_its_parent_is_paying_for(session, tmp_path):
    paid, began = tmp_path / "paid", threading.Event()

    def slow(prompt):
        with paid.open("a") as file:
            file.write("x")
        began.set()
        time.sleep(1)
        return prompt

    guarded = session.guard(model="slow")(slow)
    thread = threading.Thread(target=guarded, args=("the same",))
    thread.start()
    assert began.wait(30)
    child = start_child(lambda: guarded("the same"))
    assert end_of(child) == 0
    thread.join(60)
    assert paid.read_text() == "x"
