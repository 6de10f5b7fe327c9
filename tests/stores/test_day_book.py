"""Tests of the day book: shared between processes, exact sums, persistence, storage faults."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from decimal import Decimal
from pathlib import Path

import pytest

from ainb.pipeline.budget.accounts import Account, Balance, Claim, MemoryBook, Verdict
from ainb.stores.day_book import DayBook
from ainb.stores.sqlite import Owner
from ainb.testing import FakeClock
from tests.forks import in_child

DAY = Account("day", "2026-05-04")
TEN = Claim(DAY, Decimal(10))
PATIENCE_SECONDS = 60


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "budget.sqlite"


@pytest.fixture
def said():
    return []


@pytest.fixture
def book(path, said):
    opened = DayBook(path, sink=said.append)
    yield opened
    opened.close()


def usd(value):
    return Decimal(str(value))


def until(condition):
    """Wait for work of the book's thread, for a limited time."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up, "the condition was not met in time"
        time.sleep(0.02)


def die(book):
    """Leave a book in the state of a killed process: lock released, file closed, no threads."""
    book._fallback = MemoryBook()
    book._owner.drop()
    book._file.close()


def test_what_is_spent_is_kept_when_the_kernel_ends(path, book):
    assert book.reserve(1, TEN, usd(4)) is Verdict.GRANTED
    assert book.settle(1, DAY, usd("1.000000000001")) == usd("1.000000000001")
    book.close()

    again = DayBook(path)

    assert again.balance(DAY) == Balance(usd("1.000000000001"), usd(0))
    again.close()


def test_two_kernels_share_a_day(path, book):
    other = DayBook(path)

    assert book.reserve(1, TEN, usd(6)) is Verdict.GRANTED
    assert other.reserve(1, TEN, usd(6)) is Verdict.WAIT
    assert book.settle(1, DAY, usd(5)) == 5
    until(lambda: other.reserve(1, TEN, usd(6)) is Verdict.NEVER)
    until(lambda: other.reserve(1, TEN, usd(5)) is Verdict.GRANTED)
    assert book.balance(DAY) == Balance(usd(5), usd(5))
    other.close()


def test_another_day_is_another_account(book):
    book.spend(DAY, usd(9))

    assert book.reserve(1, Claim(Account("day", "2026-05-05"), usd(10)), usd(9)) is Verdict.GRANTED


def test_the_file_is_private(path, book):
    book.spend(DAY, usd(1))

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for file in (item for item in path.parent.rglob("*") if item.is_file()):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_reset_forgets_what_is_spent_and_not_what_is_set_aside(book):
    book.spend(DAY, usd(3))
    book.reserve(1, TEN, usd(4))
    book.reset(DAY)

    assert book.balance(DAY) == Balance(usd(0), usd(4))


def test_nothing_is_opened_before_the_first_use(path):
    DayBook(path).close()

    assert not path.parent.exists()


@pytest.mark.parametrize(("sent", "expected"), [(False, Balance()), (True, Balance(usd(9), usd(0)))])
def test_a_dead_kernels_money_comes_back_unless_its_call_was_sent(path, book, sent, expected):
    dead = DayBook(path)
    dead.reserve(1, TEN, usd(9))
    if sent:
        dead.mark_sent(1, DAY)
    die(dead)

    verdict = book.reserve(2, TEN, usd(5))

    assert verdict is (Verdict.NEVER if sent else Verdict.GRANTED)
    if verdict is Verdict.GRANTED:
        book.settle(2, DAY, usd(0))
    assert book.balance(DAY) == expected
    assert [item.stem for item in path.with_suffix(".owners").iterdir()] == [book._owner.name]


def test_a_living_kernels_money_does_not_come_back(path, book):
    living = DayBook(path)
    living.reserve(1, TEN, usd(9))

    assert book.reserve(2, TEN, usd(5)) is Verdict.WAIT
    assert book.balance(DAY).reserved == 9
    living.close()


def locked(path):
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    return holder


def test_while_the_file_is_locked_nothing_is_granted_and_no_cost_is_lost(path, said):
    book = DayBook(path, clock=FakeClock(), sink=said.append)
    book.reserve(1, TEN, usd(4))
    holder = locked(path)

    assert book.reserve(2, TEN, usd(1)) is Verdict.WAIT
    assert book.settle(1, DAY, usd(3)) == 3
    assert book.balance(DAY).settled == 3
    holder.execute("ROLLBACK")

    assert book.balance(DAY) == Balance(usd(3), usd(0))
    assert said == []
    holder.close()
    book.close()


def test_a_file_that_stays_locked_leaves_the_kernel_counting_by_itself(path, said):
    clock = FakeClock()
    book = DayBook(path, clock=clock, sink=said.append)
    book.spend(DAY, usd(2))
    book.reserve(1, TEN, usd(4))
    holder = locked(path)
    book.reserve(2, TEN, usd(1))
    clock.advance(6)

    until(lambda: said)
    assert book.reserve(3, TEN, usd(5)) is Verdict.WAIT
    assert book.reserve(4, TEN, usd(4)) is Verdict.GRANTED
    assert book.settle(1, DAY, usd(4)) == 6
    assert book.balance(DAY) == Balance(usd(6), usd(4))
    assert [notice.kind for notice in said] == ["budget_file"]
    assert "to its own calls only" in said[0].text
    holder.close()


