"""The only home of time: every module asks a Clock, so that tests can hand it a clock that jumps."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the pipeline may know about time."""

    def monotonic(self) -> float:
        """Seconds that never step back; only differences mean anything."""
        ...

    def unix(self) -> float:
        """Wall-clock seconds since 1970-01-01 UTC; may step."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait on the running loop."""
        ...

    def wait(self, seconds: float) -> None:
        """Block the calling thread, for plain functions; never on a thread that runs a loop."""
        ...


class SystemClock:
    """The machine's own clock."""

    monotonic = staticmethod(time.monotonic)
    unix = staticmethod(time.time)
    sleep = staticmethod(asyncio.sleep)
    wait = staticmethod(time.sleep)


SYSTEM_CLOCK: Clock = SystemClock()
