"""Of many that want the same thing at once, one goes and all get what it brings.

The work is a task of its own, so nobody who waits can hurt the others by leaving; the last one to leave cancels it. Flights
are told apart by event loop as well as by key: a task belongs to its loop.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
C = TypeVar("C")


class Waiter(Generic[T, C]):
    """One who waits for a shared.

    Attributes:
        shared: What is waited for.
        is_owner: Whether the work runs on this one's account: the first to come, and when it leaves, the next in line.
    """

    __slots__ = ("future", "is_owner", "shared")

    def __init__(self, shared: SharedCall[T, C], *, is_owner: bool) -> None:
        self.shared = shared
        self.is_owner = is_owner
        self.future: asyncio.Future[T] = shared.task.get_loop().create_future()

    async def wait(self) -> T:
        """Wait for the outcome; called once, at once.

        Returns:
            The outcome itself for the one that is_owner, a copy for the others.

        Raises:
            Exception: What the work raised; a copy of it for those that do not lead.
        """
        try:
            return await self.future
        finally:
            if self.future.done() and not self.future.cancelled():
                self.future.exception()  # it may be unread when this one was cancelled in the same tick
            await self.shared.leave(self)


class SharedCall(Generic[T, C]):
    """Work under way, and those who wait for it, oldest first.

    Attributes:
        task: The work.
        payload: What the work is about; those who join may change it.
    """

    __slots__ = ("_forget", "_share", "_waiters", "payload", "task")

    def __init__(
        self,
        task: asyncio.Task[T],
        payload: C,
        *,
        share: Callable[[T], T],
        forget: Callable[[SharedCall[T, C]], None],
    ) -> None:
        self.task = task
        self.payload = payload
        self._share = share
        self._forget = forget
        self._waiters: dict[Waiter[T, C], None] = {}
        task.add_done_callback(self._finish)

    def join(self) -> Waiter[T, C]:
        """Take a waiter; the one who takes it must `wait`."""
        waiter = Waiter(self, is_owner=not self._waiters)
        self._waiters[waiter] = None
        return waiter

    async def leave(self, waiter: Waiter[T, C]) -> None:
        """Give a waiter up; the last to leave cancels work that is not done and waits until it has ended."""
        del self._waiters[waiter]
        if self._waiters:
            if waiter.is_owner and not self.task.done():
                next(iter(self._waiters)).is_owner = True
            return
        if not self.task.done():
            self._forget(self)
            self.task.cancel()
            await asyncio.wait([self.task])

    def _finish(self, task: asyncio.Task[T]) -> None:
        self._forget(self)
        error = None if task.cancelled() else task.exception()
        for waiter in self._waiters:
            if waiter.future.done():
                continue
            if task.cancelled():
                waiter.future.cancel()
            elif error is not None:
                waiter.future.set_exception(error if waiter.is_owner else _copy_error(error))
            else:
                waiter.future.set_result(task.result() if waiter.is_owner else self._share(task.result()))


class SingleFlight(Generic[T, C]):
    """Flights by key.

    Args:
        share: Makes a copy of an outcome for those who do not lead; must not raise.
    """

    def __init__(self, share: Callable[[T], T]) -> None:
        self._share = share
        self._calls: dict[Hashable, SharedCall[T, C]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def find(self, key: Hashable) -> SharedCall[T, C] | None:
        """The shared under way on this loop, or None."""
        shared = self._calls.get((asyncio.get_running_loop(), key))
        # Between the end of a task and its callback others may run; they are too late for this shared.
        return None if shared is None or shared.task.done() else shared

    def start(self, key: Hashable, work: Coroutine[Any, Any, T], payload: C) -> SharedCall[T, C]:
        """Set work going in a task with the caller's context variables; `find` must just have returned None."""
        loop = asyncio.get_running_loop()
        place = (loop, key)

        def forget(shared: SharedCall[T, C]) -> None:
            if self._calls.get(place) is shared:
                del self._calls[place]

        shared: SharedCall[T, C] = SharedCall(
            loop.create_task(work), payload, share=self._share, forget=forget
        )
        self._calls[place] = shared
        return shared


def _copy_error(error: BaseException) -> BaseException:
    """A copy, because each one that is raised gathers a traceback of its own; the error itself where it cannot be copied."""
    try:
        copied = copy.copy(error)
    except Exception:  # noqa: BLE001 - an exception class of somebody else's may need arguments that a copy does not give
        return error
    if type(copied) is not type(error):
        return error
    copied.__cause__, copied.__suppress_context__ = error.__cause__, error.__suppress_context__
    return copied.with_traceback(error.__traceback__)
