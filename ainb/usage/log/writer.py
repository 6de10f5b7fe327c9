"""Writer of a log file: a queue and a thread that makes rows of finished calls and commits them in groups."""

from __future__ import annotations

import collections
import contextlib
import contextvars
import dataclasses
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ainb.clock import Clock
from ainb.events import CallFinished
from ainb.fork import PausedUses, new_event, new_lock, pause_at_fork, renew_after_fork
from ainb.usage.log.log_file import LogFile
from ainb.usage.log.options import Log
from ainb.usage.log.reading import open_for_reading
from ainb.usage.log.schema import NewerLogError
from ainb.usage.rows import Row

GATHER_SECONDS = 0.1
IDLE_SECONDS = 5.0
RETRY_SECONDS = 1.0
FLUSH_SECONDS = 5.0
LOCK_SECONDS = 1.0
RING_ROWS = 10_000
RECENT_ROWS = 1_000

RowMaker = Callable[[CallFinished], Row]
Recorded = tuple[RowMaker, CallFinished] | Row


@dataclass(frozen=True, slots=True)
class Logged:
    """A row that also goes to the logger.

    Attributes:
        item: The row, or the finished call and the function that makes the row.
        context: Context variables of the caller, so that the line appears in the cell that made the call;
            None means that the row is not logged.
    """

    item: Recorded
    context: contextvars.Context | None


# Items of the queue: a finished call with the function that makes its row, or a row; either of them to be
# logged too; or an event that is set once all items before it are written.
QueueItem = Recorded | Logged | threading.Event


# Every writer of the process, for `writer_registry`.
all_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


