"""Tests of advance draws from the day book: few transactions, no blocking of the loop, no loss by a kill."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from decimal import Decimal
from pathlib import Path

import pytest

from ainb.pipeline.budget import Balance, Claim, Ledger, Verdict
from ainb.stores.day_book import DayBook
from tests.stores.test_day_book import DAY, PATIENCE_SECONDS, TEN, die, locked, until, usd

ROOM = Claim(DAY, usd(1_000))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "budget.sqlite"


@pytest.fixture
def open_book(path):
    opened = []

    def make():
        opened.append(DayBook(path))
        return opened[-1]

    yield make
    for book in opened:
        book.close()


def statements_of(book):
    """Record the transactions that a book begins on the event loop from now on."""
    book.balance(DAY)
    seen = []
    book._file.db.set_trace_callback(lambda sql: seen.append(sql) if sql.startswith("BEGIN") else None)
    return seen


@pytest.mark.parametrize("share", ["0.01", "0.1", "0.5", "1"])
def test_a_call_seldom_writes_a_transaction(open_book, share):
    book = open_book()
    seen = statements_of(book)

    for token in range(1_000):
        assert book.reserve(token, ROOM, usd("0.04")) is Verdict.GRANTED
        book.mark_sent(token, DAY)
        book.settle(token, DAY, usd("0.04") * usd(share))

    assert len(seen) <= 1_000 / 8
    assert book.balance(DAY).settled == 40 * usd(share)


def test_many_calls_at_once_draw_more_at_a_time(open_book):
    book = open_book()
    seen = statements_of(book)

    for token in range(4_000):
        assert book.reserve(token, ROOM, usd("0.04")) is Verdict.GRANTED

    assert len(seen) <= 20
    assert book.balance(DAY).reserved == 160


@pytest.mark.parametrize("limit", [11, 100])
def test_near_the_limit_no_more_is_drawn_than_fits(open_book, limit):
    book, other = open_book(), open_book()
    claim = Claim(DAY, usd(limit))
    granted = 0

    for token in range(2 * limit):
        for one in (book, other):
            granted += one.reserve(token, claim, usd(1)) is Verdict.GRANTED

    assert granted >= 0.97 * limit - 1
    assert book._file.db.execute("SELECT sum(amount) FROM held").fetchone()[0] <= limit * 10**12


def test_while_another_process_writes_the_loop_does_not_wait(path, open_book, monkeypatch):
    """The thread that waits for the file wakes the call; the test has no polling."""
    monkeypatch.setattr("ainb.pipeline.budget.ledger.POLL_SECONDS", None)
    book = open_book()
    ledger = Ledger(book)
    book.wake = ledger.wake
    book.balance(DAY)
    holder = locked(path)

    async def main():
        waiting = [asyncio.create_task(ledger.reserve(lambda: [ROOM], usd(1))) for _ in range(20)]
        turns = 0
        give_up = time.monotonic() + 0.3
        while time.monotonic() < give_up:
            turns += 1
            await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        holder.execute("ROLLBACK")
        holds = await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_SECONDS)
        return turns, holds

    turns, holds = asyncio.run(main())

    assert turns > 100
    assert len(holds) == 20
    assert book.balance(DAY).reserved == 20
    holder.close()


def test_money_that_is_not_used_goes_back_by_itself(open_book):
    book, other = open_book(), open_book()
    assert book.reserve(1, TEN, usd("0.1")) is Verdict.GRANTED
    book.settle(1, DAY, usd("0.05"))
    assert other.reserve(1, TEN, usd("9.95")) is Verdict.WAIT

    until(lambda: other.reserve(1, TEN, usd("9.95")) is Verdict.GRANTED)


def test_two_waiters_with_partial_draws_do_not_deadlock(open_book):
    books = [open_book() for _ in range(2)]
    ledgers = [Ledger(book) for book in books]
    for book, ledger in zip(books, ledgers, strict=True):
        book.wake = ledger.wake
    small, big = usd("0.5"), usd(6)

    async def call(ledger):
        holds = [await ledger.reserve(lambda: [TEN], small) for _ in range(10)]
        for hold in holds:
            ledger.settle(hold, usd("0.01"))
        hold = await ledger.reserve(lambda: [TEN], big)
        ledger.settle(hold, usd("0.01"))

    async def main():
        await asyncio.wait_for(asyncio.gather(*map(call, ledgers)), PATIENCE_SECONDS)

    asyncio.run(main())

    until(lambda: books[0].balance(DAY) == Balance(usd("0.22"), usd(0)))


@pytest.mark.parametrize(
    ("limit", "fits"), [("9", True), ("5.3", True), ("5.25", True), ("5.2", False), ("5", False)]
)
def test_money_drawn_under_a_higher_limit_is_no_money_under_a_lower_one(open_book, limit, fits):
    book = open_book()
    book.spend(DAY, usd(5))
    assert book.reserve(1, ROOM, usd("0.1")) is Verdict.GRANTED

    verdict = book.reserve(2, Claim(DAY, usd(limit)), usd("0.15"))

    assert (verdict is Verdict.GRANTED) == fits


def dead_book(path, *, spent, sent, unsent, flushed):
    """The book of a process that died with a settled call, a sent call and an unsent reservation."""
    book = DayBook(path)
    book.reserve(1, TEN, usd("0.5"))
    book.settle(1, DAY, usd(spent))
    if flushed:
        until(book._accounts[DAY].is_settled)
    for token, amount, is_sent in ((2, sent, True), (3, unsent, False)):
        assert book.reserve(token, TEN, usd(amount)) is Verdict.GRANTED
        if is_sent:
            book.mark_sent(token, DAY)
    die(book)
    return book._accounts[DAY]


@pytest.mark.parametrize("flushed", [False, True], ids=["costs not booked", "costs booked"])
@pytest.mark.parametrize("spent", ["0.1", "0.5", "0.7"])
def test_what_a_dead_process_had_spent_counts_exactly(path, open_book, spent, flushed):
    dead_book(path, spent=spent, sent="0.3", unsent="0.2", flushed=flushed)

    assert open_book().balance(DAY) == Balance(usd(spent) + usd("0.3"), usd(0))


@pytest.mark.parametrize("flushed", [False, True], ids=["costs not booked", "costs booked"])
@pytest.mark.parametrize("dead", [1, 3])
def test_a_balance_counts_costs_of_processes_that_ended_after_the_book_was_opened(
    path, open_book, flushed, dead
):
    book = open_book()
    assert book.balance(DAY) == Balance(usd(0), usd(0))
    for _ in range(dead):
        dead_book(path, spent="0.1", sent="0.3", unsent="0.2", flushed=flushed)

    assert book.balance(DAY) == Balance(dead * usd("0.4"), usd(0))


def test_a_balance_while_another_process_writes_counts_what_the_dead_had_drawn_as_reserved(path, open_book):
    book = open_book()
    book.balance(DAY)
    dead_book(path, spent="0.1", sent="0.3", unsent="0.2", flushed=True)
    holder = locked(path)
    during = book.balance(DAY)
    holder.execute("ROLLBACK")
    holder.close()

    assert during.settled == usd("0.1")
    assert during.reserved >= usd("0.5")
    assert book.balance(DAY) == Balance(usd("0.4"), usd(0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[",
        "{}",
        "[1]",
        '["x", {}, {}]',
        "[2000000, {}, {}]",
        "[1, 2, 3]",
        '[1, {"2026-05-04": -1}, {}]',
        '[1, {}, {"2026-05-04": 1e3}]',
        '[1, {"2026-05-04": 99999999999999999999}, {}]',
        "[true, {}, {}]",
        "[" * 100_000,
        "\x00" * 500,
        "\udcff",
    ],
)
def test_where_the_trace_is_none_all_that_was_drawn_counts(path, open_book, text):
    dead = dead_book(path, spent="0.1", sent="0.3", unsent="0.2", flushed=False)
    (trace,) = path.with_suffix(".owners").iterdir()
    trace.write_bytes(b" " * 8 + text.encode(errors="surrogateescape"))

    balance = open_book().balance(DAY)

    assert usd("0.6") <= balance.settled <= usd("0.6") + usd_of_pot(dead)
    assert balance.reserved == 0


def usd_of_pot(account):
    return Decimal(account.pot.available).scaleb(-12)


def test_where_the_lock_file_is_gone_all_that_was_drawn_counts(path, open_book):
    dead_book(path, spent="0.1", sent="0.3", unsent="0.2", flushed=False)
    (trace,) = path.with_suffix(".owners").iterdir()
    trace.unlink()

    assert open_book().balance(DAY).settled >= usd("0.6")


def test_a_process_killed_while_settling_for_a_dead_one_settles_once(path, open_book, monkeypatch):
    dead_book(path, spent="0.1", sent="0.3", unsent="0.2", flushed=False)
    with monkeypatch.context() as patch:
        patch.setattr("ainb.stores.sqlite.Owner.remove", lambda *_: None)
        patch.setattr("ainb.stores.day_book.file.DELETE_BOOKED", "SELECT :owner")
        first = DayBook(path)
        assert first.balance(DAY).settled == usd("0.4")
        die(first)

    assert open_book().balance(DAY) == Balance(usd("0.4"), usd(0))
    assert open_book().balance(DAY) == Balance(usd("0.4"), usd(0))


def test_a_book_that_closes_with_calls_under_way_keeps_what_was_sent(path, open_book):
    book = DayBook(path)
    for token in (1, 2):
        assert book.reserve(token, TEN, usd(2)) is Verdict.GRANTED
    book.mark_sent(1, DAY)
    book.close()

    assert open_book().balance(DAY) == Balance(usd(2), usd(0))


def test_a_book_that_cannot_write_when_it_closes_leaves_its_trace(path, open_book):
    book = DayBook(path)
    assert book.reserve(1, TEN, usd(2)) is Verdict.GRANTED
    book.settle(1, DAY, usd(1))
    holder = locked(path)
    book.close()
    holder.execute("ROLLBACK")
    holder.close()

    assert open_book().balance(DAY) == Balance(usd(1), usd(0))


def test_a_reset_leaves_nothing_to_settle_for_a_dead_process(path, open_book):
    book = DayBook(path)
    assert book.reserve(1, TEN, usd(2)) is Verdict.GRANTED
    book.settle(1, DAY, usd(1))
    book.reset(DAY)
    die(book)

    assert open_book().balance(DAY) == Balance(usd(0), usd(0))


WORKER = """
    import asyncio, os, random, sys
    from decimal import Decimal
    from pathlib import Path
    from ainb.pipeline.budget import Account, Claim, Ledger
    from ainb.pipeline.budget.ledger import Hold
    from ainb.stores.day_book import DayBook

    path, seed, served = Path(sys.argv[1]), int(sys.argv[2]), os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND)
    rng = random.Random(seed)
    book = DayBook(path)
    ledger = Ledger(book)
    book.wake = ledger.wake
    claim = Claim(Account("day", "2026-05-04"), Decimal(10))

    async def work():
        while True:
            estimate = Decimal(rng.randrange(20, 100)).scaleb(-3)
            hold = await ledger.reserve(lambda: [claim], estimate)
            if not isinstance(hold, Hold):
                return
            ledger.mark_sent(hold)
            cost = estimate * rng.randrange(20, 101) / 100
            os.write(served, b"%d\\n" % int(cost.scaleb(12)))
            await asyncio.sleep(rng.uniform(0, 0.03))
            ledger.settle(hold, cost)

    async def main():
        print("ready", flush=True)
        sys.stdin.readline()
        await asyncio.wait_for(asyncio.gather(*(work() for _ in range(8))), 50)

    asyncio.run(main())
    book.close()
