"""SQLite helpers: connections that close with their owner, bulk inserts, lock files of processes.

Rows: SQLite releases the interpreter lock for every step of a statement and must acquire it again. Beside a
busy event loop that takes up to 5 ms (`sys.getswitchinterval`), and ``executemany`` steps once per row. A
statement of many rows steps once for all of them, and the event loop keeps running.

Forks: SQLite keeps the locks of a process in its memory. A child that is forked while a connection is open,
even an idle one, takes the parent's locks for its own when it opens the same file: it then works without a
lock, or waits forever for one that nobody in its process holds. So connections are closed before a fork and
opened again when they are used; see `PausedConnection`.

Owners: each process locks a file of its own, and the system releases the lock when the process dies. Unlike a
process id or a heartbeat, this works across containers, suspended laptops and clock changes.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import secrets
import sqlite3
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ainb.fork import new_lock, pause_at_fork, renew_after_fork
from ainb.stores.files import make_folders, try_lock

# Connections opened before a fork: SQLite must neither use nor close them in the child.
_inherited: list[sqlite3.Connection] = []
# Rows per statement: few sizes, so that the connection caches the prepared statements; powers of two, so that
# any number of rows takes few statements.
SIZES = (128, 64, 32, 16, 8, 4, 2, 1)
MAX_TRIES = 100
# Behind the byte that Windows locks.
NOTE_AT = 8
MOST_NOTE_BYTES = 100_000


def close_with(connection: sqlite3.Connection, owner: object) -> Callable[[], None]:
    """Close a connection together with its owner.

    Args:
        connection: Opened with ``check_same_thread=False``, because any thread may collect the owner.
        owner: Object that holds the connection.

    Returns:
        A function that closes the connection now; further calls do nothing. In a forked child the connection
        is kept unclosed instead.
    """
    process = os.getpid()
    end = weakref.finalize(owner, _close_connection, connection, process)
    end.atexit = False  # a thread may be using it, and the end of the process closes it anyway

    def close() -> None:
        end.detach()  # not `end()`, which does nothing late in the exit of a process
        _close_connection(connection, process)

    return close


def _close_connection(connection: sqlite3.Connection, process: int) -> None:
    if process != os.getpid():
        _inherited.append(connection)
        return
    with contextlib.suppress(sqlite3.Error):
        connection.close()


class PausedConnection:
    """A connection for one thread at a time, closed while the process is copied; for a ``with`` block.

    It is opened when it is first used, and again by the first use after a fork, in parent and child.

    Args:
        connect: Opens the connection, with ``check_same_thread=False``; must not refer to the owner of this
            object, which else is not freed at once.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._lock = new_lock()
        self._db: sqlite3.Connection | None = None
        self._close_db: Callable[[], None] = _do_nothing
        self._is_closed = False
        pause_at_fork(self)
        renew_after_fork(self)

    def __enter__(self) -> sqlite3.Connection:
        """Wait for other threads, and return the connection.

        Raises:
            sqlite3.Error, OSError: It cannot be opened, or `close` was called.
        """
        self._lock.acquire()
        try:
            return self._open()
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def close(self) -> None:
        """Close the connection for good, after the use under way."""
        with self._lock:
            self._is_closed = True
            self._drop()

    def pause(self, timeout_seconds: float) -> bool:
        """Close the connection, and hold up uses until `resume`."""
        if not self._lock.acquire(timeout=timeout_seconds):
            return False
        self._drop()
        return True

    def resume(self) -> None:
        """Let uses continue, with a new connection."""
        self._lock.release()

    def renew(self) -> None:
        """Forget the parent's connection in a forked child, if it was in use at the fork."""
        self._drop()

    def _open(self) -> sqlite3.Connection:
        if self._is_closed:
            raise sqlite3.ProgrammingError("Cannot operate on a closed database.")
        if self._db is None:
            self._db = self._connect()
            self._close_db = close_with(self._db, self)
        return self._db

    def _drop(self) -> None:
        self._close_db()
        self._db, self._close_db = None, _do_nothing


def _do_nothing() -> None:
    """Do nothing: there is no connection to close."""


