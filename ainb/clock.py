"""Clock: the only source of time, injected everywhere so that tests can replace it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Source of time."""

    def monotonic(self) -> float:
        """Seconds that never step back; only differences are meaningful."""
        ...

    def unix(self) -> float:
        """Wall-clock seconds since 1970-01-01 UTC; may step."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running loop."""
        ...

    def call_later(
        self, loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[[], object]
    ) -> asyncio.Handle:
        """Call `callback` on `loop` after `seconds`; must be called on the loop's thread."""
        ...

    def wait(self, event: threading.Event, seconds: float | None) -> None:
        """Block this thread until `event` is set or `seconds` have passed; None means no limit."""
        ...

    def block(self, seconds: float) -> None:
        """Block the calling thread; never on a thread that runs a loop."""
        ...


class SystemClock:
    """The system's clock."""

    monotonic = staticmethod(time.monotonic)
    unix = staticmethod(time.time)
    sleep = staticmethod(asyncio.sleep)
    block = staticmethod(time.sleep)

    def call_later(
        self, loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[[], object]
    ) -> asyncio.Handle:
        """Set a timer of the loop."""
        return loop.call_later(seconds, callback)

    def wait(self, event: threading.Event, seconds: float | None) -> None:
        """Block this thread."""
        event.wait(seconds)


SYSTEM_CLOCK: Clock = SystemClock()
