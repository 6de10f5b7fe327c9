"""Reports the progress of a batch to a watcher: a user's watcher in a thread, a panel on the loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ainb.batch.progress import Progress
from ainb.event_loop import UserThread, carried, ends_program

if TYPE_CHECKING:
    from ainb.clock import Clock

PERIOD_SECONDS = 0.2
# The watcher is also called when no row ends, because time, calls in flight and circuits change.
BEAT_SECONDS = 1.0
RATE_WINDOW_SECONDS = 10.0

Watcher = Callable[[Progress], None]


class LoopWatcher(ABC):
    """Base class of watchers that never block: they are called on the loop, with the progress itself."""

    @abstractmethod
    def __call__(self, progress: Progress) -> None:
        """Show the state of the batch."""


class ProgressReporter:
    """Calls a watcher with the progress one to five times a second, and always with the last state.

    A user's watcher runs in a thread and gets a copy; states that arrive while it runs are skipped. A watcher
    that raises is not called again; the batch continues, except after SystemExit and KeyboardInterrupt.

    Attributes:
        progress: The state that is reported.
        exit_error: SystemExit or KeyboardInterrupt of the watcher, wrapped so that an event loop can handle
            it; None without one.
        on_exit: Called on the loop with that error at once, or None.
    """

    def __init__(self, progress: Progress, watcher: Watcher | None, clock: Clock) -> None:
        self.progress = progress
        self._clock = clock
        self._started = clock.monotonic()
        self._reported_at = float("-inf")
        self._marks: deque[tuple[float, int]] = deque([(self._started, 0)])
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = 0
        self.exit_error: Exception | None = None
        self.on_exit: Callable[[Exception], None] | None = None
        self.watch_with(watcher)

    def watch_with(self, watcher: Watcher | None) -> None:
        """Set the watcher; before `start`."""
        self._watcher = watcher
        in_thread = watcher is not None and not isinstance(watcher, LoopWatcher)
        self._thread = UserThread("ainb-watcher") if in_thread else None

    def start(self) -> None:
        """Call the watcher now, and once a second until the last state; on the running loop."""
        self.update()
        if self._watcher is not None:
            self._timer = asyncio.get_running_loop().call_later(BEAT_SECONDS, self.start)

    def update(self, *, last: bool = False) -> None:
        """Call the watcher if the last call is 0.2 s ago or more; on the running loop."""
        now = self._clock.monotonic()
        if last and self._timer is not None:
            self._timer.cancel()
        if not last and now - self._reported_at < PERIOD_SECONDS:
            return
        self._reported_at = now
        self._measure(now)
        if self._watcher is None:
            return
        if self._thread is None:
            self._watch(self.progress)
        elif last or not self._waiting:
            self._waiting += 1
            self._loop = asyncio.get_running_loop()
            self._thread.post(functools.partial(self._watch_in_thread, self.progress.snapshot()))

    async def finish(self) -> None:
        """Wait until the watcher has been called with the last state, and end its thread."""
        if self._thread is not None:
            await self._thread.settle()
            self._thread.close()

    def _watch_in_thread(self, progress: Progress) -> None:
        self._watch(progress)
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._seen)

    def _seen(self) -> None:
        self._waiting -= 1

    def _watch(self, progress: Progress) -> None:
        if self._watcher is None:
            return
        try:
            self._watcher(progress)
        except BaseException as error:  # noqa: BLE001 - a display error never fails a batch
            self._watcher = None
            if ends_program(error):
                self._exit(carried(error))

    def _exit(self, error: Exception) -> None:
        self.exit_error = error
        if self.on_exit is None:
            return
        if self._loop is None:
            self.on_exit(error)
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self.on_exit, error)

    def _measure(self, now: float) -> None:
        progress = self.progress
        progress.elapsed_s = now - self._started
        until = progress.waiting_until
        progress.next_try_s = until - now if until is not None and until > now else None
        self._marks.append((now, progress.done))
        while len(self._marks) > 2 and now - self._marks[0][0] > RATE_WINDOW_SECONDS:  # noqa: PLR2004 - a rate needs two points
            self._marks.popleft()
        (then, before) = self._marks[0]
        if now > then and progress.done > before:
            progress.rows_per_s = (progress.done - before) / (now - then)
        else:
            progress.rows_per_s = progress.average_rows_per_s
