"""Access to the event loop of a connection from any loop and any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopBound:
    """Runs work on one event loop.

    Args:
        get_loop: Returns the loop, which runs in a thread of its own; called at each use, since a forked
            child has another loop.
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
        """Await `work()` on the connection's loop, from any loop.

        Args:
            work: Returns the coroutine.
            lost: Called with its result when the caller was cancelled after the work had ended.
        """
        if self.is_on_loop():
            return await work()
        made: list[T] = []

        async def keep() -> T:
            made.append(await work())
            return made[0]

        loop = self._get_loop()
        future = asyncio.run_coroutine_threadsafe(keep(), loop)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if lost is not None:  # runs after the cancellation has reached the work or came too late
                loop.call_soon_threadsafe(lambda: [lost(outcome) for outcome in made])
            raise

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call `callback` soon on the connection's loop; from any thread."""
        self._get_loop().call_soon_threadsafe(callback)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        """Call `callback` on the connection's loop after `seconds`; from any thread."""
        loop = self._get_loop()
        if self.is_on_loop():
            loop.call_later(seconds, callback)
        else:
            loop.call_soon_threadsafe(loop.call_later, seconds, callback)
