"""Tests of processes that are stopped at the worst moment: together they do not pass a hard budget."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from decimal import Decimal

import pytest

from ainb.engine import ENGINE
from ainb.pipeline.budget import Account, Claim
from ainb.pipeline.budget.ledger import Hold
from tests.forks import in_child
from tests.stores.redis.line import Line
from tests.stores.redis.redis_lab import PATIENCE_SECONDS, spawn, state, until

pytestmark = pytest.mark.redis

DAY = Account("day", "2026-05-04")
TEN = Claim(DAY, Decimal(10))


async def pay(ledger, estimate, cost=None, tries=200):
    """Pay for a call as soon as it fits; whether it did."""
    for _ in range(tries):
        hold = ledger.try_reserve(lambda: [TEN], Decimal(estimate))
        if isinstance(hold, Hold):
            ledger.mark_sent(hold)
            ledger.settle(hold, Decimal(estimate if cost is None else cost))
            return True
        await asyncio.sleep(0.05)
    return False


async def pay_all(ledger, estimate, tries=70):
    """Pay for calls while any fits; returns how many. The first may wait until lost data is known again."""
    count = 0
    while await pay(ledger, estimate, tries=tries if count else 4 * tries):
        count += 1
    return count


HELD = """
from ainb.engine import ENGINE
from ainb.pipeline.budget import Account, Claim
s = session()
ledger = s.core.stages.ledger
DAY = Claim(Account("day", "2026-05-04"), Decimal(10))
async def reserve(amount):
    while (hold := ledger.try_reserve(lambda: [DAY], Decimal(amount))) is None:
        await asyncio.sleep(0.02)
    return hold
async def main():
    paid = await reserve(2)
    ledger.mark_sent(paid)
    ledger.settle(paid, Decimal(2))
    sent, unsent = await reserve(2), await reserve(1)
    ledger.mark_sent(sent)
    drawn = await reserve("0.1")
    await asyncio.sleep(1.5)
    print("held", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    ledger.mark_sent(unsent)
    for hold, cost in ((sent, 2), (unsent, 1), (drawn, 0)):
        ledger.settle(hold, Decimal(cost))
    more = 0
    while (hold := ledger.try_reserve(lambda: [DAY], Decimal("0.1"))) is not None:
        ledger.mark_sent(hold)  # from drawn money, before anything is heard of the server
        ledger.settle(hold, Decimal("0.1"))
        more += 1
    report(paid=5 + more / 10)
    await asyncio.sleep(2)
ENGINE.run(main())
s.close()
"""


@pytest.mark.parametrize("seconds", [0, *(pytest.param(long, marks=pytest.mark.slow) for long in (3, 6))])
@pytest.mark.parametrize("loss", ["none", "FLUSHALL", "FLUSHDB"])
def test_a_process_that_is_stopped_while_the_data_is_lost(server, tmp_path, open_session, loss, seconds):
    held = spawn(server, tmp_path / "held", HELD)
    assert held.stdout.readline() == "held\n"
    other = open_session()
    until(lambda: state(other)["peers"] == 1)
    ledger = other.core.stages.ledger
    assert ENGINE.run(pay(ledger, "0.1"))
    held.send_signal(signal.SIGSTOP)
    if loss != "none":
        server.ask(loss)
    until_then = time.monotonic() + seconds

    async def spend():
        count = 0
        while time.monotonic() < until_then:
            count += await pay(ledger, "0.1", tries=1)
        return count

    count = 1 + ENGINE.run(spend())
    held.send_signal(signal.SIGCONT)
    out, _ = held.communicate("go\n", timeout=PATIENCE_SECONDS)
    count += ENGINE.run(pay_all(ledger, "0.1"))

    paid = json.loads(out.splitlines()[-1])["paid"]
    assert 9.5 <= paid + count / 10 <= 10 + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("wait_seconds", [0, 1.5])  # before and after it hears of its death
def test_a_process_that_was_stopped_for_long_uses_no_drawn_money(
    server, tmp_path, open_session, wait_seconds
):
    held = spawn(server, tmp_path / "held", HELD.replace("await reserve(1)", "await reserve('0.01')"))
    assert held.stdout.readline() == "held\n"
    other = open_session()
    until(lambda: state(other)["peers"] == 1)
    held.send_signal(signal.SIGSTOP)
    time.sleep(11.5)
    ENGINE.run(pay_all(other.core.stages.ledger, "0.1"))
    held.send_signal(signal.SIGCONT)
    time.sleep(wait_seconds)

    out, _ = held.communicate("go\n", timeout=PATIENCE_SECONDS)

    assert json.loads(out.splitlines()[-1])["paid"] == 5, "money is used that may belong to others by now"


def test_a_process_that_has_never_reached_a_hanging_server_has_no_money(server, open_session):
    line = Line(server.port, hangs=True)
    try:
        away, other = open_session(line.url), open_session()
        count = ENGINE.run(pay_all(other.core.stages.ledger, 1, tries=60))
        assert count == 10
        assert not ENGINE.run(pay(away.core.stages.ledger, 1, tries=60))
    finally:
        line.mend()
        line.close()


@pytest.mark.slow
def test_a_server_that_refuses_connections_for_long_costs_no_call_and_no_money(server, open_session):
    one, two = open_session(), open_session()
    ledgers = [session.core.stages.ledger for session in (one, two)]
    for ledger in ledgers:
        assert ENGINE.run(pay(ledger, "0.1"))
    until(lambda: state(one)["peers"] == state(two)["peers"] == 1)
    time.sleep(1.5)  # by then each has a share
    server.stop()
    until(lambda: not state(one)["connected"] and not state(two)["connected"])

    early = [ENGINE.run(pay(ledger, "0.1", tries=20)) for ledger in ledgers]
    time.sleep(12)
    late = [ENGINE.run(pay_all(ledger, "0.1", tries=3)) for ledger in ledgers]

    assert early == [True, True]
    assert min(late) >= 5
    assert (4 + sum(late)) <= 100


@pytest.mark.slow
def test_a_server_that_hangs_for_long_leaves_no_money_to_use(server, open_session):
    session = open_session()
    ledger = session.core.stages.ledger
    assert ENGINE.run(pay(ledger, "0.1"))
    time.sleep(1.5)
    server.freeze()
    until(lambda: not state(session)["connected"])
    assert ENGINE.run(pay(ledger, "0.1", tries=20))
    time.sleep(10)

    assert not ENGINE.run(pay(ledger, "0.1", tries=20))

    server.thaw()
    assert ENGINE.run(pay(ledger, "0.1"))


def test_a_forked_child_has_none_of_the_money_of_its_parent(server, open_session):
    session = open_session()
    ledger, book = session.core.stages.ledger, session.core.stages.shared._book
    assert ENGINE.run(pay(ledger, "0.1"))
    until(lambda: book._accounts[DAY].lent)
    assert book._accounts[DAY].pot.available

    def has_none():
        account = book._account(DAY)
        assert not any((account.lent, account.pot.available, book._held, book._unconfirmed))

    assert in_child(has_none) == 0
