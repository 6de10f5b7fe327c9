"""Forks while SQLite files are open or in use: the child takes locks of its own."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest

import ainb
from ainb.batch.journal.store import Journal
from ainb.clock import SYSTEM_CLOCK
from ainb.config import Config
from ainb.jobs.store import JobStore
from ainb.pipeline.budget import Account, Claim, Verdict
from ainb.stores.day_book import DayBook
from ainb.stores.disk import DiskStore
from ainb.usage.log.writer import Writer
from tests.fault_server import Fault, FaultServer
from tests.forks import FORKS, end_of, in_child, start_child

pytestmark = [*FORKS, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/locks")]
DAY = ainb.Budget(usd=9, per="day")


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")


def has_locks(path):
    """Whether this process holds a lock of the system on a file or its shared memory."""
    numbers = {
        str(Path(f"{path}{end}").stat().st_ino) for end in ("", "-shm") if Path(f"{path}{end}").exists()
    }
    rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(
        row[4] == str(os.getpid()) and row[5].split(":")[-1] in numbers for row in rows if row[1] != "->"
    )


def use_disk_store(store):
    from ainb.stores.base import at_once

    at_once(store.set("n", f"{os.getpid()}", "text", created_at=1.0))
    assert store.flush(20)
    assert at_once(store.get("n", f"{os.getpid()}")) == "text"


def use_day_book(book):
    account, token, amount = Account("day", "2026-05-04"), threading.get_native_id(), Decimal("0.01")
    until = time.monotonic() + 20
    while (verdict := book.reserve(token, Claim(account, Decimal(1_000_000)), amount)) is Verdict.WAIT:
        assert time.monotonic() < until  # another process may be writing for a moment
        time.sleep(0.01)
    assert verdict is Verdict.GRANTED
    book.settle(token, account, amount)
    assert book.balance(account).settled >= amount


def use_journal(journal):
    journal.start(f"{os.getpid()}", identity="i", title="t", model="m", now=1.0)
    assert str(os.getpid()) in {run.run_id for run in journal.runs()}


def use_jobs(store):
    store.request_cancel([str(os.getpid())])
    assert store.is_cancel_requested(str(os.getpid()))


def use_log(writer):
    assert writer.flush(20)
    with writer.reading() as connection:
        connection.execute("SELECT count(*) FROM calls").fetchall()
    with writer._lock:
        writer._file.open().connection.execute("SELECT count(*) FROM calls").fetchall()


# By file: its owner, and a use after which its connection stays open.
FILES = {
    "cache": (DiskStore, use_disk_store, "cache.db"),
    "day book": (lambda home: DayBook(home / "budget.sqlite3"), use_day_book, "budget.sqlite3"),
    "journal": (lambda home: Journal(home / "journal.sqlite3"), use_journal, "journal.sqlite3"),
    "jobs": (JobStore, use_jobs, "jobs/jobs.sqlite3"),
    "log": (
        lambda home: Writer(home / "usage.sqlite3", SYSTEM_CLOCK, Config().log),
        use_log,
        "usage.sqlite3",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_child_locks_a_file_that_its_parent_had_open_and_the_parent_locks_it_again(tmp_path, name):
    make, use, file = FILES[name]
    owner = make(tmp_path)
    use(owner)
    assert has_locks(tmp_path / file)

    def work():
        use(owner)
        assert has_locks(tmp_path / file)
        another = make(tmp_path)
        use(another)

    assert in_child(work) == 0
    use(owner)
    assert has_locks(tmp_path / file)


@pytest.mark.parametrize("name", FILES)
def test_children_that_are_forked_while_another_thread_writes_can_write(tmp_path, name):
    make, use, _ = FILES[name]
    owner = make(tmp_path)
    use(owner)
    is_over = threading.Event()

    def write():
        while not is_over.is_set():
            use(owner)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        codes = [in_child(lambda owns=owns: use(make(tmp_path) if owns else owner)) for owns in [0, 1] * 5]
    finally:
        is_over.set()
        thread.join(60)
    assert codes == [0] * 10


def test_what_a_child_writes_after_its_parent_has_closed_everything_is_kept(tmp_path):
    with FaultServer(record=False) as server:
        session = ainb.Session("openai:gpt-4o", home=tmp_path, api_base=server.base_url, budget=DAY)
        session.ask("before")
        read, write = os.pipe()

        def work():
            session.ask("first in the child")
            assert os.read(read, 1) == b"x"  # the parent has closed its session
            session.ask("second in the child")
            session.map(["a", "b"], "{value}")
            session.close()

        child = start_child(work)
        time.sleep(0.3)
        session.close()
        os.write(write, b"x")
        assert end_of(child) == 0
        with ainb.Session("openai:gpt-4o", home=tmp_path, api_base=server.base_url, budget=DAY) as after:
            rows = after.usage()
            assert len(rows) == 5
            assert all(after.ask(f"{word} in the child").cached for word in ("first", "second"))
            spent = float(after.budget_status()[0].spent_usd)
            assert spent == pytest.approx(rows["cost_usd"].sum())
    os.close(read)
    os.close(write)


def test_children_of_a_process_in_the_middle_of_a_batch_run_batches_of_their_own(tmp_path):
    with FaultServer(plan=lambda _seen: Fault(delay_seconds=0.02), record=False) as server:
        session = ainb.Session("openai:gpt-4o", home=tmp_path, api_base=server.base_url, budget=DAY)
        job = session.submit_map([f"row {number}" for number in range(300)], "{value}", concurrency=8)

        def work(number):
            frame = session.map([f"{number}/{row}" for row in range(20)], "{value}", concurrency=4)
            assert list(frame["status"]) == ["ok"] * 20
            assert not job.wait(0) or job.done()
            session.close()

        children = [start_child(lambda number=number: work(number)) for number in range(4)]
        codes = [end_of(child) for child in children]
        assert codes == [0] * 4
        assert list(job.result()["status"]) == ["ok"] * 300
        assert len(session.usage()) == 380
        status = session.budget_status()[0]
        assert status.reserved_usd == 0
        assert float(status.spent_usd) == pytest.approx(session.usage()["cost_usd"].sum())
        session.close()


def test_a_connection_in_use_for_longer_than_a_fork_waits_is_not_used_in_the_child(tmp_path, monkeypatch):
    monkeypatch.setattr("ainb.fork.PAUSE_SECONDS", 0.1)
    store = JobStore(tmp_path)
    began, ended = threading.Event(), threading.Event()

    def write():
        with store._connection as db:
            db.execute("BEGIN IMMEDIATE")
            began.set()
            ended.wait(60)
            db.execute("ROLLBACK")

    thread = threading.Thread(target=write)
    thread.start()
    assert began.wait(30)

    def work():
        assert store._connection._db is None
        assert store.jobs() == []

    try:
        assert in_child(work) == 0
    finally:
        ended.set()
        thread.join(60)
    store.request_cancel(["job"])


def test_a_child_does_not_run_statements_on_a_connection_of_its_parent(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite3")
    with journal._connection as before:
        pass

    def work():
        with journal._connection as db:
            assert db is not before
        with pytest.raises(sqlite3.ProgrammingError):
            before.execute("SELECT 1")

    assert in_child(work) == 0


def answer(prompt):
    return f"answer to {prompt}"


def test_a_guarded_function_runs_in_the_child_of_a_process_whose_threads_had_run_it(tmp_path):
    session = ainb.Session("scripted:echo", home=tmp_path)
    guarded = session.guard(model="own")(answer)
    assert guarded("before") == "answer to before"

    def work():
        assert [guarded(f"in the child {number}") for number in range(3)][-1] == "answer to in the child 2"

    assert in_child(work) == 0
    session.close()
