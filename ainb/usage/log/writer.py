"""One thread that turns finished calls into rows and commits them in groups, for every session that logs to the same file."""

from __future__ import annotations

import collections
import contextlib
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

from ainb.clock import Clock
from ainb.events import CallFinished
from ainb.stores.sqlite import tie
from ainb.usage.log.reading import open_for_reading
from ainb.usage.log.rollups import prune
from ainb.usage.log.schema import NewerLogError
from ainb.usage.log.store import Store, open_log
from ainb.usage.rows import Row

GATHER_SECONDS = 0.1
IDLE_SECONDS = 5.0
RETRY_SECONDS = 1.0
FLUSH_SECONDS = 5.0
FORK_SECONDS = 1.0
RING_ROWS = 10_000
RECENT_ROWS = 1_000
PRUNE_EVERY_ROWS = 20_000
PRUNE_LIMIT_ROWS = 20_000
_DAY_US = 86_400_000_000

# A finished call, how its row is made, and who is told when something is wrong.
RowMaker = Callable[[CallFinished], Row]
Tell = Callable[[str], None]
Item = tuple[RowMaker, CallFinished] | Row | threading.Event


# Every writer of the process, for `writers`.
live: weakref.WeakSet[Writer] = weakref.WeakSet()


class Writer:
    """The rows of one log file on their way to it.

    `append` only puts the event on a queue. The thread wakes, gathers for GATHER_SECONDS and commits, so that a row is at
    most 0.2 s old when it is safe. With nothing to do for IDLE_SECONDS it closes the file and ends, so that a log that nobody
    closes keeps neither; the next row starts it anew. What cannot be written stays in a ring of RING_ROWS and is tried again.

    Args:
        path: The log file; None keeps RING_ROWS in memory.
        clock: For the age of rows and the time of the next try.
        max_rows: Rows beyond this number are pruned, oldest first; None keeps all.
        max_age_days: Older rows are pruned; None keeps all.
    """

    def __init__(
        self, path: Path | None, clock: Clock, *, max_rows: int | None, max_age_days: float | None
    ) -> None:
        self._path = path
        self._clock = clock
        self._max_rows = max_rows if path is not None else RING_ROWS
        self._max_age_days = max_age_days
        self._told: weakref.WeakSet[Listener] = weakref.WeakSet()
        self.listeners: weakref.WeakSet[Listener] = weakref.WeakSet()
        self._in_memory = path is None
        self._since_prune = PRUNE_EVERY_ROWS  # the first rows of a process prune, too
        self._synchronous = False
        self._store: Store | None = None
        self._inode: tuple[int, int] | None = None
        self._start_afresh()
        live.add(self)

    def _start_afresh(self) -> None:
        self._queue: collections.deque[Item] = collections.deque()
        self._pending: list[Row] = []
        self.recent: collections.deque[Row] = collections.deque(maxlen=RECENT_ROWS)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._awake = False
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._retry_at: float | None = None
        self._starting = threading.Lock()
        self._held_for_fork = False

    def append(self, item: Item) -> None:
        """Queue a finished call or a row; never waits, never raises."""
        self._queue.append(item)
        if not self._awake:
            self._rouse()

    @property
    def backlog(self) -> int:
        """Finished calls that are not written yet."""
        return len(self._queue) + len(self._pending)

    def flush(self, timeout_seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until everything appended so far is written or, where it cannot be, is in the ring.

        Returns:
            Whether that was so before the time ran out.
        """
        done = threading.Event()
        self.append(done)
        self._hurry.set()
        return done.wait(timeout_seconds)

    def stop(self) -> None:
        """Write what is queued, end the thread and close the file; a later append starts anew."""
        thread = self._thread
        self._stopping = True
        self._hurry.set()
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(FLUSH_SECONDS)
        self.drain()
        self._let_go()

    def settle(self) -> threading.Event | None:
        """At exit: have the thread write what is queued; from now on each row is written at once, by whoever appends it.

        Returns:
            Set by the thread once that is done; None without a thread, which cannot be started any more, or with nothing to write.
        """
        done = None
        if self._has_thread() and (self._queue or self._pending):
            done = threading.Event()
            self._retry_at = None
            self.append(done)
            self._hurry.set()
        self._synchronous = True
        return done

    def end(self, *, is_late: bool) -> None:
        """At exit, at the very last: close the file, unless a thread still writes to it.

        Args:
            is_late: Do not even write what has no thread to write it.
        """
        if not is_late and not self._has_thread() and (self._queue or self._pending):
            self.drain()
        if self._lock.acquire(blocking=False):
            self._close()
            self._lock.release()

    def drain(self) -> None:
        """Make rows of what is queued and write them."""
        waiting: list[threading.Event] = []
        with self._lock:
            self._awake = False
            self._take_queue(waiting)
            if self._pending and (self._retry_at is None or self._clock.monotonic() >= self._retry_at):
                self._write()
        for event in waiting:
            event.set()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection over every row that this process has finished and every one of the file.

        A log that lags behind its writer (locked, full, read-only), or that an older ainb wrote where nobody may write, is read from
        a copy in memory; one that cannot be read at all counts as empty.
        """
        self.flush()
        if self._in_memory:
            with self._lock:
                yield self._open().connection
            return
        with self._lock:
            pending = list(self._pending)
        with contextlib.closing(open_for_reading(self._path, pending)) as connection:
            yield connection

    def _rouse(self) -> None:
        self._awake = True
        if self._synchronous:
            self.drain()
            return
        if not self._has_thread():
            with self._starting:
                if not self._has_thread():
                    self._stopping = False
                    self._thread = threading.Thread(target=self._run, name="ainb-usage", daemon=True)
                    self._thread.start()
        self._wake.set()

    def _has_thread(self) -> bool:
        thread = self._thread
        return thread is not None and thread.is_alive()

    def _run(self) -> None:
        while not self._is_over():
            if self._wake.wait(RETRY_SECONDS if self._pending else IDLE_SECONDS) or self._pending:
                self._wake.clear()
                self._hurry.wait(GATHER_SECONDS)
                self._hurry.clear()
                self.drain()
            else:
                self._stopping = True
        self._let_go()

    def _is_over(self) -> bool:
        """Whether the thread is to end; a row that comes in this moment is either seen here or starts another thread."""
        if not self._stopping:
            return False
        with self._starting:
            thread, self._thread = self._thread, None
            if not self._queue:
                return True
            self._thread = thread
            return False

    def _take_queue(self, waiting: list[threading.Event]) -> None:
        from ainb.usage.log.jsonlog import log_row

        while self._queue:
            item = self._queue.popleft()
            if isinstance(item, threading.Event):
                waiting.append(item)
                continue
            try:
                row = item if isinstance(item, Row) else item[0](item[1])
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end the thread that writes all others
                self._notify(f"a usage row was lost: {type(error).__name__}: {error}")
                continue
            self._pending.append(row)
            self.recent.append(row)
            try:
                log_row(row)
            except Exception as error:  # noqa: BLE001 - nor may a line that cannot be logged cost the row
                self._notify(f"a usage row is not on the logger ainb: {type(error).__name__}: {error}")

    def _write(self) -> None:
        try:
            self._add(self._open(), self._pending)
        except NewerLogError as error:
            self._in_memory = True
            self._notify(
                f"a newer ainb wrote the usage log {self._path} ({error}); calls of this session are kept in memory only; "
                "upgrade ainb or choose another home"
            )
            self._write()
            return
        except (sqlite3.Error, OSError) as error:
            self._close()
            self._retry_at = self._clock.monotonic() + RETRY_SECONDS
            del self._pending[:-RING_ROWS]
            self._notify(
                f"cannot write the usage log {self._path} ({error}); calls go on, the last {RING_ROWS} rows wait in memory; "
                "free it, or move it away and a new one is made"
            )
            return
        self._retry_at = None
        self._pending.clear()

    def _add(self, store: Store, rows: list[Row]) -> None:
        try:
            store.add(rows)
        except (TypeError, ValueError, ArithmeticError):
            lost = store.add_what_fits(rows)
            if lost:
                self._notify(f"{lost} usage rows were lost: they hold values that SQLite cannot")
        self._since_prune += len(rows)
        if self._since_prune >= PRUNE_EVERY_ROWS:
            self._since_prune = 0
            self._prune(store)

    def _prune(self, store: Store) -> None:
        age = self._max_age_days
        oldest = None if age is None else int(self._clock.unix() * 1_000_000 - age * _DAY_US)
        # A locked log is pruned another time.
        with contextlib.suppress(sqlite3.Error):
            if prune(store.connection, oldest_us=oldest, max_rows=self._max_rows, limit=PRUNE_LIMIT_ROWS):
                self._since_prune = PRUNE_EVERY_ROWS // 2

    def _open(self) -> Store:
        path = None if self._in_memory else self._path
        if path is not None and self._store is not None and _inode(path) != self._inode:
            self._close()  # somebody moved the file away
        if self._store is None:
            self._store = Store(open_log(path))
            tie(self._store.connection, self._store)
            self._inode = None if path is None else _inode(path)
        return self._store

    def _let_go(self) -> None:
        with self._lock:
            if not self._in_memory:
                self._close()

    def _close(self) -> None:
        if self._store is not None:
            with contextlib.suppress(sqlite3.Error):
                self._store.close()
        self._store = None

    def _notify(self, text: str) -> None:
        for listener in list(self.listeners - self._told):
            self._told.add(listener)
            listener.tell(text)

    def before_fork(self) -> None:
        """Close the file, because SQLite must not be carried across a fork; whoever writes next opens it again."""
        self._held_for_fork = self._lock.acquire(timeout=FORK_SECONDS)
        if self._held_for_fork and not self._in_memory:
            self._close()

    def after_fork_in_parent(self) -> None:
        """Let the thread go on."""
        if self._held_for_fork:
            self._held_for_fork = False
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Begin with nothing queued: that is the parent's to write."""
        self._store = None
        self._start_afresh()


class Listener:
    """Who is told, once, when the log cannot do as asked."""

    def tell(self, text: str) -> None:
        """Hear one line."""
        raise NotImplementedError


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
