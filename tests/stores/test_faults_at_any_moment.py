"""Tests of storage faults of log, day book, cache and cassette: at most one notice, no lost answer."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sqlite3
import threading
from decimal import Decimal

import pytest

import ainb
from ainb.events import Notice
from ainb.runtime import Runtime
from ainb.stores.cassette.file import _shared
from tests.fault_server import Fault, FaultServer

MODEL = "openai:gpt-4o"
ROWS = [f"row {number}" for number in range(10)]
STORES = {"log": "usage.sqlite3", "day book": "budget.sqlite3", "cache": "cache/cache.db"}


def sql_fault(text, code, kind=sqlite3.OperationalError):
    error = kind(text)
    error.sqlite_errorcode = code
    return error


SQL_FAULTS = {
    "full": sql_fault("database or disk is full", sqlite3.SQLITE_FULL),
    "locked": sql_fault("database is locked", sqlite3.SQLITE_BUSY),
    "read-only": sql_fault("attempt to write a readonly database", sqlite3.SQLITE_READONLY),
    "i/o": sql_fault("disk I/O error", sqlite3.SQLITE_IOERR),
    "no access": sql_fault("unable to open database file", sqlite3.SQLITE_CANTOPEN),
    "corrupt": sql_fault("database disk image is malformed", sqlite3.SQLITE_CORRUPT, sqlite3.DatabaseError),
    "foreign": sql_fault("file is not a database", sqlite3.SQLITE_NOTADB, sqlite3.DatabaseError),
    "changed": sql_fault("no such table: calls", sqlite3.SQLITE_ERROR),
}
OS_FAULTS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT, errno.EDQUOT, errno.EMFILE]


class FailingSql:
    """Connections to one file whose statement number `at`, or every one from it on, fails; None fails none.

    Statement 0 is the opening of the file.
    """

    def __init__(self, name, at=None, error=None, *, for_ever=False):
        self.name, self.at, self.error, self.for_ever = name, at, error, for_ever
        self.statements = []
        self.connect = sqlite3.connect
        self.counting = threading.Lock()

    def count(self, sql):
        with self.counting:
            number = len(self.statements)
            self.statements.append(sql)
        if self.at is not None and (number == self.at or (self.for_ever and number > self.at)):
            raise self.error

    def open(self, path, *args, **options):
        if not str(path).endswith(self.name):
            return self.connect(path, *args, **options)
        plan = self

        class Connection(sqlite3.Connection):
            def execute(self, sql, *values):
                plan.count(sql)
                return super().execute(sql, *values)

        self.count("open")
        return self.connect(path, *args, factory=Connection, **options)


class FailingOs:
    """System calls for one file, of which number `at`, or every one from it on, fails; None fails none."""

    NAMES = ("open", "stat", "replace", "fsync", "unlink", "lstat")

    def __init__(self, name, at=None, code=errno.ENOSPC, *, for_ever=False):
        self.name, self.at, self.code, self.for_ever = name, at, code, for_ever
        self.calls = []

    def install(self, patch):
        for name in self.NAMES:
            patch.setattr(os, name, self.failing(name, getattr(os, name)))
        patch.setattr(io, "open", self.failing("io.open", io.open))

    def failing(self, name, real):
        def call(*args, **named):
            # Calls with a file descriptor count, because only the cassette is synchronised here.
            if args and (isinstance(args[0], int) or self.name in str(args[0])):
                number = len(self.calls)
                self.calls.append(name)
                if self.at is not None and (number == self.at or (self.for_ever and number > self.at)):
                    raise OSError(self.code, os.strerror(self.code))
            return real(*args, **named)

        return call


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")


@pytest.fixture(scope="module")
def server():
    with FaultServer(plan=lambda seen: Fault(text=seen.body["messages"][-1]["content"].upper())) as running:
        yield running


@pytest.fixture
def work(tmp_path, server, monkeypatch):
    """Ask, run a batch, read all reports, close; in a new home if none is given."""
    homes = iter(range(100_000))

    def work(*, sql=None, files=None, home=None, harm=None, **options):
        home = home or tmp_path / f"home{next(homes)}"
        events, hits = [], server.hits
        with monkeypatch.context() as patch:
            if sql is not None:
                patch.setattr(sqlite3, "connect", sql.open)
            if files is not None:
                files.install(patch)
            config = ainb.Config(
                budget=ainb.Budget(usd=Decimal(100), per="day"), retry=None, circuit=None, **options
            )
            session = ainb.Session(
                MODEL, home=home, api_base=server.base_url, config=config, runtime=Runtime(sink=events.append)
            )
            assert session.ask("first").text == "FIRST"
            if harm is not None:
                harm(home)
            frame = session.map(ROWS, "{value}")
            assert session.ask("last").text == "LAST"
            for report in (session.usage, session.costs):
                # A report may be a one-line error.
                with contextlib.suppress(ainb.AinbError):
                    report()
            session.budget_status()
            session.status()
            session.close()
        assert list(frame["status"]) == ["ok"] * len(ROWS), frame["error_message"].unique()
        assert list(frame["reply"]) == [row.upper() for row in ROWS]
        notices = [item for item in events if isinstance(item, Notice) and item.kind != "forecast"]
        return notices, server.hits - hits

    return work


def moments(statements):
    """The first and second, some middle ones, the last two, and the first of each kind."""
    count = len(statements)
    first_of_each = {sql.split("(")[0][:40]: at for at, sql in reversed(list(enumerate(statements)))}
    some = {0, 1, count // 4, count // 2, 3 * count // 4, count - 2, count - 1}
    return sorted((some & set(range(count))) | set(first_of_each.values()))


def few(statements):
    """The first, an early one, a middle one, the last."""
    return sorted({0, len(statements) // 4, len(statements) // 2, len(statements) - 1})


@pytest.fixture(scope="module")
def statements():
    """The statements of a run without a fault, by store; run once for all faults of a store."""
    return {}


def check_moments(work, statements, store, fault, choose, *, for_ever=False):
    if store not in statements:
        clean = FailingSql(STORES[store])
        assert work(sql=clean)[1] == len(ROWS) + 2
        statements[store] = clean.statements

    for at in choose(statements[store]):
        failing = FailingSql(STORES[store], at, SQL_FAULTS[fault], for_ever=for_ever)
        notices, paid = work(sql=failing)

        place = (at, statements[store][at], notices)
        assert paid == len(ROWS) + 2, place
        assert len(notices) <= 1, place
        assert all("\n" not in notice.text for notice in notices)


@pytest.mark.parametrize("fault", SQL_FAULTS)
@pytest.mark.parametrize("store", STORES)
def test_a_statement_may_fail_once_at_any_moment(work, statements, store, fault):
    check_moments(work, statements, store, fault, few)


@pytest.mark.parametrize("fault", ["full", "locked", "corrupt"])
@pytest.mark.parametrize("store", STORES)
def test_every_statement_may_fail_from_a_moment_on(work, statements, store, fault, monkeypatch):
    # The default time limit for a lock is tested elsewhere.
    monkeypatch.setattr("ainb.stores.day_book.book.MAX_LOCKED_SECONDS", 0.2)
    check_moments(work, statements, store, fault, few, for_ever=True)


@pytest.mark.slow
@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("fault", SQL_FAULTS)
@pytest.mark.parametrize("store", STORES)
def test_statements_of_every_kind_may_fail(work, statements, store, fault, for_ever, monkeypatch):
    monkeypatch.setattr("ainb.stores.day_book.book.MAX_LOCKED_SECONDS", 0.2)
    check_moments(work, statements, store, fault, moments, for_ever=for_ever)


def unlink(path):
    path.unlink()


def tear(path):
    with path.open("r+b") as file:
        file.write(b"torn" * 3_000)


def cut(path):
    os.truncate(path, 700)


def empty(path):
    os.truncate(path, 0)


def put_folder(path):
    path.unlink()
    path.mkdir()


def put_foreign(path):
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE spent (other)")
        db.execute("CREATE TABLE calls (other)")
        db.execute("CREATE VIEW held AS SELECT 1 AS account")
        db.execute("CREATE TABLE Cache (other)")
        db.execute("CREATE TABLE Settings (key, value)")
        db.execute("PRAGMA user_version = 1")


def put_text(path):
    path.unlink()
    path.write_text("This is not a database.\n" * 500)


def put_link(path):
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


HARMS = [unlink, tear, cut, empty, put_folder, put_foreign, put_text, put_link]


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("store", STORES)
def test_a_file_may_be_harmed_while_it_is_used_and_before(work, tmp_path, store, harm):
    def act(home):
        path = home / STORES[store]
        for end in ("-wal", "-shm"):
            if harm is not tear:
                path.with_name(path.name + end).unlink(missing_ok=True)
        if path.exists():
            harm(path)

    for home in (tmp_path / "used", tmp_path / "before"):
        if home.name == "before":
            work(home=home, cache=None)
            act(home)
        notices, paid = work(home=home, harm=act if home.name == "used" else None)
        assert paid <= len(ROWS) + 2
        assert len(notices) <= 1, (home.name, notices)
        # A broken file stays broken until the user moves it; there may be another notice, and no call fails.
        notices, paid = work(home=home)
        assert len(notices) <= 1, (home.name, notices)


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """Makes a new folder with a notebook for each run."""
    numbers = iter(range(100_000))

    def make():
        folder = tmp_path / f"notebook{next(numbers)}"
        folder.mkdir()
        (folder / "nb.ipynb").write_text("{}")
        monkeypatch.chdir(folder)
        monkeypatch.setenv("AINB_NOTEBOOK", str(folder / "nb.ipynb"))
        _shared.clear()
        return folder / "nb.ainb.jsonl"

    yield make
    _shared.clear()


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("code", OS_FAULTS, ids=errno.errorcode.get)
def test_a_system_call_for_the_cassette_may_fail_at_any_moment(work, notebook, code, for_ever):
    notebook()
    clean = FailingOs("nb.ainb.jsonl")
    assert work(files=clean, replay="record")[1] == len(ROWS) + 2

    for at in few(clean.calls):
        cassette = notebook()
        failing = FailingOs(cassette.name, at, code, for_ever=for_ever)
        notices, paid = work(files=failing, replay="record")

        assert paid == len(ROWS) + 2, (at, clean.calls[at])
        assert len(notices) <= 1, (at, clean.calls[at], notices)
        assert [item.name for item in cassette.parent.iterdir() if item.suffix == ".tmp"] == [] or for_ever
        # A missing file is created again.
        if not for_ever and not notices and code != errno.ENOENT:
            assert len(cassette.read_bytes().splitlines()) == len(ROWS) + 2, (at, clean.calls[at])


@pytest.mark.parametrize("harm", [unlink, cut, empty, put_folder, put_text, put_link])
def test_a_cassette_may_be_harmed_while_it_is_recorded(work, notebook, harm):
    cassette = notebook()
    notices, paid = work(replay="record", harm=lambda _home: harm(cassette))

    assert paid == len(ROWS) + 2
    assert len(notices) <= 1, notices


def test_every_fault_of_these_tests_reaches_the_store(work):
    """The statements come from the store, so that it meets the faults."""
    for store, least in {"log": 10, "day book": 20, "cache": 10}.items():
        seen = FailingSql(STORES[store])
        work(sql=seen)
        assert len(seen.statements) >= least, store