def is_locked(error: Exception) -> bool:
    """Whether a statement failed because another connection holds a lock."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock in this block: commits at its end, rolls back after an error.

    Args:
        connection: Opened with ``isolation_level=None``.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # on a full disk SQLite has already rolled back
            connection.execute("ROLLBACK")
        raise


def insert_rows(
    connection: sqlite3.Connection, head: str, rows: Sequence[Sequence[Any]], *, tail: str = ""
) -> None:
    """Insert rows of equal width, inside the caller's transaction.

    Args:
        connection: Connection in a transaction.
        head: The statement up to VALUES: ``INSERT INTO table (column, …)``.
        rows: Rows with a value for each column.
        tail: SQL after the values, such as ON CONFLICT.

    Raises:
        sqlite3.Error: A row was refused; earlier rows may already be in the transaction.
    """
    if not rows:
        return
    width = len(rows[0])
    most = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // width
    left: Iterable[Sequence[Any]] = iter(rows)
    count = len(rows)
    for size in SIZES:
        if size > most:
            continue
        statement = _statement(head, width, size, tail)
        while count >= size:
            values = list(itertools.chain.from_iterable(itertools.islice(left, size)))
            connection.execute(statement, values)
            count -= size


def insert_few(connection: sqlite3.Connection, head: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert up to 128 rows of at most 8 values in one statement, which is its own transaction.

    Args:
        connection: Connection outside a transaction.
        head: As for `insert_rows`.
        rows: At least one.

    Raises:
        sqlite3.Error: Nothing was inserted.
    """
    values = list(itertools.chain.from_iterable(rows))
    connection.execute(_statement(head, len(rows[0]), len(rows), ""), values)


@functools.lru_cache(maxsize=256)
def _statement(head: str, width: int, size: int, tail: str) -> str:
    row = f"({', '.join('?' * width)})"
    return f"{head} VALUES {', '.join([row] * size)} {tail}"


class Owner:
    """Name of this process with a lock file that is held until the process ends or `close` is called.

    Args:
        folder: Folder of the lock files of all owners; created for this user only if missing.

    Raises:
        OSError: The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._width = 0
        make_folders(folder)
        self.name, self._handle = self._claim()
        self._release = weakref.finalize(self, _close_handle, self._handle)

    def dead(self) -> list[str]:
        """Names of owners whose process has ended."""
        names = (path.stem for path in self._folder.glob("*.lock"))
        return [name for name in names if name != self.name and self._is_free(name)]

    def missing(self, names: Iterable[str]) -> list[str]:
        """The owners among `names` that have no lock file, so that no process can act for them."""
        return [name for name in names if name != self.name and not self._path(name).exists()]

    def note(self, text: str) -> None:
        """Write what `noted` reads after this process has died, in place of the last note.

        Raises:
            OSError: It cannot be written; a part of it may be.
        """
        data = text.encode()
        width = max(self._width, len(data))
        self._width = width
        os.lseek(self._handle, NOTE_AT, os.SEEK_SET)
        os.write(self._handle, data.ljust(width))

    def noted(self, name: str) -> str:
        """The note of another owner; an empty text where there is none."""
        try:
            handle = os.open(self._path(name), os.O_RDONLY)
        except OSError:
            return ""
        try:
            os.lseek(handle, NOTE_AT, os.SEEK_SET)
            return os.read(handle, MOST_NOTE_BYTES).decode(errors="replace")
        except OSError:
            return ""
        finally:
            os.close(handle)

    def remove(self, name: str) -> None:
        """Remove the lock file of a dead owner, after its reservations are settled."""
        with contextlib.suppress(OSError):
            self._path(name).unlink()

    def close(self) -> None:
        """Remove this owner's lock file and release the lock."""
        self.remove(self.name)
        self.drop()

    def drop(self) -> None:
        """Close the file without removing it, as a forked child must while its parent is alive."""
        self._release()

    def _claim(self) -> tuple[str, int]:
        for _ in range(MAX_TRIES):
            name = secrets.token_hex(8)
            path = self._path(name)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            # Another process may remove the file between creation and locking, as that of a dead owner.
            if _lock(handle) and path.exists():
                return name, handle
            os.close(handle)
        raise OSError(f"no lock file could be created in {self._folder}")

    def _is_free(self, name: str) -> bool:
        try:
            handle = os.open(self._path(name), os.O_RDWR)
        except OSError:
            return False
        try:
            return _lock(handle)
        finally:
            os.close(handle)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


def _close_handle(handle: int) -> None:
    with contextlib.suppress(OSError):
        os.close(handle)


def _lock(handle: int) -> bool:
    try:
        return try_lock(handle)
    except OSError:  # a file system without locks, where no owner can be proven alive
        return False
