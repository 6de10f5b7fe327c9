"""Tests of storage faults in a batch: each costs at most a notice, and no paid row is lost."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import ainb
from ainb.batch.files import stream
from ainb.batch.journal import store
from ainb.events import Notice
from ainb.runtime import Runtime

ROWS = [f"row {number}" for number in range(40)]
SQL_FAULTS = {
    "full": sqlite3.OperationalError("database or disk is full"),
    "locked": sqlite3.OperationalError("database is locked"),
    "read-only": sqlite3.OperationalError("attempt to write a readonly database"),
    "i/o": sqlite3.OperationalError("disk I/O error"),
    "corrupt": sqlite3.DatabaseError("database disk image is malformed"),
    "deleted": sqlite3.OperationalError("no such table: rows"),
}
OS_FAULTS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT, errno.EDQUOT]


class FailingSql:
    """Journal connections whose statement number `at` and the next `also` ones fail; None fails none."""

    def __init__(self, at=None, error=None, *, also=0):
        self.at, self.error, self.also = at, error, also
        self.statements = []

    def connect(self, path, **options):
        plan = self

        class Connection(sqlite3.Connection):
            def execute(self, sql, *values):
                number = len(plan.statements)
                plan.statements.append(sql)
                if plan.at is not None and plan.at <= number <= plan.at + plan.also:
                    raise plan.error
                return super().execute(sql, *values)

        return sqlite3.connect(path, factory=Connection, **options)


class FailingOs:
    """System calls for a result file, of which number `at` and the next `also` ones fail; None fails none."""

    def __init__(self, at=None, code=errno.ENOSPC, *, also=0):
        self.at, self.code, self.also = at, code, also
        self.calls = []

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in {"open", "write", "ftruncate", "lseek", "fsync", "replace", "close"}:
            return real

        def call(*args, **named):
            number = len(self.calls)
            self.calls.append(name)
            if self.at is not None and self.at <= number <= self.at + self.also:
                if name == "write":  # a partial write
                    real(args[0], bytes(args[1])[:7])
                raise OSError(self.code, os.strerror(self.code))
            return real(*args, **named)

        return call


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the batch in a new home; returns the result, the notices and the number of paid calls."""
    homes = iter(range(100_000))

    def run(sql=None, files=None, *, out=None, home=None, **options):
        paid, events = [], []

        def answer(item):
            paid.append(item)
            return "x"

        home = home or tmp_path / f"home{next(homes)}"
        home.mkdir(mode=0o700, exist_ok=True)
        with monkeypatch.context() as patch:
            if sql is not None:
                fake = type("sqlite", (), {**vars(sqlite3), "connect": staticmethod(sql.connect)})
                patch.setattr(store, "sqlite3", fake)
            if files is not None:
                patch.setattr(stream, "os", files)
            with ainb.Session(
                "scripted:echo", home=home, cache=None, runtime=Runtime(sink=events.append)
            ) as session:
                more = {} if out is None else {"out": home / out}
                result = session.map(ROWS, answer, **more, **options)
        kinds = [event.text for event in events if isinstance(event, Notice) and event.kind != "forecast"]
        return result, kinds, len(paid)

    return run