def test_a_damaged_file_leaves_the_kernel_counting_by_itself(path, book, said):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database at all, " * 500)

    assert book.reserve(1, TEN, usd(6)) is Verdict.GRANTED
    assert book.reserve(2, TEN, usd(5)) is Verdict.WAIT
    assert book.spend(DAY, usd(1)) == 1
    book.reset(DAY)
    assert book.balance(DAY) == Balance(usd(0), usd(6))
    assert len(said) == 1


def test_a_folder_that_cannot_be_made_leaves_the_kernel_counting_by_itself(tmp_path, said):
    (tmp_path / "home").write_text("a file stands in the way")
    book = DayBook(tmp_path / "home" / "budget.sqlite", sink=said.append)

    assert book.spend(DAY, usd(3)) == 3
    assert book.balance(DAY).settled == 3
    assert len(said) == 1


def test_a_file_that_turns_read_only_does_not_forget_what_was_spent(path, book, said):
    book.spend(DAY, usd(7))
    book.reserve(1, TEN, usd(1))
    book._file.db.execute("PRAGMA query_only = 1")

    assert book.settle(1, DAY, usd("0.5")) == usd("7.5")
    assert book.reserve(2, TEN, usd(3)) is Verdict.NEVER
    assert len(said) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_a_name_and_a_connection_of_its_own(book):
    book.reserve(1, TEN, usd(4))

    def work():
        assert book.reserve(2, TEN, usd(4)) is Verdict.GRANTED
        assert book.settle(1, DAY, usd(0)) == 0
        assert book.balance(DAY).reserved == 8

    assert in_child(work) == 0
    assert book.reserve(3, TEN, usd(6)) is Verdict.GRANTED
    assert book.balance(DAY).reserved == 10


def test_an_owners_name_is_its_own_and_ends_with_it(tmp_path):
    first, second = Owner(tmp_path), Owner(tmp_path)

    assert first.name != second.name
    assert first.dead() == []
    second.drop()
    assert first.dead() == [second.name]
    first.remove(second.name)
    assert first.dead() == []
    first.close()
    assert list(tmp_path.iterdir()) == []


WORKER = """
    import asyncio, json, os, random, sys
    from decimal import Decimal
    from pathlib import Path
    from ainb.errors import BudgetExceededError
    from ainb.messages import Call, Message, Reply, Request
    from ainb.clock import SYSTEM_CLOCK
    from ainb.pipeline.budget import Budget, BudgetStage, Ledger, Limits
    from ainb.pricing.quotes import Quote
    from ainb.stores.day_book import DayBook

    path, seed = Path(sys.argv[1]), int(sys.argv[2])
    rng, said = random.Random(seed), []
    book = DayBook(path, sink=said.append)
    limits = Limits(Budget(usd=10, per="day"), Ledger(book), SYSTEM_CLOCK, said.append)
    stage = BudgetStage(limits, quote=lambda call: Quote(usd=Decimal("0.2")))
    paid = []

    class Paid:
        name, free = "openai", False

    async def attempt(call):
        call.attempts += 1
        cost = Decimal(rng.randrange(50, 201)).scaleb(-3)
        with open(path.with_suffix(f".sent{seed}"), "a") as file:
            file.write("0.2\\n")
        await asyncio.sleep(rng.uniform(0, 0.004))
        paid.append(cost)
        return Reply(text="", cost_usd=cost)

    async def send(call):
        return await stage.before_sending(call, attempt)

    async def work():
        request = Request(provider="openai", model="m", messages=(Message("user", "hi"),))
        while True:
            try:
                await stage(Call(request=request, provider=Paid()), send)
            except BudgetExceededError:
                return

    async def main():
        await asyncio.wait_for(asyncio.gather(*(work() for _ in range(8))), 50)

    asyncio.new_event_loop().run_until_complete(main())
    book.close()
    faults = [notice.text for notice in said if notice.kind == "budget_file"]
    print(json.dumps({"paid": str(sum(paid)), "calls": len(paid), "faults": faults}))
"""


def start(path, seed):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WORKER), str(path), str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_four_processes_share_a_day_without_overshoot(path):
    processes = [start(path, seed) for seed in range(4)]
    outputs = [process.communicate(timeout=PATIENCE_SECONDS) for process in processes]
    assert all(process.returncode == 0 for process in processes), outputs
    results = [json.loads(out) for out, _ in outputs]

    paid = sum(Decimal(item["paid"]) for item in results)
    book = DayBook(path)
    book.balance(DAY)
    days = book._file.db.execute("SELECT account, settled FROM spent").fetchall()
    book.close()

    assert [item["faults"] for item in results] == [[]] * 4
    assert usd("9.7") <= paid <= 10
    assert sum(settled for _, settled in days) == paid.scaleb(12)


