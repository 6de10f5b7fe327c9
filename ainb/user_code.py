"""Calls of the user's own code on a loop: errors that an event loop cannot carry.

asyncio gives ``SystemExit`` and ``KeyboardInterrupt`` a meaning of their own (they end the loop), as it does
``CancelledError`` and ``GeneratorExit``, and a future refuses ``StopIteration``. Raised by the user's code
each of them is an error like any other, and travels inside a `RaisedByUser`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class RaisedByUser(Exception):  # noqa: N818 - named after what it says of the error inside
    """Carries an error of the user's code that an event loop cannot carry.

    Attributes:
        original: The error itself.
    """

    def __init__(self, original: BaseException) -> None:
        super().__init__(original)
        self.original = original

    def __str__(self) -> str:
        return str(self.original)


def carried(error: BaseException) -> Exception:
    """The error in a form that may be raised on a loop: itself where that is safe, else a `RaisedByUser`."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RaisedByUser(error)


def original(error: BaseException) -> BaseException:
    """The error as the user's code raised it."""
    return error.original if isinstance(error, RaisedByUser) else error


def ends_program(error: BaseException) -> bool:
    """Whether the user's code asked to stop everything: ``SystemExit`` or ``KeyboardInterrupt``."""
    return isinstance(original(error), SystemExit | KeyboardInterrupt)


class Contained(Generic[T]):
    """Awaitable around a coroutine; raises nothing that would end or mislead the loop.

    A cancellation from outside passes through, as does the close of the coroutine that awaits.

    Args:
        work: Coroutine that runs the user's code.
    """

    __slots__ = ("_cancelled", "_work")

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._cancelled = False

    def __await__(self) -> Generator[Any, Any, T]:
        work, thrown = self._work, None
        try:
            while True:
                waits_for = work.send(None) if thrown is None else work.throw(thrown)
                thrown = yield from self._wait(waits_for)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        except BaseException as error:
            if self._comes_from_outside(error) or (safe := carried(error)) is error:
                raise
            raise safe from error
        finally:
            work.close()

    def _comes_from_outside(self, error: BaseException) -> bool:
        if isinstance(error, GeneratorExit):  # this awaitable is closed, and the work has not raised it
            return inspect.getcoroutinestate(self._work) != inspect.CORO_CLOSED
        return self._cancelled and isinstance(error, asyncio.CancelledError)

    def _wait(self, future: Any) -> Generator[Any, Any, BaseException | None]:
        """Wait for what the work awaits; returns what is to be thrown into it, if anything."""
        if not asyncio.isfuture(future) or future.get_loop() is not asyncio.get_running_loop():
            try:
                yield future
            except asyncio.CancelledError as cancel:
                self._cancelled = True
                return cancel
            except Exception as error:  # noqa: BLE001 - the loop refuses what the work awaits
                return error
            return None
        future._asyncio_future_blocking = False  # noqa: SLF001 - what a task does with a future it receives
        while not future.done():
            try:
                # Not the future itself: the task would throw its error into every coroutine from the
                # outermost inwards, where a GeneratorExit means that they are closed. Here the work asks for
                # its result.
                yield from _end_of(future).__await__()
            except asyncio.CancelledError as cancel:
                self._cancelled = True
                if not future.cancel():
                    return cancel
        return None


def _end_of(future: asyncio.Future[Any]) -> asyncio.Future[None]:
    """A future that ends with another one, always without an error."""
    end: asyncio.Future[None] = future.get_loop().create_future()
    future.add_done_callback(lambda _: None if end.done() else end.set_result(None))
    return end