def moments(count):
    """The first and second, some middle ones, and the last two."""
    return sorted({0, 1, count // 4, count // 2, 3 * count // 4, count - 2, count - 1} & set(range(count)))


@pytest.mark.parametrize("kind", SQL_FAULTS)
def test_each_statement_of_the_journal_may_fail_once(run, kind):
    clean = FailingSql()
    run(clean)
    first_of_each = {sql.split("(")[0][:60]: at for at, sql in reversed(list(enumerate(clean.statements)))}
    at_all = sorted({*moments(len(clean.statements)), *first_of_each.values()})

    for at in at_all:
        result, notices, paid = run(FailingSql(at, SQL_FAULTS[kind]))

        assert list(result["reply"]) == ["x"] * len(ROWS), clean.statements[at]
        assert paid == len(ROWS), clean.statements[at]
        # A failed ROLLBACK, or PRAGMA of an extra connection, may give no notice; there is never a second
        # one.
        assert len(notices) <= 1, (clean.statements[at], notices)
        assert notices or "user_version" not in clean.statements[at]


@pytest.mark.parametrize("kind", ["full", "locked", "corrupt"])
def test_a_journal_that_fails_from_some_moment_on_costs_one_notice(run, kind):
    clean = FailingSql()
    run(clean)

    for at in moments(len(clean.statements)):
        result, notices, paid = run(FailingSql(at, SQL_FAULTS[kind], also=10_000))

        assert list(result["reply"]) == ["x"] * len(ROWS)
        assert paid == len(ROWS)
        # Rows are committed in groups, so another run may have fewer statements.
        assert len(notices) == 1 or (at > len(clean.statements) // 2 and not notices), notices


@pytest.mark.parametrize("kind", ["i/o", "corrupt"])
def test_reading_an_unfinished_run_may_fail_at_any_statement(run, tmp_path, kind):
    home = tmp_path / "resumed"
    run(home=home)

    def reopen():
        with contextlib.closing(sqlite3.connect(home / "journal.sqlite3")) as journal, journal:
            journal.execute("UPDATE runs SET finished_at = NULL")

    reopen()
    clean = FailingSql()
    assert run(clean, home=home)[2] == 0
    for at in moments(len(clean.statements)):
        reopen()
        result, notices, paid = run(FailingSql(at, SQL_FAULTS[kind]), home=home)

        assert list(result["reply"]) == ["x"] * len(ROWS)
        assert len(notices) <= 1
        assert paid <= len(ROWS)


@pytest.mark.parametrize("end", [".csv", ".jsonl", ".parquet", ".csv.gz"])
@pytest.mark.parametrize("code", OS_FAULTS)
def test_each_call_for_a_result_file_may_fail_once(run, monkeypatch, end, code):
    monkeypatch.setattr("ainb.batch.files.ordered.PIECE_ROWS", 8)
    clean = FailingOs()
    whole = read(run(None, clean, out=f"t{end}")[0])
    first_of_each = {name: at for at, name in reversed(list(enumerate(clean.calls)))}

    for at in sorted({*moments(len(clean.calls)), *first_of_each.values()}):
        path, notices, paid = run(None, FailingOs(at, code), out=f"t{end}")

        assert paid == len(ROWS)
        assert path.name == f"t{end}"
        assert read(path) == whole, clean.calls[at]
        assert len(notices) <= 1
        assert [item for item in path.parent.iterdir() if item.name.endswith(".tmp")] == []


@pytest.mark.parametrize("end", [".csv", ".jsonl", ".parquet"])
def test_a_result_file_that_cannot_be_written_at_all_is_put_elsewhere(run, monkeypatch, tmp_path, end):
    monkeypatch.setattr("ainb.batch.files.ordered.PIECE_ROWS", 8)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    clean = FailingOs()
    whole = read(run(None, clean, out=f"t{end}")[0])

    for at in (0, len(clean.calls) // 2):
        path, notices, paid = run(None, FailingOs(at, also=10_000), out=f"t{end}")

        assert paid == len(ROWS)
        assert path.parent == elsewhere
        assert read(path) == whole
        assert len(notices) == 2
        assert str(path) in notices[1]


def read(path):
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else None
    if frame is None:
        frame = pd.read_json(path, lines=True) if path.suffix == ".jsonl" else pd.read_csv(path)
    return frame.drop(columns=["duration_s"]).astype(str).to_dict("list")


def test_a_journal_that_is_deleted_or_torn_while_it_runs_costs_no_row(run, tmp_path):
    for number, harm in enumerate((Path.unlink, lambda path: path.write_bytes(b"torn" * 2_000))):
        home = tmp_path / f"harmed{number}"
        done = Counter()

        def watch(progress, home=home, harm=harm, done=done):
            if progress.done > 5 and not done["harmed"]:
                done["harmed"] += 1
                harm(home / "journal.sqlite3")

        result, notices, paid = run(home=home, watcher=watch, concurrency=1)

        assert list(result["reply"]) == ["x"] * len(ROWS)
        assert paid == len(ROWS)
        assert len(notices) <= 1
