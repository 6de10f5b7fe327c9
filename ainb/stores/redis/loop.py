"""The loop on which a connection lives, reached from any other loop and any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopBound:
    """Work for one loop.

    Args:
        home: The loop, running in a thread of its own; asked at each use, since a forked child has another.
    """

    def __init__(self, get_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._get_loop = get_loop

    def is_on_loop(self) -> bool:
        """Whether the running loop is the connection's."""
        try:
            return asyncio.get_running_loop() is self._get_loop()
        except RuntimeError:
            return False

    async def run_on_loop(
        self, work: Callable[[], Coroutine[Any, Any, T]], lost: Callable[[T], object] | None = None
    ) -> T:
        """Await `work()` on the home loop, wherever the caller runs.

        Args:
            work: Makes the coroutine.
            lost: Gets its outcome when the caller is cancelled after it was there.
        """
        if self.is_on_loop():
            return await work()
        made: list[T] = []

        async def keep() -> T:
            made.append(await work())
            return made[0]

        home = self._get_loop()
        future = asyncio.run_coroutine_threadsafe(keep(), home)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if (
                lost is not None
            ):  # looks after the cancellation has reached the work, or has come too late for it
                home.call_soon_threadsafe(lambda: [lost(outcome) for outcome in made])
            raise

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Have `callback` called on the home loop, after whatever runs now; from any thread."""
        self._get_loop().call_soon_threadsafe(callback)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        """Have `callback` called on the home loop in so many seconds; from any thread."""
        home = self._get_loop()
        if self.is_on_loop():
            home.call_later(seconds, callback)
        else:
            home.call_soon_threadsafe(home.call_later, seconds, callback)
