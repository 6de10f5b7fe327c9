"""diskcache restricted to plain text: the file cannot run code, access other files or change settings.

diskcache's `Disk` unpickles rows that are marked as pickles, and its JSONDisk does the same one step later. A
row may also name a file to read, or a file to delete when the row is overwritten. Every row of the table
``Settings`` becomes an attribute or a PRAGMA. Here a row is text or an error, and the settings are those
written below.

Source: CVE-2025-69872 (diskcache up to 5.6.3).
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import DBNAME, ENOVAL, METADATA, MODE_RAW, UNKNOWN

from ainb.clock import SYSTEM_CLOCK
from ainb.fork import new_lock
from ainb.stores.base import MAX_TEXT_BYTES
from ainb.stores.disk.faults import TamperedRowError
from ainb.stores.sqlite import close_with, insert_rows, transaction

FILE_NAME: str = DBNAME
BESIDE = ("-wal", "-shm", "-journal")

READ_BUSY_SECONDS = 0.05
WRITE_BUSY_SECONDS = 10.0
OPEN_TRIES = 100
OPEN_PAUSE_SECONDS = 0.005
MOST_NAMES = 32
MAX_COLUMN_BYTES = MAX_TEXT_BYTES + 2**20

# Complete, so that no setting is taken from the file. No memory map: truncating a mapped file kills the
# process.
SETTINGS = {
    "statistics": 0,
    "tag_index": 0,
    "eviction_policy": "none",
    "size_limit": 2**62,
    "cull_limit": 0,
    "sqlite_auto_vacuum": 1,
    "sqlite_cache_size": 2**11,
    "sqlite_journal_mode": "wal",
    "sqlite_mmap_size": 0,
    "sqlite_synchronous": 1,
    "disk_min_file_size": 2**62,
    "disk_pickle_protocol": 0,
}

# Columns and values as in diskcache, whose own ``set`` takes three statements per row.
_COLUMNS = "key raw store_time expire_time access_time access_count tag size mode filename value".split()  # noqa: SIM905 - one line
_SELECT = "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = 1"
_HELD = f"SELECT key FROM Cache WHERE raw = 1 AND key IN ({', '.join('?' * MOST_NAMES)})"  # noqa: S608 - fixed text
_INSERT = f"INSERT INTO Cache ({', '.join(_COLUMNS)})"
_OVERWRITE = "ON CONFLICT (key, raw) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in _COLUMNS[2:]
)


class TextDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache publishes no types
    """Disk format of diskcache with texts only, all in the database itself."""

    def __init__(self, directory: str, **_settings: object) -> None:
        super().__init__(directory)

    def put(self, key: object) -> tuple[str, bool]:
        """Convert a key to its stored form."""
        if type(key) is not str:
            raise TypeError(f"a key must be a string; it is {type(key).__name__}")
        return key, True

    def get(self, key: object, raw: object) -> str:
        """Convert a stored key back."""
        if type(key) is not str or not raw:
            raise TamperedRowError("a key is not a text")
        return key

    def store(self, value: object, read: object, key: object = UNKNOWN) -> tuple[int, int, None, str]:
        """Size, mode, file name (never one) and value of a new row."""
        if type(value) is not str or read:
            raise TypeError(f"a value must be a string; it is {type(value).__name__}")
        return len(value), MODE_RAW, None, value

    def fetch(self, mode: object, filename: object, value: object, read: object) -> str:
        """The value of a row; refused unless it is a text in the row itself."""
        if mode != MODE_RAW or filename is not None or type(value) is not str or read:
            raise TamperedRowError("a row is not a text")
        return value

    def filename(self, key: object = UNKNOWN, value: object = UNKNOWN) -> tuple[str, str]:
        """Raise: values are never written to files."""
        raise TypeError("values are stored in the database, not in files")

    def remove(self, file_path: object) -> None:
        """Do nothing: a file named by an overwritten row must not be deleted."""


class _Connected:
    """Connection of one thread; closed by `close`, or when the thread or the cache no longer exists."""

    def __init__(self, path: Path, timeout_seconds: float) -> None:
        # One thread closes the connections of all threads when it closes the cache.
        self.connection = sqlite3.connect(
            path, timeout=timeout_seconds, isolation_level=None, check_same_thread=False
        )
        self.is_open = True
        self._end = close_with(self.connection, self)
        self.connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_COLUMN_BYTES)
        self.connection.execute("PRAGMA trusted_schema = OFF")

    def close(self) -> None:
        self.is_open = False
        self._end()


class TextCache(diskcache.Cache):  # type: ignore[misc]  # diskcache publishes no types
    """One database of texts under ``namespace:key``; every thread gets a connection of its own.

    Args:
        folder: Folder of the database, prepared by `ainb.stores.files.prepare`.
    """

    def __init__(self, folder: str) -> None:
        self._tries = OPEN_TRIES
        self._registering = new_lock()
        self._reading = new_lock()  # a connection must not be closed while a statement runs
        self._connected: weakref.WeakSet[_Connected] = weakref.WeakSet()
        super().__init__(folder, timeout=READ_BUSY_SECONDS, disk=TextDisk, **SETTINGS)

    @property
    def _con(self) -> sqlite3.Connection:
        """This thread's connection, in place of diskcache's own, which no other thread could close.

        The process id is not checked each time: after a fork the store opens a new cache (`DiskStore.renew`).
        """
        known: _Connected | None = getattr(self._local, "connected", None)
        if known is not None and known.is_open:
            return known.connection
        known = self._local.connected = _Connected(Path(self._directory, FILE_NAME), self._timeout)
        with self._registering:
            self._connected.add(known)
        try:
            known.connection.execute("SELECT key FROM Settings").close()
        except sqlite3.OperationalError:  # a new file, which diskcache sets up on opening
            return known.connection
        for key in SETTINGS:
            if key.startswith("sqlite_"):
                self.reset(key, update=False)
        return known.connection

    def close(self) -> None:
        """Close this thread's connection; a new one is opened when needed."""
        known: _Connected | None = getattr(self._local, "connected", None)
        if known is not None:
            known.close()

    def close_all(self) -> None:
        """Close the connections of all threads."""
        with self._registering:
            connected = list(self._connected)
        for known in connected:
            known.close()

    def pause(self, timeout_seconds: float) -> bool:
        """Close all connections and hold up reads until `resume`; the caller prevents writes.

        Returns:
            Whether the reads under way have ended in time.
        """
        if not self._reading.acquire(timeout=timeout_seconds):
            return False
        if not self._registering.acquire(timeout=timeout_seconds):
            self._reading.release()
            return False
        for known in self._connected:
            known.close()
        self._registering.release()
        return True

    def resume(self) -> None:
        """Let reads continue, with new connections."""
        self._reading.release()

    @property
    def _sql_retry(self) -> Any:
        return self._execute

    def _execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        """Run a statement while opening; diskcache's version blocks the event loop for up to a minute."""
        while True:
            try:
                return self._con.execute(statement, *arguments)
            except sqlite3.OperationalError as error:
                self._tries -= 1
                if "locked" not in str(error) or self._tries <= 0:
                    raise
                SYSTEM_CLOCK.block(OPEN_PAUSE_SECONDS)

    def reset(self, key: str, value: Any = ENOVAL, update: bool = True) -> Any:  # noqa: FBT001, FBT002 - diskcache's signature
        """Apply one of SETTINGS; values of the file are used for the row counters only."""
        if key in METADATA:
            return super().reset(key)
        if key not in SETTINGS:
            return None
        setting = SETTINGS[key]
        if key.startswith("sqlite_"):
            pragma = key.removeprefix("sqlite_")
            found = self._execute(f"PRAGMA {pragma}").fetchall()
            if found != [(setting,)]:
                self._execute(f"PRAGMA {pragma} = {setting}").fetchall()
        setattr(self, key, setting)
        return setting

    def wait_for_writers(self) -> None:
        """Make this thread's connection wait for writes of other kernels; the event loop's must not wait."""
        self._con.execute(f"PRAGMA busy_timeout = {int(WRITE_BUSY_SECONDS * 1000)}")

    def read(self, name: str) -> str | None:
        """The text under a name, or None.

        Raises:
            TamperedRowError: The row was not written by this package.
            sqlite3.Error: The file cannot be read.
        """
        with self._reading:
            found = self._con.execute(_SELECT, (name,)).fetchone()
        return None if found is None else self._disk.fetch(*found, False)

    def held(self, names: Sequence[str]) -> set[str]:
        """Those of the names under which a row is stored, valid or not.

        Raises:
            sqlite3.Error: The file cannot be read.
        """
        found: set[str] = set()
        for place in range(0, len(names), MOST_NAMES):
            asked = names[place : place + MOST_NAMES]
            # Padded with the first name, so that the connection keeps one prepared statement.
            padded = [*asked, *[asked[0]] * (MOST_NAMES - len(asked))]
            with self._reading:
                found.update(name for (name,) in self._con.execute(_HELD, padded))
        return found

    def set_all(self, texts: Iterable[tuple[str, tuple[str, float]]]) -> None:
        """Store texts by name, each with its wall-clock second of creation, in one transaction.

        Raises:
            sqlite3.Error: No text was stored.
        """
        rows = [
            (name, True, made_at, None, made_at, 0, made_at, len(text), MODE_RAW, None, text)
            for name, (text, made_at) in texts
        ]
        with transaction(self._con):
            insert_rows(self._con, _INSERT, rows, tail=_OVERWRITE)

    def delete_all(self, namespace: str, created_before: float | None = None) -> int:
        """Delete a namespace, or its texts created before a wall-clock second; returns their number."""
        statement = "DELETE FROM Cache WHERE key >= ? AND key < ?"
        arguments: list[object] = [f"{namespace}:", f"{namespace};"]
        if created_before is not None:
            statement += " AND tag < ?"
            arguments.append(created_before)
        with self.transact():
            return self._con.execute(statement, arguments).rowcount

    def count_entries(self) -> int | None:
        """Number of rows of all namespaces, as counted by the database's triggers."""
        with self._reading:
            found = self._con.execute("SELECT value FROM Settings WHERE key = 'count'").fetchall()
        return found[0][0] if len(found) == 1 and type(found[0][0]) is int else None
