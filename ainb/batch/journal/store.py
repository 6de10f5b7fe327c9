"""Journal of finished rows: committed before they are shown, so that an interrupted run can be resumed.

One SQLite file for all runs of a home. The key of a row is the hash of its request: identical rows share one
entry, and a changed prompt is sent again. A row counts as finished once it is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ainb.batch.journal.errors import JournalError
from ainb.batch.journal.group_writer import GroupWriter
from ainb.batch.results.row_result import RowResult
from ainb.stores.files import make_private
from ainb.stores.sqlite import PausedConnection, transaction

JOURNAL_FILE = "journal.sqlite3"
SCHEMA_VERSION = 1
BUSY_SECONDS = 10.0
MAX_UNIX = 2.0**33  # in the year 2242; pandas holds times up to 2262
KEEP_FINISHED_SECONDS = 30 * 86_400.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, identity TEXT NOT NULL, title TEXT NOT NULL, model TEXT NOT NULL,
    started_at REAL NOT NULL, finished_at REAL, row_count INTEGER) STRICT;
CREATE INDEX IF NOT EXISTS runs_identity ON runs (identity, started_at);
CREATE TABLE IF NOT EXISTS rows (
    run_id TEXT NOT NULL, row_key TEXT NOT NULL, status TEXT NOT NULL,
    cost_nano_usd INTEGER, outcome TEXT NOT NULL,
    PRIMARY KEY (run_id, row_key)) STRICT, WITHOUT ROWID;
"""


class RunSummary(NamedTuple):
    """A run in the journal with counts of its rows.

    Attributes:
        run_id: Its id.
        title: Beginning of the template, for display.
        model: ``provider:model``.
        started_at: Wall-clock seconds since 1970.
        finished_at: Wall-clock seconds of its end; None while unfinished.
        rows: Rows of the source; None until it was read to its end.
        done: Rows answered.
        failed: Rows that ended in an error.
        cost_nano_usd: Sum of the known costs, in 1e-9 USD.
    """

    run_id: str
    title: str
    model: str
    started_at: float
    finished_at: float | None
    rows: int | None
    done: int
    failed: int
    cost_nano_usd: int

    @property
    def cost_usd(self) -> float:
        """Sum of the known costs in USD."""
        return self.cost_nano_usd / 1e9


class Journal:
    """File of all runs of a home; one instance per process, safe for several kernels.

    Args:
        path: The SQLite file; its folder is created with mode 0700 and the file with 0600.
        mode: Mode of SQLite's own journal; "TRUNCATE" for a file with one writing process that may be on a
            network folder, where "WAL" does not work.
        before_commit: Called before rows are committed, on another thread.

    Every method raises `JournalError` when the file fails (disk full, locked, damaged, …).

    Raises:
        JournalError: The file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        mode: Literal["WAL", "TRUNCATE"] = "WAL",
        before_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        connect = functools.partial(_connect, path, mode)
        self._connection = PausedConnection(connect)
        try:
            make_private(path)
            with self._transaction() as connection:
                self._migrate(connection)
        except (OSError, sqlite3.Error, JournalError) as error:
            raise JournalError(
                f"the journal of batches cannot be used ({error}); "
                f"repair or move {path.name} in the home folder, or "
                "give journal=False"
            ) from None
        self._writer = GroupWriter(connect, before_commit)

    def newest(self, identity: str, *, finished: bool) -> str | None:
        """Id of the newest run of the same work, or None; a finished one only if `finished` is True."""
        query = "SELECT run_id, finished_at FROM runs WHERE identity = ? ORDER BY started_at DESC LIMIT 1"
        run_id, finished_at = self._one(query, identity) or (None, None)
        if finished_at is not None and not finished:
            return None
        return run_id if isinstance(run_id, str) and run_id else None

    def start(self, run_id: str, *, identity: str, title: str, model: str, now: float) -> None:
        """Register a run if it is new, and delete runs that finished more than 30 days ago."""
        with self._transaction() as connection:
            old = now - KEEP_FINISHED_SECONDS
            connection.execute(
                "DELETE FROM rows WHERE run_id IN (SELECT run_id FROM runs WHERE finished_at < ?)", (old,)
            )
            connection.execute("DELETE FROM runs WHERE finished_at < ?", (old,))
            connection.execute(
                "INSERT OR IGNORE INTO runs (run_id, identity, title, model, started_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (run_id, identity, title, model, now),
            )

    def finish(self, run_id: str, *, row_count: int, now: float) -> None:
        """Mark a run as finished: the next one of the same work starts anew."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE runs SET finished_at = ?, row_count = ? WHERE run_id = ?", (now, row_count, run_id)
            )

    def find(self, run_id: str, row_key: str) -> RowResult | None:
        """Result of a finished row; None without a valid one."""
        row = self._one("SELECT outcome FROM rows WHERE run_id = ? AND row_key = ?", run_id, row_key)
        try:
            return None if row is None else RowResult.from_json(row[0])
        except ValueError:
            return None

    def has_rows(self, run_id: str) -> bool:
        """Whether any row of the run is finished."""
        return self._one("SELECT 1 FROM rows WHERE run_id = ? LIMIT 1", run_id) is not None

    def write(self, run_id: str, row_key: str, result: RowResult) -> asyncio.Future[None]:
        """Queue a finished row; the future is done when the row is committed."""
        return self._writer.put((run_id, row_key, result.status, result.cost_nano_usd, result.to_json()))

    def runs(self) -> list[RunSummary]:
        """Every run, newest first."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT r.run_id, title, model, started_at, finished_at, row_count,"
                " count(CASE WHEN status = 'ok' THEN 1 END), count(CASE WHEN status = 'error' THEN 1 END),"
                " CAST(total(cost_nano_usd) AS INTEGER)"
                " FROM runs r LEFT JOIN rows USING (run_id) GROUP BY r.run_id ORDER BY started_at DESC"
            ).fetchall()
        return [run for run in itertools.starmap(RunSummary, found) if _is_valid(run)]

    def close(self) -> None:
        """Commit the queued rows and close the file."""
        self._writer.close()
        self._connection.close()

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        with self._reading() as connection:
            row: tuple[Any, ...] | None = connection.execute(query, values).fetchone()
        return row

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._connection as connection:
                yield connection
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"the journal of batches cannot be read ({error})") from None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._connection as connection, transaction(connection):
                yield connection
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"the journal of batches cannot be written ({error})") from None

    @staticmethod
    def _migrate(connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"it was written by a newer ainb, version {version} of its tables")
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_time(value: object) -> bool:
    return isinstance(value, float) and 0 <= value < MAX_UNIX


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_valid(run: RunSummary) -> bool:
    """Whether all values of a run are possible; the file may have been edited."""
    return (
        all(isinstance(text, str) for text in (run.run_id, run.title, run.model))
        and _is_time(run.started_at)
        and (run.finished_at is None or _is_time(run.finished_at))
        and (run.rows is None or _is_count(run.rows))
        and all(map(_is_count, (run.done, run.failed, run.cost_nano_usd)))
    )