class Writer:
    """Queue and thread that write the rows of one log file.

    `append` only puts an item on the queue. The thread wakes, gathers items for GATHER_SECONDS and commits,
    so that a row is written at most 0.2 s after its call. Rows that cannot be written stay in a ring buffer
    of RING_ROWS and are tried again. Whatever ends the thread, it ends in the same way and then has no open
    file::

                    append                       idle for IDLE_SECONDS, or begin_stop
        no thread ----------> thread, file open ------------------------------------> ending
            ^                        ^                                                  |
            |                        +------------- rows were queued meanwhile ---------+
            +--------------- queue empty: the thread closes the file and ends ----------+

    `stop` calls `begin_stop` and then `finish_stop`, which writes the rows that no thread wrote; the next row
    starts a new thread. At exit of the process `begin_stop` is called for all writers before the first one is
    waited for. From then on `append` writes each row itself, since no thread can be started.

    Args:
        path: The log file; None keeps RING_ROWS in memory.
        clock: For the age of rows and the time of the next attempt.
        options: Limits beyond which rows are pruned.

    Attributes:
        listeners: Receivers of warnings.
        recent: The last rows.
    """

    def __init__(self, path: Path | None, clock: Clock, options: Log) -> None:
        self._path = path
        self._clock = clock
        self.listeners: weakref.WeakSet[WarningListener] = weakref.WeakSet()
        if path is None:
            options = dataclasses.replace(options, max_rows=RING_ROWS)
        self._file = LogFile(path, clock, options, self._warn)
        self._is_exiting = False
        self._lock = new_lock()  # guards the file and the rows not written yet
        self._starting = new_lock()  # guards start and end of the thread
        self._wake = new_event()
        self._hurry = new_event()
        self._queries = PausedUses()
        self._reset()
        all_writers.add(self)
        pause_at_fork(self)
        renew_after_fork(self)

    def _reset(self) -> None:
        self._queue: collections.deque[QueueItem] = collections.deque()
        self._pending: list[Row] = []
        self.recent: collections.deque[Row] = collections.deque(maxlen=RECENT_ROWS)
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._wake.clear()
        self._hurry.clear()
        self._retry_at = 0.0

    def append(self, item: QueueItem) -> None:
        """Queue a finished call or a row; never waits, never raises."""
        self._queue.append(item)
        if not self._wake.is_set():
            self._wake_thread()

    @property
    def backlog(self) -> int:
        """Number of finished calls not written yet."""
        return len(self._queue) + len(self._pending)

    def flush(self, timeout_seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until every item appended so far is written or, if that fails, in the ring buffer.

        Returns:
            Whether that happened in time.
        """
        done = new_event()
        self.append(done)
        self._hurry.set()
        return done.wait(timeout_seconds)

    def stop(self) -> None:
        """Write queued rows, end the thread and close the file; a later append starts a new thread."""
        self.begin_stop()
        self.finish_stop(FLUSH_SECONDS)

    def begin_stop(self, *, at_exit: bool = False) -> None:
        """Make the thread write queued rows and end; returns at once.

        Args:
            at_exit: Whether the process ends: rows that could not be written are tried once more, and from
                now on `append` writes each row itself.
        """
        if at_exit:
            self._is_exiting = True
            self._retry_at = 0.0
        self._is_stopping = True
        self._hurry.set()
        self._wake.set()

    def finish_stop(self, timeout_seconds: float) -> None:
        """Wait until the thread has ended, write the remaining rows, and close the file.

        A thread that has not ended in time continues and closes the file itself. Without time left, rows that
        no thread has written are dropped.
        """
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_seconds)
        if self._has_thread():
            return
        self._wake.clear()
        if self.backlog and timeout_seconds > 0:
            self.drain()
        self._close_file()

    def drain(self) -> None:
        """Make rows of the queued calls and write them."""
        waiting: list[threading.Event] = []
        with self._lock:
            self._build_rows(waiting)
            if self._pending and self._clock.monotonic() >= self._retry_at:
                self._write()
        for event in waiting:
            event.set()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to all rows: those of the file and those of this process not written yet.

        The rows come from a copy in memory when the file lacks some of them (it is locked, full or read-only)
        or is a read-only file of an older ainb. A file that cannot be read at all counts as empty.
        """
        self.flush()
        if self._file.in_memory:
            with self._lock:
                yield self._file.open().connection
            return
        with self._lock:
            pending = list(self._pending)
        with self._queries, contextlib.closing(open_for_reading(self._path, pending)) as connection:
            yield connection

    def _wake_thread(self) -> None:
        if self._is_exiting:
            self.drain()
            return
        if not self._has_thread():
            with self._starting:
                if not self._has_thread():
                    self._is_stopping = False
                    self._thread = threading.Thread(target=self._run, name="ainb-usage", daemon=True)
                    self._thread.start()
        self._wake.set()

    def _has_thread(self) -> bool:
        thread = self._thread
        return thread is not None and thread.is_alive()

    def _run(self) -> None:
        while not self._should_end():
            if self._wake.wait(RETRY_SECONDS if self._pending else IDLE_SECONDS) or self._pending:
                self._hurry.wait(GATHER_SECONDS)
                self._hurry.clear()
                self._wake.clear()  # before the queue is read: later items wake the thread again
                self.drain()
            else:
                self._is_stopping = True
        self._close_file()

    def _should_end(self) -> bool:
        """Whether the thread ends; a row queued at the same time is seen here or starts another thread."""
        if not self._is_stopping:
            return False
        with self._starting:
            if self._queue:
                return False
            self._thread = None
            return True

    def _build_rows(self, waiting: list[threading.Event]) -> None:
        from ainb.usage.log.jsonlog import log_row

        while self._queue:
            item = self._queue.popleft()
            if isinstance(item, threading.Event):
                waiting.append(item)
                continue
            made = item.item if isinstance(item, Logged) else item
            try:
                row = made if isinstance(made, Row) else made[0](made[1])
            except Exception as error:  # noqa: BLE001 - one bad row must not end the thread
                self._warn(f"a usage row was lost: {type(error).__name__}: {error}")
                continue
            self._pending.append(row)
            self.recent.append(row)
            try:
                if not isinstance(item, Logged):
                    log_row(row)
                elif item.context is not None:
                    item.context.run(log_row, row)
            except Exception as error:  # noqa: BLE001 - the row is kept
                self._warn(
                    f"a usage row could not be sent to the logger ainb: {type(error).__name__}: {error}"
                )

    def _write(self) -> None:
        try:
            self._file.add(self._pending)
        except NewerLogError as error:
            self._file.in_memory = True
            self._warn(
                f"a newer ainb wrote the usage log {self._path} ({error}); "
                "calls of this session are kept in memory only; upgrade ainb or choose another home"
            )
            self._write()
            return
        except (sqlite3.Error, OSError) as error:
            self._file.close()
            self._retry_at = self._clock.monotonic() + RETRY_SECONDS
            del self._pending[:-RING_ROWS]
            self._warn(
                f"cannot write the usage log {self._path} ({error}); "
                f"calls continue, the last {RING_ROWS} rows wait in memory; "
                "free it, or move it away and a new one is created"
            )
            return
        self._retry_at = 0.0
        self._pending.clear()

    def _close_file(self) -> None:
        if self._lock.acquire(timeout=LOCK_SECONDS):  # else a reader still uses the log in memory
            if self._is_exiting or not self._file.in_memory:
                self._file.close()
            self._lock.release()

    def _warn(self, text: str) -> None:
        for listener in list(self.listeners):
            listener.warn(text)

    def pause(self, timeout_seconds: float) -> bool:
        """Close the file before a fork, see `ainb.stores.sqlite`; the next write opens it again."""
        is_held = self._lock.acquire(timeout=timeout_seconds)
        if is_held and not self._file.in_memory:
            self._file.close()
        return is_held

    def resume(self) -> None:
        """Let the thread continue after a fork."""
        self._lock.release()

    def renew(self) -> None:
        """Start with an empty queue in a forked child: the parent writes the queued rows."""
        self._file.forget()
        self._reset()


class WarningListener:
    """Receiver of a writer's warnings."""

    def warn(self, text: str) -> None:
        """Receive one line of text."""
        raise NotImplementedError
