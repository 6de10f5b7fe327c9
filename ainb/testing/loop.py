"""Event loop with virtual time, which jumps to the next timer when nothing is ready."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from ainb.errors import AinbError

T = TypeVar("T")
STUCK_SECONDS = 5.0


class _JumpingSelector(selectors.DefaultSelector):
    """Selector that advances the loop's time instead of sleeping."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            ready = super().select(STUCK_SECONDS)
            if not ready:
                raise AinbError("every task on the virtual-time loop waits for something that never happens")
        elif timeout > 0:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Event loop with virtual time: when nothing is ready, time jumps to the next timer."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the loop was created."""
        return self._jumping.now


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a new virtual-time loop."""
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        _drain(loop)
        loop.close()


def _drain(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
