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


class Seat(Generic[T, C]):
    """One who waits for a flight.

    Attributes:
        flight: What is waited for.
        leads: Whether the work runs on this one's account: the first to come, and when it leaves, the next in line.
    """

    __slots__ = ("flight", "future", "leads")

    def __init__(self, flight: Flight[T, C], *, leads: bool) -> None:
        self.flight = flight
        self.leads = leads
        self.future: asyncio.Future[T] = flight.task.get_loop().create_future()

    async def arrive(self) -> T:
        """Wait for the outcome; called once, at once.

        Returns:
            The outcome itself for the one that leads, a copy for the others.

        Raises:
            Exception: What the work raised; a copy of it for those that do not lead.
        """
        try:
            return await self.future
        finally:
            if self.future.done() and not self.future.cancelled():
                self.future.exception()  # it may be unread when this one was cancelled in the same tick
            await self.flight.leave(self)


class Flight(Generic[T, C]):
    """Work under way, and those who wait for it, oldest first.

    Attributes:
        task: The work.
        cargo: What the work is about; those who join may change it.
    """

    __slots__ = ("_forget", "_seats", "_share", "cargo", "task")

    def __init__(
        self,
        task: asyncio.Task[T],
        cargo: C,
        *,
        share: Callable[[T], T],
        forget: Callable[[Flight[T, C]], None],
    ) -> None:
        self.task = task
        self.cargo = cargo
        self._share = share
        self._forget = forget
        self._seats: dict[Seat[T, C], None] = {}
        task.add_done_callback(self._land)

    def board(self) -> Seat[T, C]:
        """Take a seat; the one who takes it must `arrive`."""
        seat = Seat(self, leads=not self._seats)
        self._seats[seat] = None
        return seat

    async def leave(self, seat: Seat[T, C]) -> None:
        """Give a seat up; the last to leave cancels work that is not done and waits until it has ended."""
        del self._seats[seat]
        if self._seats:
            if seat.leads and not self.task.done():
                next(iter(self._seats)).leads = True
            return
        if not self.task.done():
            self._forget(self)
            self.task.cancel()
            await asyncio.wait([self.task])

    def _land(self, task: asyncio.Task[T]) -> None:
        self._forget(self)
        error = None if task.cancelled() else task.exception()
        for seat in self._seats:
            if seat.future.done():
                continue
            if task.cancelled():
                seat.future.cancel()
            elif error is not None:
                seat.future.set_exception(error if seat.leads else _twin(error))
            else:
                seat.future.set_result(task.result() if seat.leads else self._share(task.result()))


class SingleFlight(Generic[T, C]):
    """Flights by key.

    Args:
        share: Makes a copy of an outcome for those who do not lead; must not raise.
    """

    def __init__(self, share: Callable[[T], T]) -> None:
        self._share = share
        self._flights: dict[Hashable, Flight[T, C]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def find(self, key: Hashable) -> Flight[T, C] | None:
        """The flight under way on this loop, or None."""
        flight = self._flights.get((asyncio.get_running_loop(), key))
        # Between the end of a task and its callback others may run; they are too late for this flight.
        return None if flight is None or flight.task.done() else flight

    def start(self, key: Hashable, work: Coroutine[Any, Any, T], cargo: C) -> Flight[T, C]:
        """Set work going in a task with the caller's context variables; `find` must just have returned None."""
        loop = asyncio.get_running_loop()
        place = (loop, key)

        def forget(flight: Flight[T, C]) -> None:
            if self._flights.get(place) is flight:
                del self._flights[place]

        flight: Flight[T, C] = Flight(loop.create_task(work), cargo, share=self._share, forget=forget)
        self._flights[place] = flight
        return flight


def _twin(error: BaseException) -> BaseException:
    """A copy, because each one that is raised gathers a traceback of its own; the error itself where it cannot be copied."""
    try:
        twin = copy.copy(error)
    except Exception:  # noqa: BLE001 - an exception class of somebody else's may need arguments that a copy does not give
        return error
    if type(twin) is not type(error):
        return error
    twin.__cause__, twin.__suppress_context__ = error.__cause__, error.__suppress_context__
    return twin.with_traceback(error.__traceback__)
