"""Single-flight: identical calls in flight at the same time share one execution and its result.

The work runs in a task of its own, so that a waiter that is cancelled does not affect the others; the last
one to leave cancels the task. Calls are shared per event loop, because a task belongs to its loop.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
C = TypeVar("C")


class Waiter(Generic[T, C]):
    """A caller that waits for a shared call.

    Attributes:
        shared: The call that it waits for.
        is_owner: Whether the work is accounted to this caller: the first one, and when it leaves, the next.
    """

    __slots__ = ("future", "is_owner", "shared")

    def __init__(self, shared: SharedCall[T, C], *, is_owner: bool) -> None:
        self.shared = shared
        self.is_owner = is_owner
        self.future: asyncio.Future[T] = shared.task.get_loop().create_future()

    async def wait(self) -> T:
        """Wait for the outcome; to be called exactly once, right after `join`.

        Returns:
            The outcome itself for the owner, a copy for the others.

        Raises:
            Exception: What the work raised; a copy of it for callers other than the owner.
        """
        try:
            return await self.future
        finally:
            if self.future.done() and not self.future.cancelled():
                # marks it as retrieved when this waiter was cancelled in the same tick
                self.future.exception()
            await self.shared.leave(self)


class SharedCall(Generic[T, C]):
    """A task, and the callers that wait for it, oldest first.

    Attributes:
        task: The work.
        payload: What the work is about; callers that join may change it.
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
        """Add a waiter; the caller must await its `wait`."""
        waiter = Waiter(self, is_owner=not self._waiters)
        self._waiters[waiter] = None
        return waiter

    async def leave(self, waiter: Waiter[T, C]) -> None:
        """Remove a waiter; the last one to leave cancels unfinished work and waits until it has ended."""
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
    """Shared calls by key.

    Args:
        share: Copies an outcome for callers other than the owner; must not raise.
    """

    def __init__(self, share: Callable[[T], T]) -> None:
        self._share = share
        self._calls: dict[Hashable, SharedCall[T, C]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def find(self, key: Hashable) -> SharedCall[T, C] | None:
        """The shared call in flight on this loop, or None."""
        shared = self._calls.get((asyncio.get_running_loop(), key))
        # Between the end of a task and its callback other code may run; it is too late to join.
        return None if shared is None or shared.task.done() else shared

    def start(self, key: Hashable, work: Coroutine[Any, Any, T], payload: C) -> SharedCall[T, C]:
        """Start work in a task with the caller's context variables; `find` must just have returned None."""
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
    """A copy, so that each raised error has its own traceback; the error itself where copying fails."""
    try:
        copied = copy.copy(error)
    except Exception:  # noqa: BLE001 - exception classes of other packages may need arguments that a copy does not pass
        return error
    if type(copied) is not type(error):
        return error
    copied.__cause__, copied.__suppress_context__ = error.__cause__, error.__suppress_context__
    return copied.with_traceback(error.__traceback__)
