"""Commits journal rows in groups, on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ainb.batch.journal.errors import JournalError
from ainb.stores.sqlite import PausedConnection, insert_few, insert_rows, transaction

GROUP_ROWS = 2_000
GATHER_SECONDS = 0.001
FEW_ROWS = 128

_INSERT = "INSERT OR REPLACE INTO rows"
_Row = tuple[str, str, str, int | None, str]


class GroupWriter:
    """Commits the rows that arrived within a millisecond, or during the previous commit, in one transaction.

    Everything but the commit runs on the loop, so that a group costs two thread switches for any number of
    rows. One commit per row would cost more than the rest of the row.

    Args:
        connect: Opens the journal.
        before_commit: Called before each commit, on the thread of the commit.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], before_commit: Callable[[], None]) -> None:
        self._before_commit = before_commit
        self._connection = PausedConnection(connect)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ainb-journal")
        self._waiting: list[tuple[_Row, asyncio.Future[None]]] = []
        self._busy = False

    def put(self, row: _Row) -> asyncio.Future[None]:
        """Queue a row from the running loop; the future is done when the row is committed."""
        loop = asyncio.get_running_loop()
        committed: asyncio.Future[None] = loop.create_future()
        self._waiting.append((row, committed))
        if not self._busy:
            self._busy = True
            loop.call_later(GATHER_SECONDS, self._begin, loop)
        return committed

    def close(self) -> None:
        """Commit the queued rows and close the connection."""
        self._pool.shutdown(wait=True)
        self._connection.close()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        group, self._waiting = self._waiting[:GROUP_ROWS], self._waiting[GROUP_ROWS:]
        self._pool.submit(self._commit_group, loop, group)

    def _commit_group(
        self, loop: asyncio.AbstractEventLoop, group: list[tuple[_Row, asyncio.Future[None]]]
    ) -> None:
        fault: Exception | None = None
        try:
            self._before_commit()
            self._commit([row for row, _ in group])
        except Exception as error:  # noqa: BLE001 - the waiting rows receive it
            fault = error
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the waiting rows with it
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
                committed.set_exception(JournalError(f"the journal of batches cannot be written ({error})"))
        if self._waiting:
            loop.call_later(GATHER_SECONDS, self._begin, loop)
        else:
            self._busy = False

    def _commit(self, rows: list[_Row]) -> None:
        with self._connection as connection:
            if len(rows) <= FEW_ROWS:
                insert_few(connection, _INSERT, rows)
                return
            with transaction(connection):
                insert_rows(connection, _INSERT, rows)