def test_a_killed_process_returns_what_it_had_not_sent(path):
    first = start(path, 1)
    sent = path.with_suffix(".sent1")
    for _ in range(PATIENCE_SECONDS * 20):
        if sent.exists() and len(sent.read_text().splitlines()) >= 10:
            break
        with pytest.raises(subprocess.TimeoutExpired):
            first.wait(0.05)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=PATIENCE_SECONDS)
    at_most = sum(Decimal(line) for line in sent.read_text().splitlines() if line == "0.2")

    second = start(path, 2)
    out, errors = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 0, errors
    paid = Decimal(json.loads(out)["paid"])
    book = DayBook(path)
    book.balance(DAY)
    rows = book._file.db.execute(
        "SELECT (SELECT sum(settled) FROM spent), (SELECT count(*) FROM held)"
    ).fetchone()
    book.close()

    assert rows[1] == 0
    assert usd("9.7") <= Decimal(rows[0]).scaleb(-12) <= 10
    assert Decimal(rows[0]).scaleb(-12) <= paid + at_most


def test_a_job_holds_its_money_over_processes_and_is_settled_once(tmp_path):
    path, day = tmp_path / "budget.sqlite3", Account("day", "2026-11-27")
    first = DayBook(path)
    assert first.hold_job("job", day, Decimal("0.5"), limit=Decimal(1)) is Verdict.GRANTED
    assert first.hold_job("job", day, Decimal("0.5"), limit=Decimal(1)) is Verdict.GRANTED
    first.close()

    second = DayBook(path)
    assert second.balance(day).reserved == Decimal("0.5")
    assert second.hold_job("other", day, Decimal("0.6"), limit=Decimal(1)) is Verdict.WAIT
    assert second.hold_job("third", day, Decimal("1.1"), limit=Decimal(1)) is Verdict.NEVER
    assert second.hold_job("soft", day, Decimal(0), limit=None) is Verdict.GRANTED
    for _ in range(2):
        assert second.settle_job("job", day, Decimal("0.5"), Decimal("0.2")) == Decimal("0.2")
    assert second.settle_job("soft", day, Decimal(0), Decimal("0.1")) == Decimal("0.3")
    assert second.settle_job("unknown", day, Decimal("0.5"), Decimal(9)) == Decimal("0.3")
    assert second.balance(day).reserved == 0
    second.close()


def killed(path, *, settled, in_flight, share):
    """A book of a process that is killed with calls in flight, after calls that cost a share of estimates."""
    dead = DayBook(path)
    claim = Claim(DAY, usd(1_000))
    for token in range(settled):
        dead.reserve(token, claim, usd("0.007"))
        dead.mark_sent(token, DAY)
        dead.settle(token, DAY, usd("0.007") * usd(share))
    for token in range(settled, settled + in_flight):
        dead.reserve(token, claim, usd("0.007"))
        dead.mark_sent(token, DAY)
    spent = dead.balance(DAY).settled
    die(dead)
    return spent


@pytest.mark.parametrize("share", ["0.001", "0.03", "0.2", "0.49"])
def test_what_a_dead_kernel_had_in_flight_counts_by_what_its_calls_did_cost(path, book, share):
    before = killed(path, settled=40, in_flight=64, share=share)

    counted = book.balance(DAY).settled - before

    served = 64 * usd("0.007") * usd(share)
    assert served <= counted <= served * 2 + usd("0.001")


@pytest.mark.parametrize(
    ("settled", "share"), [(0, "0.01"), (19, "0.01"), (40, "0.5"), (40, "1"), (40, "1.5")]
)
def test_of_a_kernel_of_which_too_little_is_known_estimates_count(path, book, settled, share):
    before = killed(path, settled=settled, in_flight=10, share=share)

    assert book.balance(DAY).settled - before == 10 * usd("0.007")


def test_a_kernel_that_ended_as_it_should_leaves_nothing_behind(path, book):
    other = DayBook(path)
    for token in range(50):
        other.reserve(token, TEN, usd("0.007"))
        other.settle(token, DAY, usd("0.001"))
    other.close()

    assert book.balance(DAY) == Balance(usd("0.05"), usd(0))
    assert book._file.db.execute("SELECT owner FROM held UNION SELECT owner FROM booked").fetchall() == []


def test_reservations_whose_owner_left_no_trace_come_back(path, book):
    """As if the folder of lock files was emptied, or a session was closed with a call in flight."""
    lost = DayBook(path)
    lost.reserve(1, TEN, usd(4))
    lost.reserve(2, TEN, usd(3))
    lost.mark_sent(2, DAY)
    lost.hold_job("j1", DAY, usd(2), limit=usd(10))
    lost.close()

    assert book.reserve(3, TEN, usd(5)) is Verdict.GRANTED
    assert book.balance(DAY) == Balance(usd(3), usd(7))
