"""Single-flight: identical calls in flight at the same time share one execution and its result.

The work runs in a task of its own, so that a waiter that is cancelled does not affect the others; the last
one to leave cancels the task. Calls are shared per event loop, because a task belongs to its loop.

Callers under the same limits are one party and share one task. Other parties with the same key run tasks of
their own, so that no party's limits refuse or delay another; they send in turn, and all get the first
complete outcome.
"""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
C = TypeVar("C")


class Waiter(Generic[T, C]):
    """A caller that waits for a shared call.

    Attributes:
        shared: The call that it waits for.
        is_owner: Whether the work counts as this caller's: the first one's, or the next one's once it has
            left.
    """

    __slots__ = ("future", "is_owner", "shared")

    def __init__(self, shared: SharedCall[T, C], *, is_owner: bool) -> None:
        self.shared = shared
        self.is_owner = is_owner
        self.future: asyncio.Future[T] = shared.task.get_loop().create_future()

    async def wait(self) -> T:
        """Wait for the outcome; must be called exactly once, right after `join`.

        Returns:
            The outcome itself for the owner, a copy for the others.

        Raises:
            Exception: The error of the work; a copy of it for callers other than the owner.
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
        task: The task that does the work.
        payload: Input of the work; callers that join may change it.
    """

    __slots__ = ("_forget", "_on_end", "_share", "_spread", "_waiters", "payload", "task")

    def __init__(
        self,
        task: asyncio.Task[T],
        payload: C,
        *,
        share: Callable[[T], T],
        forget: Callable[[SharedCall[T, C]], None],
        spread: Callable[[SharedCall[T, C], T], None],
        on_end: Callable[[], None] | None = None,
    ) -> None:
        self.task = task
        self.payload = payload
        self._share = share
        self._forget = forget
        self._spread = spread
        self._on_end = on_end
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

    def take_over(self, outcome: T) -> None:
        """Give every waiter a copy of another party's outcome, and cancel the work."""
        for waiter in self._waiters:
            if not waiter.future.done():
                waiter.future.set_result(self._share(outcome))
        self._forget(self)
        self.task.cancel()

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
        if error is None and not task.cancelled():
            self._spread(self, task.result())
        if self._on_end is not None:
            self._on_end()


class Turn:
    """Mutual exclusion of the tasks of one key while they send; a task with an answer keeps the turn."""

    __slots__ = ("_holder", "_lock")

    def __init__(self) -> None:
        self._holder: object = None
        self._lock = asyncio.Lock()

    async def take(self, work: object) -> None:
        """Wait until no other task sends; does nothing for the task that has the turn."""
        if self._holder is not work:
            await self._lock.acquire()
            self._holder = work

    def give_up(self, work: object) -> None:
        """Pass the turn to the next task; does nothing for a task that does not have it."""
        if self._holder is work:
            self._holder = None
            self._lock.release()


class _Group(Generic[T, C]):
    """The shared calls of one key, by party."""

    __slots__ = ("calls", "turn")

    def __init__(self) -> None:
        self.calls: dict[Hashable, SharedCall[T, C]] = {}
        self.turn = Turn()


class SingleFlight(Generic[T, C]):
    """Shared calls by key and party.

    Args:
        share: Copies an outcome for callers other than the owner; must not raise.
        is_for_all: Whether an outcome is valid for all parties; if not, the other parties continue.
    """

    def __init__(self, share: Callable[[T], T], is_for_all: Callable[[T], bool] = lambda _: True) -> None:
        self._share = share
        self._is_for_all = is_for_all
        self._groups: dict[Hashable, _Group[T, C]] = {}

    def __len__(self) -> int:
        return sum(len(group.calls) for group in self._groups.values())

    def find(self, key: Hashable, party: Hashable = None) -> SharedCall[T, C] | None:
        """The party's shared call in flight on this loop, or None."""
        group = self._groups.get((asyncio.get_running_loop(), key))
        shared = None if group is None else group.calls.get(party)
        # Other code may run between the end of a task and its callback, when it is too late to join.
        return None if shared is None or shared.task.done() else shared

    def start(
        self,
        key: Hashable,
        work: Coroutine[Any, Any, T],
        payload: C,
        party: Hashable = None,
        on_end: Callable[[Turn], None] | None = None,
    ) -> tuple[SharedCall[T, C], Turn]:
        """Start work in a task with the caller's context variables; `find` must just have returned None.

        Args:
            key: Key of the request.
            work: Makes the outcome.
            payload: Input of the work.
            party: Identifies the callers under the same limits.
            on_end: Called with the turn when the work has ended, in the callback that wakes the waiters,
                since another callback would add a step of the loop to each call.

        Returns:
            The shared call, and the turn that its task must take to send.
        """
        loop = asyncio.get_running_loop()
        place = (loop, key)
        group = self._groups.setdefault(place, _Group())

        def forget(shared: SharedCall[T, C]) -> None:
            if group.calls.get(party) is shared:
                del group.calls[party]
            if not group.calls and self._groups.get(place) is group:
                del self._groups[place]

        def spread(shared: SharedCall[T, C], outcome: T) -> None:
            others = [other for name, other in group.calls.items() if name != party and other is not shared]
            if others and self._is_for_all(outcome):
                for other in others:
                    other.take_over(outcome)

        shared: SharedCall[T, C] = SharedCall(
            loop.create_task(work),
            payload,
            share=self._share,
            forget=forget,
            spread=spread,
            on_end=None if on_end is None else functools.partial(on_end, group.turn),
        )
        group.calls[party] = shared
        return shared, group.turn


def _copy_error(error: BaseException) -> BaseException:
    """A copy, so that each raised error has its own traceback; the error itself if copying fails."""
    try:
        copied = copy.copy(error)
    except Exception:  # noqa: BLE001 - exception classes of other packages may need arguments that a copy does not pass
        return error
    if type(copied) is not type(error):
        return error
    copied.__cause__, copied.__suppress_context__ = error.__cause__, error.__suppress_context__
    return copied.with_traceback(error.__traceback__)
