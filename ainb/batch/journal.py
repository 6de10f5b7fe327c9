"""What a batch has finished, on disk before it is shown: an interrupted run goes on where it stopped.

One SQLite file for all runs of a home. A row is found by the hash of what it sends, so identical rows share one
entry and a changed prompt runs again. Results are committed in groups by one thread; a result counts only when
the commit that holds it is through.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ainb.errors import AinbError
from ainb.stores.files import make_private
from ainb.stores.many_rows import insert_few, insert_rows
from ainb.stores.sqlite import tie

SCHEMA_VERSION = 1
BUSY_SECONDS = 10.0
GROUP_ROWS = 2_000
GATHER_SECONDS = 0.001
FEW_ROWS = 128
KEEP_FINISHED_SECONDS = 30 * 86_400.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, identity TEXT NOT NULL, title TEXT NOT NULL, model TEXT NOT NULL,
    started_at REAL NOT NULL, finished_at REAL, row_count INTEGER) STRICT;
CREATE INDEX IF NOT EXISTS runs_identity ON runs (identity, started_at);
CREATE TABLE IF NOT EXISTS rows (
    run_id TEXT NOT NULL, row_key TEXT NOT NULL, status TEXT NOT NULL, cost_nano_usd INTEGER, outcome TEXT NOT NULL,
    PRIMARY KEY (run_id, row_key)) STRICT, WITHOUT ROWID;
"""

_INSERT = "INSERT OR REPLACE INTO rows"
_Row = tuple[str, str, str, int | None, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One finished row as it stands in the journal.

    Attributes:
        row_key: Hash of what the row sends.
        status: "ok" or "error"; rejected and cancelled rows are not finished and are not kept.
        cost_nano_usd: What it cost in 1e-9 USD; None when unknown.
        outcome: JSON text of the result.
    """

    row_key: str
    status: str
    cost_nano_usd: int | None
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a batch.

    Attributes:
        run_id: Its id.
        identity: Hash of home, notebook or script, template, parameters and model: what makes two runs the same work.
        title: The beginning of the template, for people.
        model: ``provider:model``.
        started_at: Wall-clock seconds since 1970.
        finished_at: The same at its end; None while unfinished.
        row_count: Rows of the source once it was read to its end; None before.
        done: Rows answered.
        failed: Rows that ended in an error.
        cost_nano_usd: Sum of what is known, in 1e-9 USD.
        unpriced: Rows without a known price.
    """

    run_id: str
    identity: str
    title: str
    model: str
    started_at: float
    finished_at: float | None
    row_count: int | None
    done: int
    failed: int
    cost_nano_usd: int
    unpriced: int


class Journal:
    """The file of all runs of a home; one handle a process, safe for several kernels.

    Args:
        path: The SQLite file; its folder is made with mode 0700 and the file with 0600.
        mode: Of SQLite's own journal; "TRUNCATE" for a file that one process at a time writes and that may lie on a network
            folder, where "WAL" does not work.

    Raises:
        AinbError: The file cannot be used: a batch that may not be resumed is refused rather than run unawares.
    """

    def __init__(self, path: Path, *, mode: Literal["WAL", "TRUNCATE"] = "WAL") -> None:
        self.path = path
        self._mode = mode
        self._lock = threading.Lock()
        try:
            make_private(path)
            self._reader = self._connect()
            self._close_reader = tie(self._reader, self)
            with self._reader:
                self._reader.execute("BEGIN IMMEDIATE")
                self._migrate(self._reader)
        except (OSError, sqlite3.Error) as error:
            raise AinbError(
                f"the journal of batches cannot be used ({error}); mend or move {path.name} in the home folder, "
                "or run the batch with journal=False, and it cannot be resumed"
            ) from None
        self._writer = _GroupWriter(self._connect)

    def unfinished(self, identity: str) -> str | None:
        """Id of the newest unfinished run of the same work, or None."""
        row = self._one(
            "SELECT run_id, finished_at FROM runs WHERE identity = ? ORDER BY started_at DESC LIMIT 1",
            identity,
        )
        return None if row is None or row[1] is not None else str(row[0])

    def latest(self, identity: str) -> str | None:
        """Id of the newest run of the same work, finished or not, or None."""
        row = self._one(
            "SELECT run_id FROM runs WHERE identity = ? ORDER BY started_at DESC LIMIT 1", identity
        )
        return None if row is None else str(row[0])

    def start(self, run_id: str, *, identity: str, title: str, model: str, now: float) -> None:
        """Open a run, unless it is there already, and forget runs that finished long ago."""
        with self._lock, self._reader as connection:
            connection.execute("BEGIN IMMEDIATE")
            old = now - KEEP_FINISHED_SECONDS
            connection.execute(
                "DELETE FROM rows WHERE run_id IN (SELECT run_id FROM runs WHERE finished_at < ?)", (old,)
            )
            connection.execute("DELETE FROM runs WHERE finished_at < ?", (old,))
            connection.execute(
                "INSERT OR IGNORE INTO runs (run_id, identity, title, model, started_at) VALUES (?, ?, ?, ?, ?)",
                (run_id, identity, title, model, now),
            )

    def finish(self, run_id: str, *, row_count: int, now: float) -> None:
        """Close a run: the next one of the same work starts anew."""
        with self._lock, self._reader as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "UPDATE runs SET finished_at = ?, row_count = ? WHERE run_id = ?", (now, row_count, run_id)
            )

    def find(self, run_id: str, row_key: str) -> Entry | None:
        """The finished row, or None."""
        query = "SELECT row_key, status, cost_nano_usd, outcome FROM rows WHERE run_id = ? AND row_key = ?"
        row = self._one(query, run_id, row_key)
        return None if row is None else Entry(**dict(zip(Entry.__dataclass_fields__, row, strict=True)))

    def has_rows(self, run_id: str) -> bool:
        """Whether any row of the run is finished."""
        return self._one("SELECT 1 FROM rows WHERE run_id = ? LIMIT 1", run_id) is not None

    def write(self, run_id: str, entry: Entry) -> asyncio.Future[None]:
        """Hand over a finished row; the future is done when the commit that holds it is through."""
        return self._writer.put((run_id, entry.row_key, entry.status, entry.cost_nano_usd, entry.outcome))

    def runs(self) -> list[Run]:
        """Every run, newest first."""
        with self._lock:
            found = self._reader.execute(
                "SELECT r.run_id, identity, title, model, started_at, finished_at, row_count,"
                " count(CASE WHEN status = 'ok' THEN 1 END), count(CASE WHEN status = 'error' THEN 1 END),"
                " coalesce(sum(cost_nano_usd), 0), count(status) - count(cost_nano_usd)"
                " FROM runs r LEFT JOIN rows USING (run_id) GROUP BY r.run_id ORDER BY started_at DESC"
            ).fetchall()
        names = Run.__dataclass_fields__
        return [Run(**dict(zip(names, row, strict=True))) for row in found]

    def close(self) -> None:
        """Commit what was handed over and let go of the file."""
        self._writer.close()
        with self._lock:
            self._close_reader()

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._reader.execute(query, values).fetchone()
        return row

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute(f"PRAGMA journal_mode = {self._mode}")
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection

    @staticmethod
    def _migrate(connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"it was written by a newer ainb, version {version} of its tables")
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


