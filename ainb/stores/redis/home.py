"""The loop on which a connection lives, reached from any other loop and any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Home:
    """Work for one loop.

    Args:
        home: The loop, running in a thread of its own; asked at each use, since a forked child has another.
    """

    def __init__(self, home: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._home = home

    def at_home(self) -> bool:
        """Whether the running loop is the connection's."""
        try:
            return asyncio.get_running_loop() is self._home()
        except RuntimeError:
            return False

    async def visit(
        self, work: Callable[[], Coroutine[Any, Any, T]], lost: Callable[[T], object] | None = None
    ) -> T:
        """Await `work()` on the home loop, wherever the caller runs.

        Args:
            work: Makes the coroutine.
            lost: Gets its outcome when the caller is cancelled after it was there.
        """
        if self.at_home():
            return await work()
        made: list[T] = []

        async def keep() -> T:
            made.append(await work())
            return made[0]

        home = self._home()
        future = asyncio.run_coroutine_threadsafe(keep(), home)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if (
                lost is not None
            ):  # looks after the cancellation has reached the work, or has come too late for it
                home.call_soon_threadsafe(lambda: [lost(outcome) for outcome in made])
            raise

    def soon(self, callback: Callable[[], object]) -> None:
        """Have `callback` called on the home loop, after whatever runs now; from any thread."""
        self._home().call_soon_threadsafe(callback)

    def later(self, seconds: float, callback: Callable[[], object]) -> None:
        """Have `callback` called on the home loop in so many seconds; from any thread."""
        home = self._home()
        if self.at_home():
            home.call_later(seconds, callback)
        else:
            home.call_soon_threadsafe(home.call_later, seconds, callback)
