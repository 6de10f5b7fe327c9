"""Disk store, the default: one diskcache database of texts, written by a thread."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.events import Sink, silent
from ainb.fork import at_worker_exit, pause_at_fork, renew_after_fork
from ainb.stores.base import MAX_TEXT_BYTES, StoreStats
from ainb.stores.disk.faults import Faults, TamperedRowError
from ainb.stores.disk.write_queue import Item, WriteQueue
from ainb.stores.files import prepare
from ainb.stores.memory import MemoryStore

if TYPE_CHECKING:
    from ainb.stores.disk.text_cache import TextCache

EXIT_SECONDS = 2.0
# Time for which a miss is remembered. A text that another kernel stores within this time is not found, just
# like one whose call is still in flight.
ABSENT_SECONDS = 0.1
MAX_ABSENT = 4_096


class DiskStore:
    """Texts in a private folder, shared by all kernels of the user.

    A read takes a few microseconds on the calling thread, and waits 50 ms at most for a locked database.
    Writes are queued and committed in groups by a thread, which ends when it is idle; reads see queued texts.
    Nothing is ever evicted. After a fault the disk is not used for 30 s, and answers are kept in memory in
    the meantime.

    Args:
        folder: Folder of the database, created on first use (0700); its files are 0600.
        fallback: Store of answers that the disk cannot take; None means a memory store of the default size.
        sink: Receives one notice of a fault; called by a thread that uses the store, never by the writer.
    """

    name = "disk"

    def __init__(
        self,
        folder: Path,
        *,
        fallback: MemoryStore | None = None,
        clock: Clock = SYSTEM_CLOCK,
        sink: Sink = silent,
    ) -> None:
        self._folder = Path(folder)
        self._fallback = MemoryStore() if fallback is None else fallback
        self._faults = Faults(clock, sink)
        self._clock = clock
        self._absent: dict[str, float] = {}  # names that the file did not hold, until a monotonic second
        self._database: TextCache | None = None
        self._queue = WriteQueue(self._write, self._close_connection)
        self._paused: TextCache | None = None
        pause_at_fork(self)
        renew_after_fork(self)
        _stores.add(self)

    async def get(self, namespace: str, key: str) -> str | None:
        """The text, or None when there is none or it cannot be read."""
        name = f"{namespace}:{key}"
        found = self._queue.find(name)
        if found is not None:
            return found
        text = self._fallback.read(name) if len(self._fallback) else None
        until = self._absent.pop(name, None)
        if text is None and (until is None or self._clock.monotonic() >= until):
            text = self._read(name)
        self._faults.report()
        return text

    def expect(self, namespace: str, keys: Sequence[str]) -> None:
        """Look up in one statement which of these texts the file lacks; `get` does not look again at once."""
        if (database := self._usable()) is None:
            return
        now = self._clock.monotonic()
        if len(self._absent) > MAX_ABSENT:  # names that were never read
            self._absent.clear()
        named = (f"{namespace}:{key}" for key in keys)
        # The queue is read before the file, as in `get`: in the other order a text could move from the queue
        # to the file between the two reads and be missed.
        asked = [name for name in named if self._queue.find(name) is None]
        try:
            held = database.held(asked)
        except Exception as error:  # noqa: BLE001 - as in `_read`
            self._faults.pause(error)
        else:
            self._absent.update(dict.fromkeys(set(asked) - held, now + ABSENT_SECONDS))

    async def set(self, namespace: str, key: str, text: str, *, created_at: float) -> None:
        """Queue a text to be written; it can be read at once."""
        name = f"{namespace}:{key}"
        self._absent.pop(name, None)
        if len(text) > MAX_TEXT_BYTES // 4 and (size_bytes := len(text.encode())) > MAX_TEXT_BYTES:
            self._faults.note(
                f"an answer of {size_bytes:,} bytes is larger than the cache's limit of "
                f"{MAX_TEXT_BYTES:,} bytes and was not kept; ask for a shorter answer to keep it"
            )
        elif self._faults.is_paused() or self._is_full(text):
            self._fallback.write(name, text, created_at)
        else:
            if len(self._fallback):
                self._fallback.remove(name)
            self._queue.put(name, text, created_at)
        self._faults.report()

    async def delete(self, namespace: str, key: str) -> None:
        """Delete one text; waits for a commit in progress."""
        name = f"{namespace}:{key}"
        self._fallback.remove(name)
        self._change(lambda waiting: waiting == name, lambda database: int(database.delete(name)))

    async def prune(self, namespace: str, *, created_before: float) -> int:
        """Delete texts created before a wall-clock second; waits for a commit in progress."""
        await self._fallback.prune(namespace, created_before=created_before)
        self.flush()
        return self._change(
            lambda _name: False, lambda database: database.delete_all(namespace, created_before)
        )

    async def clear(self, namespace: str) -> int:
        """Delete a whole namespace; a database that cannot be read is deleted with all its contents."""
        spared = await self._fallback.clear(namespace)
        prefix = f"{namespace}:"
        self._faults.resume()
        gone = self._change(
            lambda name: name.startswith(prefix), lambda database: database.delete_all(namespace)
        )
        if self._faults.is_paused():
            self._delete_files()
        return spared + gone

    async def stats(self) -> StoreStats:
        """Number of rows, queued ones included, and size of the files."""
        if (database := self._usable()) is None:
            return await self._fallback.stats()
        try:
            entries = database.count_entries()
            from ainb.stores.disk.text_cache import FILE_NAME

            size_bytes = sum(file.stat().st_size for file in self._folder.glob(f"{FILE_NAME}*"))
        except Exception as error:  # noqa: BLE001 - a fault of the cache never fails anything else
            self._faults.pause(error)
            return await self._fallback.stats()
        if entries is None:
            return StoreStats(entries=None, size_bytes=size_bytes)
        return StoreStats(entries=entries + len(self._queue) + len(self._fallback), size_bytes=size_bytes)

    async def settle(self) -> None:
        """Wait until the queue is written or given up, in a thread."""
        await asyncio.to_thread(self.flush)

    async def close(self) -> None:
        """Write queued texts, end the writer, close all connections; a later call opens the store again."""
        self._queue.close()
        if self._database is not None:
            self._database.close_all()
            self._database = None
        self._faults.report()

    def flush(self, timeout_seconds: float | None = None) -> bool:
        """Block until the queue is written or given up (15 s, at exit 2 s); False when time ran out."""
        return self._queue.flush(timeout_seconds)

    def end_threads(self) -> None:
        """Make the writer end after the queue is written; never waits."""
        self._queue.end_threads()

    def write_now(self) -> None:
        """Write the queue without delay, at exit."""
        self._queue.write_now()

    def pause(self, timeout_seconds: float) -> bool:
        """Close all connections before a fork; see `ainb.stores.sqlite`."""
        if not self._queue.writing.acquire(timeout=timeout_seconds):
            return False
        database = self._database
        if database is not None and not database.pause(timeout_seconds):
            self._queue.writing.release()
            return False
        self._paused = database
        return True

    def resume(self) -> None:
        """Continue after a fork; connections are opened again when they are needed."""
        if self._paused is not None:
            self._paused.resume()
            self._paused = None
        self._queue.writing.release()

    def renew(self) -> None:
        """Reset in a forked child: the parent writes its queue."""
        self._database = None
        self._absent = {}
        self._queue.renew()

    def _read(self, name: str) -> str | None:
        if (database := self._usable()) is None:
            return None
        try:
            return database.read(name)
        except TamperedRowError:
            self._faults.note("a stored answer is not in ainb's format")
        except Exception as error:  # noqa: BLE001 - any fault of the cache is a miss
            self._faults.pause(error)
        return None

    def _usable(self) -> TextCache | None:
        """The database; None after a recent fault, or when it cannot be opened."""
        if self._faults.is_paused():
            return None
        return self._open() if self._database is None else self._database

    def _open(self) -> TextCache | None:
        """The database, opened on first use; None when it cannot be opened."""
        with self._queue.writing:
            if self._database is not None:
                return self._database
            try:
                from ainb.stores.disk.text_cache import BESIDE, FILE_NAME, TextCache

                prepare(self._folder / FILE_NAME, BESIDE)
                self._database = TextCache(str(self._folder))
            except Exception as error:  # noqa: BLE001 - without a disk, memory is used
                self._faults.pause(error)
            return self._database

    def _is_full(self, text: str) -> bool:
        if self._queue.has_room(text):
            return False
        self._faults.note("answers arrive faster than the disk can store them")
        return True

    def _write(self, batch: list[Item]) -> None:
        """Store a batch; texts that the disk refuses go to memory."""
        if (database := self._usable()) is not None:
            try:
                database.wait_for_writers()
                database.set_all(batch)
            except Exception as error:  # noqa: BLE001 - see above
                self._faults.pause(error)
                self._close_connection()
            else:
                return
        for name, (text, created_at) in batch:
            self._fallback.write(name, text, created_at)

    def _close_connection(self) -> None:
        """Close this thread's connection: after a failed commit it may still hold its transaction."""
        if self._database is not None:
            with contextlib.suppress(Exception):
                self._database.close()

    def _change(self, drops: Callable[[str], bool], change: Callable[[TextCache], int]) -> int:
        """Drop names from the queue and change the database, with no commit in between."""
        with self._queue.writing:
            dropped = self._queue.drop(drops)
            if (database := self._usable()) is None:
                return dropped
            try:
                return dropped + change(database)
            except Exception as error:  # noqa: BLE001 - a fault of the cache never fails anything else
                self._faults.pause(error)
                self._close_connection()
                return dropped

    def _delete_files(self) -> None:
        from ainb.stores.disk.text_cache import BESIDE, FILE_NAME

        with self._queue.writing, contextlib.suppress(OSError):
            self._close_connection()
            self._database = None
            for end in ("", *BESIDE):
                (self._folder / (FILE_NAME + end)).unlink(missing_ok=True)
            self._faults.resume()


_stores: weakref.WeakSet[DiskStore] = weakref.WeakSet()


def _flush_all(clock: Clock = SYSTEM_CLOCK) -> None:
    """Write the queues of all stores at exit, in parallel, for at most EXIT_SECONDS together."""
    until = clock.monotonic() + EXIT_SECONDS
    stores = list(_stores)
    for store in stores:
        store.write_now()
    for store in stores:
        store.flush(max(0.0, until - clock.monotonic()))


atexit.register(_flush_all)
at_worker_exit(_flush_all)