class _GroupWriter:
    """Commits what has gathered for a moment, or while the commit before was under way.

    Everything but the commit itself happens on the loop, so a group costs two thread hops however many rows it holds; a group
    a row would spend more on them than on the rest of the row.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ainb-journal")
        self._waiting: list[tuple[_Row, asyncio.Future[None]]] = []
        self._busy = False

    def put(self, row: _Row) -> asyncio.Future[None]:
        """Queue a row from the running loop."""
        loop = asyncio.get_running_loop()
        committed: asyncio.Future[None] = loop.create_future()
        self._waiting.append((row, committed))
        if not self._busy:
            self._busy = True
            loop.call_later(GATHER_SECONDS, self._begin, loop)
        return committed

    def close(self) -> None:
        self._pool.submit(self._disconnect)
        self._pool.shutdown(wait=True)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        group, self._waiting = self._waiting[:GROUP_ROWS], self._waiting[GROUP_ROWS:]
        self._pool.submit(self._commit_group, loop, group)

    def _commit_group(
        self, loop: asyncio.AbstractEventLoop, group: list[tuple[_Row, asyncio.Future[None]]]
    ) -> None:
        fault: Exception | None = None
        try:
            self._commit([row for row, _ in group])
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told
            fault = error
        with contextlib.suppress(RuntimeError):  # the loop has ended, and those who waited with it
            loop.call_soon_threadsafe(self._end, loop, [committed for _, committed in group], fault)

    def _end(
        self, loop: asyncio.AbstractEventLoop, group: list[asyncio.Future[None]], error: Exception | None
    ) -> None:
        for committed in group:
            if committed.done():
                continue
            if error is None:
                committed.set_result(None)
            else:
                committed.set_exception(AinbError(f"the journal cannot be written ({error})"))
        if self._waiting:
            loop.call_later(GATHER_SECONDS, self._begin, loop)
        else:
            self._busy = False

    def _commit(self, rows: list[_Row]) -> None:
        if self._connection is None:
            self._connection = self._connect()
            tie(self._connection, self)
        connection = self._connection
        if len(rows) <= FEW_ROWS:
            insert_few(connection, _INSERT, rows)
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            insert_rows(connection, _INSERT, rows)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
