"""Write queue of the disk store: pending texts, and the thread that writes them in batches."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from ainb.fork import new_condition, new_event, new_rlock

MAX_WAITING = 20_000
MAX_WAITING_CHARACTERS = 64 * 2**20
BATCH = 1000
GATHER_SECONDS = 0.02
FLUSH_SECONDS = 15.0
IDLE_SECONDS = 5.0

# A name, and the text with its creation time in wall-clock seconds.
Item = tuple[str, tuple[str, float]]
Waiting = dict[str, tuple[str, float]]


class WriteQueue:
    """Write queue whose pending texts can be read, with a writer thread that ends when idle.

    Args:
        write: Writes a batch; called by the thread, with `writing` held.
        on_idle: Called by the thread when it ends.

    Attributes:
        writing: Held while a batch is written; hold it to open or change the file without a concurrent write.
    """

    _thread: threading.Thread | None

    def __init__(self, write: Callable[[list[Item]], None], on_idle: Callable[[], None]) -> None:
        self._write = write
        self._close_connection = on_idle
        self.writing = new_rlock()
        self._changed = new_condition()
        self._hurry = new_event()
        self.renew()

    def renew(self) -> None:
        """Reset to an empty queue without a thread, also in a forked child: the parent writes its queue."""
        self._hurry.clear()
        self._closed = False
        self._patience_seconds = FLUSH_SECONDS
        self._thread = None
        self._waiting: Waiting = {}
        self._under_way: Waiting = {}
        self._characters = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._under_way)

    def find(self, name: str) -> str | None:
        """The queued text of a name, or None."""
        # Without a lock the order matters: the thread fills `_under_way` before it empties `_waiting`, so
        # nothing is missed.
        found = self._waiting.get(name) or self._under_way.get(name)
        return None if found is None else found[0]

    def has_room(self, text: str) -> bool:
        """Whether the queue has room for one more text."""
        return len(self._waiting) < MAX_WAITING and self._characters + len(text) <= MAX_WAITING_CHARACTERS

    def put(self, name: str, text: str, created_at: float) -> None:
        """Queue a text; starts the thread if there is none."""
        with self._changed:
            first = not self._waiting
            self._waiting[name] = (text, created_at)
            self._characters += len(text)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ainb-cache-writer", daemon=True)
                self._thread.start()
            if first:
                self._changed.notify_all()

    def drop(self, is_dropped: Callable[[str], bool]) -> int:
        """Remove names from the queue; returns their number."""
        with self._changed:
            dropped = [name for name in self._waiting if is_dropped(name)]
            for name in dropped:
                self._characters -= len(self._waiting.pop(name)[0])
            self._changed.notify_all()
        return len(dropped)

    def write_now(self) -> None:
        """Write the queue without delay, at exit; `flush` then waits only for its caller's time limit."""
        self._patience_seconds = 0.0
        self._hurry.set()

    def flush(self, timeout_seconds: float | None = None) -> bool:
        """Block until the queue is written or given up.

        Args:
            timeout_seconds: Time limit; None means FLUSH_SECONDS, and no wait at exit.

        Returns:
            Whether it was done in time.
        """
        with self._changed:
            self._hurry.set()
            wait = self._patience_seconds if timeout_seconds is None else timeout_seconds
            done = self._changed.wait_for(lambda: not len(self), wait)
            self._hurry.clear()
            return done

    def end_threads(self) -> None:
        """Make the thread end after it has written the queue; does not wait for it."""
        with self._changed:
            self._closed = True
            self._hurry.set()
            self._changed.notify_all()

    def close(self) -> None:
        """Write the queue and end the thread; the next text starts another one."""
        self.flush()
        thread = self._thread
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if thread is not None:
            thread.join(self._patience_seconds)
        with self._changed:
            self._closed = False

    def _run(self) -> None:
        """Collect texts for a moment, write them, and wait for more."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed, IDLE_SECONDS)
                if not self._waiting:
                    self._thread = None
                    break
            self._hurry.wait(GATHER_SECONDS)
            with self.writing:
                self._write_waiting()
        self._close_connection()

    def _write_waiting(self) -> None:
        with self._changed:
            self._under_way = self._waiting
            self._waiting, self._characters = {}, 0
        rows = iter(self._under_way.items())
        while batch := list(itertools.islice(rows, BATCH)):
            self._write(batch)
        with self._changed:
            self._under_way = {}
            self._changed.notify_all()
