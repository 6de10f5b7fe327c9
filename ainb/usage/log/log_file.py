"""Log file of a writer: opened when needed, reopened after it was moved, pruned as it grows."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from ainb.clock import Clock
from ainb.stores.sqlite import close_with
from ainb.usage.log.options import Log
from ainb.usage.log.rollups import prune
from ainb.usage.log.store import LogStore, open_log
from ainb.usage.rows import Row

PRUNE_EVERY_ROWS = 20_000
PRUNE_LIMIT_ROWS = 20_000
_DAY_US = 86_400_000_000


class LogFile:
    """One log file, or a log in memory. Not thread-safe: `Writer` calls it under its lock.

    Attributes:
        in_memory: Whether rows go to a database in memory: there is no path, or a newer ainb wrote the file.
    """

    def __init__(self, path: Path | None, clock: Clock, options: Log, warn: Callable[[str], None]) -> None:
        self.in_memory = path is None
        self._path = path
        self._clock = clock
        self._options = options
        self._warn = warn
        self._since_prune = PRUNE_EVERY_ROWS  # the first rows of a process cause pruning, too
        self._store: LogStore | None = None
        self._inode: tuple[int, int] | None = None

    def open(self) -> LogStore:
        """The open log.

        Raises:
            NewerLogError: A newer ainb wrote it.
            sqlite3.Error, OSError: It cannot be opened or written.
        """
        path = None if self.in_memory else self._path
        if path is not None and self._store is not None and _inode(path) != self._inode:
            self.close()  # the file was moved away
        if self._store is None:
            self._store = LogStore(open_log(path))
            close_with(self._store.connection, self._store)
            self._inode = None if path is None else _inode(path)
        return self._store

    def add(self, rows: list[Row]) -> None:
        """Add rows in one transaction, and prune the log when due.

        Raises:
            NewerLogError: A newer ainb wrote it.
            sqlite3.Error, OSError: It cannot be opened or written.
        """
        store = self.open()
        try:
            store.add(rows)
        except (TypeError, ValueError, ArithmeticError):
            lost = store.add_what_fits(rows)
            if lost:
                self._warn(f"{lost} usage rows were lost: they hold values that SQLite cannot store")
        self._since_prune += len(rows)
        if self._since_prune >= PRUNE_EVERY_ROWS:
            self._since_prune = 0
            self._prune(store)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._store is not None:
            with contextlib.suppress(sqlite3.Error):
                self._store.close()
        self._store = None

    def forget(self) -> None:
        """Drop the parent's connection in a forked child, without closing it."""
        self._store = None

    def _prune(self, store: LogStore) -> None:
        age, max_rows = self._options.max_age_days, self._options.max_rows
        oldest = None if age is None else int(self._clock.unix() * 1_000_000 - age * _DAY_US)
        # A locked log is pruned later.
        with contextlib.suppress(sqlite3.Error):
            if prune(store.connection, oldest_us=oldest, max_rows=max_rows, limit=PRUNE_LIMIT_ROWS):
                self._since_prune = PRUNE_EVERY_ROWS // 2


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
