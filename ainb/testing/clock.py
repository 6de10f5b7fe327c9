"""Fake clock for tests, which moves only when a test advances it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from ainb.errors import AinbError
from ainb.testing.loop import STUCK_SECONDS


class FakeClock:
    """Fake clock that moves only by `advance`, or with a virtual-time loop.

    Args:
        unix: Wall-clock seconds since 1970 at the start.
        loop: Loop whose virtual time the clock follows; None means that `advance` moves the clock.
    """

    def __init__(
        self, unix: float = 1_700_000_000.0, *, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._unix = unix
        self._now = 0.0
        self._loop = loop

    def monotonic(self) -> float:
        """Virtual seconds since the start."""
        return self._now if self._loop is None else self._now + self._loop.time()

    def unix(self) -> float:
        """Virtual wall-clock seconds."""
        return self._unix + self.monotonic()

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self._now += seconds

    def step_wall_clock(self, seconds: float) -> None:
        """Step only the wall clock, as a time server would."""
        self._unix += seconds

    async def sleep(self, seconds: float) -> None:
        """Wait on a virtual loop, or advance at once without one."""
        if self._loop is not None:
            await asyncio.sleep(seconds)
        else:
            self.advance(max(0.0, seconds))
            await asyncio.sleep(0)

    def call_later(
        self, loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[[], object]
    ) -> asyncio.Handle:
        """Set a timer of the virtual loop, or advance at once without one."""
        if self._loop is not None:
            return loop.call_later(seconds, callback)
        self.advance(max(0.0, seconds))
        return loop.call_soon(callback)

    def wait(self, event: threading.Event, seconds: float | None) -> None:
        """Advance at once; a wait without a limit really waits, for at most STUCK_SECONDS."""
        if event.is_set():
            return
        if seconds is not None:
            self.advance(max(0.0, seconds))
        elif not event.wait(STUCK_SECONDS):
            raise AinbError("this thread waits for something that never happens")

    def block(self, seconds: float) -> None:
        """Advance at once, in place of a blocking wait."""
        self.advance(max(0.0, seconds))
