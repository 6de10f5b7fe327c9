"""Threads for the user's own code, which may block and, on the event loop, would delay all other calls."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import sys
import threading
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from queue import SimpleQueue
from typing import Any, Final, TypeVar
from uuid import UUID

from ainb.event_loop.user_code import carried
from ainb.fork import renew_after_fork

T = TypeVar("T")

MAX_IDLE: Final = 4
MAX_ITEMS: Final = 1_000
_PLAIN = frozenset(
    {str, int, float, bool, complex, bytes, type(None), date, datetime, time, timedelta, Decimal, UUID}
)
_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
_DEPTH: Final = 8


def is_plain(value: Any, depth: int = _DEPTH) -> bool:
    """Whether a value consists of Python and numpy scalars, so that converting it runs no user code."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind in _CONTAINERS:
        if depth == 0 or len(value) > MAX_ITEMS:
            return False
        items = [*value, *value.values()] if kind is dict else value
        return all(is_plain(item, depth - 1) for item in items)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return not isinstance(value, numpy.void | numpy.object_)
    return isinstance(value, PurePath) or kind.__module__.startswith("pandas._libs.")


class UserThread:
    """Daemon thread that runs the user's code in order, with the context variables of its creator.

    The thread starts with the first piece of work. It is a daemon, so that code that blocks forever does not
    keep the process alive.

    Args:
        name: Name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._context = contextvars.copy_context()
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def post(self, work: Callable[[], None]) -> None:
        """Queue `work`, which must not raise, behind earlier work; returns at once."""
        self._queue.put(work)
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name=self._name, daemon=True)
            self._thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` after all earlier work, and wait for its result.

        Raises:
            Exception: What `work` raised, as by `carried`.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def attempt() -> None:
            try:
                settle = functools.partial(_set_result, future, work())
            except BaseException as error:  # noqa: BLE001 - the user's code; raised where it is awaited
                settle = functools.partial(_set_error, future, carried(error))
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the work that waits with it
                loop.call_soon_threadsafe(settle)

        self.post(attempt)
        return await future

    async def settle(self) -> None:
        """Wait until all earlier work has ended."""
        if self._thread is not None:
            await self.run(_nothing)

    def close(self) -> None:
        """End the thread after its queued work."""
        self._queue.put(None)

    def _main(self) -> None:
        while (work := self._queue.get()) is not None:
            self._context.run(work)


def _set_result(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _set_error(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


class UserThreads:
    """Pool of daemon threads that run the user's code in parallel; idle threads are reused."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[UserThread] = []
        renew_after_fork(self)

    def renew(self) -> None:
        """Forget the idle threads in a forked child, which does not have them."""
        self._idle.clear()

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread with the caller's context variables, and wait for its result.

        Raises:
            Exception: What `work` raised, as by `carried`.
        """
        thread = self._idle.pop() if self._idle else UserThread(self._name)
        context = contextvars.copy_context()
        try:
            result = await thread.run(lambda: context.run(work))
        except asyncio.CancelledError:  # the work may run forever
            thread.close()
            raise
        except BaseException:
            self._keep(thread)
            raise
        self._keep(thread)
        return result

    def _keep(self, thread: UserThread) -> None:
        if len(self._idle) < MAX_IDLE:
            self._idle.append(thread)
        else:
            thread.close()


USER_THREADS: Final = UserThreads("ainb-user-code")


def _nothing() -> None:
    """Do nothing: marks the end of earlier work."""
