"""The default store: one diskcache database of texts, read in place and written by a thread of its own."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.events import Sink, silent
from ainb.stores import MAX_TEXT_BYTES, StoreStats, renew_after_fork
from ainb.stores.faults import Faults
from ainb.stores.memory import MemoryStore

if TYPE_CHECKING:
    from ainb.stores.text_cache import TextCache

MAX_WAITING = 20_000
MAX_WAITING_CHARACTERS = 64 * 2**20
BATCH = 1000
GATHER_SECONDS = 0.02
FLUSH_SECONDS = 15.0

Waiting = dict[str, tuple[str, float]]


class DiskStore:
    """Texts in a private folder, shared by every kernel of the person.

    A read takes a few microseconds and happens where it is asked for, waiting 50 ms at most for a locked database. Writes are
    put in line and committed in groups by a thread; reads see what is in line. Nothing is ever evicted. After a fault the disk
    is left alone for 30 s, and the answers of that time are kept in memory.

    Args:
        folder: Made on first use (0700); the files in it are 0600.
        spare: Takes answers that the disk cannot; None means a memory store of the usual size.
        clock: Where time comes from.
        sink: Who is told, once, what is wrong; always called by a thread that uses the store, never by the writer.
    """

    name = "disk"
    _writer: threading.Thread | None

    def __init__(
        self,
        folder: Path,
        *,
        spare: MemoryStore | None = None,
        clock: Clock = SYSTEM_CLOCK,
        sink: Sink = silent,
    ) -> None:
        self._folder = Path(folder)
        self._spare = MemoryStore() if spare is None else spare
        self._faults = Faults(clock, sink)
        self._database: TextCache | None = None
        self._inherited: list[TextCache] = []
        self._forget_threads()
        renew_after_fork(self)

    async def get(self, namespace: str, key: str) -> str | None:
        """The text, or None when there is none or it cannot be read."""
        name = f"{namespace}:{key}"
        # In this order, and the writer fills `_writing` before it empties `_waiting`: no lock is needed to miss nothing.
        found = self._waiting.get(name) or self._writing.get(name)
        if found is not None:
            return found[0]
        text = self._spare.read(name) if len(self._spare) else None
        if text is None:
            text = self._read(name)
        if self._faults.noted is not None:
            self._faults.tell()
        return text

    async def set(self, namespace: str, key: str, text: str, *, created_at: float) -> None:
        """Put a text in line to be written; it can be read at once."""
        name = f"{namespace}:{key}"
        if len(text) > MAX_TEXT_BYTES // 4 and len(text.encode()) > MAX_TEXT_BYTES:
            self._faults.note(
                f"an answer is larger than the {MAX_TEXT_BYTES} bytes that the cache takes, and was not kept"
            )
        elif self._faults.is_resting() or self._is_full(text):
            self._spare.write(name, text, created_at)
        else:
            if len(self._spare):
                self._spare.remove(name)
            self._put_in_line(name, text, created_at)
        if self._faults.noted is not None:
            self._faults.tell()

    async def delete(self, namespace: str, key: str) -> None:
        """Forget one text; waits for a commit under way."""
        name = f"{namespace}:{key}"
        self._spare.remove(name)
        self._change(lambda waiting: waiting == name, lambda database: int(database.delete(name)))

    async def prune(self, namespace: str, *, created_before: float) -> int:
        """Forget texts made before a wall-clock second; waits for a commit under way."""
        await self._spare.prune(namespace, created_before=created_before)
        self.flush()
        return self._change(
            lambda _name: False, lambda database: database.delete_all(namespace, created_before)
        )

    async def clear(self, namespace: str) -> int:
        """Forget a whole namespace; a database that cannot be read is deleted with all that is in it."""
        spared = await self._spare.clear(namespace)
        prefix = f"{namespace}:"
        self._faults.wake()
        gone = self._change(
            lambda name: name.startswith(prefix), lambda database: database.delete_all(namespace)
        )
        if self._faults.is_resting():
            self._delete_files()
        return spared + gone

    async def stats(self) -> StoreStats:
        """Rows (with those in line) and bytes of the files."""
        if self._faults.is_resting() or (database := self._open()) is None:
            return await self._spare.stats()
        try:
            entries = database.count_entries()
            from ainb.stores.text_cache import FILE_NAME

            size_bytes = sum(file.stat().st_size for file in self._folder.glob(f"{FILE_NAME}*"))
        except Exception as error:  # noqa: BLE001 - a fault of the cache never fails anything else
            self._faults.rest(error)
            return await self._spare.stats()
        if entries is None:
            return StoreStats(entries=None, size_bytes=size_bytes)
        waiting = len(self._waiting) + len(self._writing) + len(self._spare)
        return StoreStats(entries=entries + waiting, size_bytes=size_bytes)

    async def close(self) -> None:
        """Write what is in line, end the writer, close this thread's connection; a later call opens the store again."""
        self.flush()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._writer is not None:
            self._writer.join(FLUSH_SECONDS)
            atexit.unregister(self.flush)
        with self._changed:
            self._writer = None
            self._closed = False
        if self._database is not None:
            with contextlib.suppress(Exception):
                self._database.close()
            self._database = None
        if self._faults.noted is not None:
            self._faults.tell()

    def flush(self, timeout_seconds: float = FLUSH_SECONDS) -> bool:
        """Block until everything in line is written or given up; returns whether that happened in time."""
        with self._changed:
            self._hurry.set()
            done = self._changed.wait_for(lambda: not self._waiting and not self._writing, timeout_seconds)
            self._hurry.clear()
            return done

    def renew(self) -> None:
        """After a fork: the parent writes what was in line there, and keeps its own connections.

        SQLite must not use or close a connection that was opened on the other side of a fork, so it is only put aside.
        """
        if self._database is not None:
            self._inherited.append(self._database)
        self._database = None
        atexit.unregister(self.flush)
        self._forget_threads()

    def _forget_threads(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._closed = False
        self._disk = threading.RLock()
        self._hurry = threading.Event()
        self._writer = None
        self._waiting: Waiting = {}
        self._writing: Waiting = {}
        self._waiting_characters = 0

    def _read(self, name: str) -> str | None:
        database = self._database
        if self._faults.is_resting() or (database is None and (database := self._open()) is None):
            return None
        try:
            return database.read(name)
        except Exception as error:  # noqa: BLE001 - a fault of the cache is a miss, whatever it is
            self._fail_read(error)
            return None

    def _fail_read(self, error: Exception) -> None:
        from ainb.stores.text_cache import TamperedRowError

        if isinstance(error, TamperedRowError):
            self._faults.note("a stored answer is not what ainb writes")
        else:
            self._faults.rest(error)

    def _open(self) -> TextCache | None:
        """The database, opened on first use; None when it cannot be."""
        with self._disk:
            if self._database is not None:
                return self._database
            try:
                from ainb.stores.private_folder import prepare
                from ainb.stores.text_cache import BESIDE, FILE_NAME, TextCache

                prepare(self._folder, FILE_NAME, BESIDE)
                self._database = TextCache(str(self._folder))
            except Exception as error:  # noqa: BLE001 - without a disk there is still memory
                self._faults.rest(error)
            return self._database

    def _is_full(self, text: str) -> bool:
        fits = self._waiting_characters + len(text) <= MAX_WAITING_CHARACTERS
        if len(self._waiting) < MAX_WAITING and fits:
            return False
        self._faults.note("answers come faster than the disk takes them")
        return True

    def _put_in_line(self, name: str, text: str, created_at: float) -> None:
        with self._changed:
            first = not self._waiting
            self._waiting[name] = (text, created_at)
            self._waiting_characters += len(text)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_on, name="ainb-cache-writer", daemon=True)
                self._writer.start()
                atexit.register(self.flush)
            if first:
                self._changed.notify_all()

    def _write_on(self) -> None:
        """The writer thread: gather for a moment, commit, sleep until there is more."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    break
            self._hurry.wait(GATHER_SECONDS)
            with self._disk:
                self._commit_waiting()
        self._let_go()

    def _commit_waiting(self) -> None:
        with self._changed:
            self._writing = self._waiting
            self._waiting, self._waiting_characters = {}, 0
        rows = iter(self._writing.items())
        while batch := list(itertools.islice(rows, BATCH)):
            if not self._commit(batch):
                for name, (text, created_at) in batch:
                    self._spare.write(name, text, created_at)
        with self._changed:
            self._writing = {}
            self._changed.notify_all()

    def _commit(self, batch: list[tuple[str, tuple[str, float]]]) -> bool:
        if self._faults.is_resting() or (database := self._open()) is None:
            return False
        try:
            database.be_patient()
            database.set_all(batch)
        except Exception as error:  # noqa: BLE001 - what the disk does not take goes to memory
            self._faults.rest(error)
            self._let_go()
            return False
        return True

    def _let_go(self) -> None:
        """Close this thread's connection: one that failed to commit may still hold its transaction."""
        if self._database is not None:
            with contextlib.suppress(Exception):
                self._database.close()

    def _change(self, drops: Callable[[str], bool], change: Callable[[TextCache], int]) -> int:
        """Drop names from the line and change the database, with no commit in between."""
        with self._disk:
            with self._changed:
                dropped = [name for name in self._waiting if drops(name)]
                for name in dropped:
                    self._waiting_characters -= len(self._waiting.pop(name)[0])
                self._changed.notify_all()
            if self._faults.is_resting() or (database := self._open()) is None:
                return len(dropped)
            try:
                return len(dropped) + change(database)
            except Exception as error:  # noqa: BLE001 - a fault of the cache never fails anything else
                self._faults.rest(error)
                self._let_go()
                return len(dropped)

    def _delete_files(self) -> None:
        from ainb.stores.text_cache import BESIDE, FILE_NAME

        with self._disk, contextlib.suppress(OSError):
            self._let_go()
            self._database = None
            for end in ("", *BESIDE):
                (self._folder / (FILE_NAME + end)).unlink(missing_ok=True)
            self._faults.wake()