"""


def start(path, seed, served):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WORKER), str(path), str(seed), str(served)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.parametrize("seed", range(4))
def test_with_random_kills_the_limit_holds_and_is_used(path, tmp_path, record_property, seed):
    """Two of four processes are killed at random times; the cost of the served calls stays below the
    limit."""
    served = tmp_path / "served"
    served.touch()
    rng = random.Random(seed)
    processes = [start(path, 10 * seed + number, served) for number in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes[:2]:
        hits = rng.randrange(5, 60)
        until(lambda hits=hits: len(served.read_bytes().splitlines()) >= hits)
        process.send_signal(signal.SIGKILL)
    for process in processes:
        process.communicate(timeout=PATIENCE_SECONDS)
    assert [process.returncode for process in processes] == [-9, -9, 0, 0]

    total = Decimal(sum(map(int, served.read_text().split()))).scaleb(-12)
    book = DayBook(path)
    balance = book.balance(DAY)
    book.close()
    assert total <= balance.settled <= 10
    assert balance.reserved == 0
    assert balance.settled >= usd("9.7")
    record_property("figure", f"used {balance.settled / 10:.1%} after kills")


def test_the_table_of_traces_has_living_processes_only(path, open_book):
    for _ in range(3):
        dead_book(path, spent="0.1", sent="0.1", unsent="0.1", flushed=True)
    book = open_book()
    book.reserve(1, TEN, usd("0.1"))
    book.settle(1, DAY, usd("0.1"))
    until(book._accounts[DAY].is_settled)

    with sqlite3.connect(path) as file:
        assert file.execute("SELECT owner FROM booked").fetchall() == [(book._owner.name,)]
    file.close()
    assert json.loads(book._owner.noted(book._owner.name))[1] == {"2026-05-04": 10**11}
