"""Tests of processes that lose the server for a time: together they do not pass a hard budget."""

from __future__ import annotations

import asyncio
import random
import time
from decimal import Decimal

import pytest

from ainb.engine import ENGINE
from ainb.pipeline.budget import Account, Claim
from ainb.pipeline.budget.ledger import Hold
from ainb.session import Session
from tests.stores.redis.line import Line
from tests.stores.redis.redis_lab import state, until

pytestmark = pytest.mark.redis

DAY = Account("day", "2026-05-04")
TEN = Claim(DAY, Decimal(10))
SPENT, ASIDE = "{ainb:ainb}:spent", f"{{ainb:ainb}}:aside:{DAY.name}"


@pytest.fixture
def join(server, tmp_path):
    """Opens a session with a line of its own; returns both."""
    opened, lines = [], []

    def make(*, hangs=False):
        line = Line(server.port, hangs=hangs)
        session = Session("scripted:echo", state=line.url, home=tmp_path / f"{len(opened)}")
        opened.append(session)
        lines.append(line)
        return session, line

    yield make
    for line in lines:
        line.mend()
    for session in opened:
        session.close()
    for line in lines:
        line.close()


def booked(server):
    return Decimal(int(server.ask("HGET", SPENT, DAY.name) or 0)).scaleb(-9)


class Spenders:
    """Calls of several sessions, and what they paid."""

    def __init__(self, ledgers, *, estimate="0.2", workers=4):
        self.ledgers, self.estimate, self.workers = ledgers, Decimal(estimate), workers
        self.paid = []

    async def work(self, ledger, number):
        while True:
            hold = await ledger.reserve(lambda: [TEN], self.estimate)
            if not isinstance(hold, Hold):
                return
            ledger.mark_sent(hold)
            await asyncio.sleep(0.02 + number / 200)
            cost = self.estimate * (80 + number) / 100
            self.paid.append(cost)
            ledger.settle(hold, cost)

    async def run(self, harm):
        works = [self.work(ledger, number) for ledger in self.ledgers for number in range(self.workers)]
        await asyncio.wait_for(asyncio.gather(asyncio.to_thread(harm), *works), 35)


pause = time.sleep


def hang_one(server, lines):
    lines[0].hang()
    pause(3)
    lines[0].mend()


def hang_in_turn(server, lines):
    for line in lines:
        line.hang()
        pause(1)
        line.mend()
        pause(0.3)


def hang_in_steps(server, lines):
    for line in lines:
        line.hang()
        pause(0.7)
    for line in lines:
        line.mend()
        pause(0.7)


def cut_one_repeatedly(server, lines):
    for _ in range(8):
        lines[0].cut()
        pause(0.3)


def cut_all_at_random(server, lines):
    rng = random.Random(7)
    for _ in range(12):
        rng.choice(lines).cut()
        pause(rng.random() / 3)


def lose_replies(server, lines):
    for line in lines * 2:
        line.hang("down")
        pause(0.5)
        line.cut()
        line.mend()


def lose_reports(server, lines):
    for line in lines * 2:
        line.hang("up")
        pause(0.5)
        line.cut()
        line.mend()


def freeze_server(server, lines):
    server.freeze()
    pause(3)
    server.thaw()


def freeze_server_for_long(server, lines):
    server.freeze()
    pause(13)
    server.thaw()


def flush_while_one_is_away(server, lines):
    lines[0].hang()
    pause(0.5)
    server.ask("FLUSHALL")
    pause(0.5)
    lines[0].mend()


def flush_and_cut(server, lines):
    for line in lines:
        server.ask("FLUSHALL")
        line.cut()
        pause(2.5)


def flush_again_at_once(server, lines):
    for seconds in (0.2, 3.5, 0.5, 3.5, 0.9):
        server.ask("FLUSHALL")
        pause(seconds)


HARMS = [hang_one, cut_one_repeatedly, lose_replies, flush_while_one_is_away, flush_again_at_once]
SLOW_HARMS = [
    hang_in_turn,
    hang_in_steps,
    cut_all_at_random,
    lose_reports,
    freeze_server,
    freeze_server_for_long,
    flush_and_cut,
]


@pytest.mark.parametrize(
    "harm", [*HARMS, *(pytest.param(harm, marks=pytest.mark.slow) for harm in SLOW_HARMS)]
)
def test_processes_that_are_cut_off_do_not_pass_the_limit(server, join, harm):
    sessions, lines = zip(*(join() for _ in range(3)), strict=True)
    for session in sessions:
        until(lambda session=session: state(session)["peers"] == 2)
    spenders = Spenders([session.core.stages.ledger for session in sessions])

    def later():
        until(lambda: sum(spenders.paid) > 1)
        harm(server, lines)

    ENGINE.run(spenders.run(later))

    total = sum(spenders.paid)
    assert total <= 10
    # Costs that may be lost twice in succession are booked again, so that they may count twice.
    assert total >= Decimal("7" if harm is flush_again_at_once else "9.5")
    until(lambda: booked(server) >= total)


async def pay(session, calls):
    """Pay calls of $0.20 each, until the budget is spent; returns their number."""
    ledger = session.core.stages.ledger
    for paid in range(calls):
        hold = await asyncio.wait_for(ledger.reserve(lambda: [TEN], Decimal("0.2")), 20)
        if not isinstance(hold, Hold):
            return paid
        ledger.mark_sent(hold)
        ledger.settle(hold, Decimal("0.2"))
    return calls


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_money_that_is_drawn_at_the_first_connection_is_there_for_all(server, join, processes):
    first, _ = join()
    assert ENGINE.run(pay(first, 1)) == 1
    for _ in range(processes):
        session, _ = join()
        assert ENGINE.run(pay(session, 1)) == 1

    assert ENGINE.run(pay(first, 50)) == 49 - processes
    until(lambda: booked(server) == 10)
