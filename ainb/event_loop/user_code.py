"""Wrapper for the user's own code on an event loop: handles errors that a loop must not receive.

In asyncio ``SystemExit`` and ``KeyboardInterrupt`` end the loop, ``CancelledError`` and ``GeneratorExit``
have a meaning of their own, and a future refuses ``StopIteration``. Raised by the user's code, each of them
is an ordinary error, and is wrapped in a `RaisedByUser`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class RaisedByUser(Exception):  # noqa: N818 - named after the origin of the wrapped error
    """Wraps an error of the user's code that an event loop must not receive.

    Attributes:
        original: The wrapped error.
    """

    def __init__(self, original: BaseException) -> None:
        super().__init__(original)
        self.original = original

    def __str__(self) -> str:
        return str(self.original)


def carried(error: BaseException) -> Exception:
    """The error in a form that may be raised on a loop: itself if that is safe, else in a `RaisedByUser`."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RaisedByUser(error)


def original(error: BaseException) -> BaseException:
    """The error as the user's code raised it."""
    return error.original if isinstance(error, RaisedByUser) else error


def ends_program(error: BaseException) -> bool:
    """Whether an error means the end of the program: ``SystemExit`` or ``KeyboardInterrupt``."""
    return isinstance(original(error), SystemExit | KeyboardInterrupt)


class Contained(Generic[T]):
    """Awaitable around a coroutine that raises no error which a loop must not receive.

    A cancellation from outside passes through, and so does closing the awaiting coroutine.

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
        if isinstance(error, GeneratorExit):  # this awaitable is being closed; the work did not raise it
            return inspect.getcoroutinestate(self._work) != inspect.CORO_CLOSED
        return self._cancelled and isinstance(error, asyncio.CancelledError)

    def _wait(self, future: Any) -> Generator[Any, Any, BaseException | None]:
        """Wait for the future that the work awaits; returns an error to throw into the work, or None."""
        if not asyncio.isfuture(future) or future.get_loop() is not asyncio.get_running_loop():
            try:
                yield future
            except asyncio.CancelledError as cancel:
                self._cancelled = True
                return cancel
            except Exception as error:  # noqa: BLE001 - the loop refuses the awaited object
                return error
            return None
        future._asyncio_future_blocking = False  # noqa: SLF001 - what a task does with a future it receives
        while not future.done():
            try:
                # Not the future itself: the task would throw its error into every coroutine from the
                # outermost inwards, and a GeneratorExit would close them. Here the work gets the result from
                # the future.
                yield from _end_of(future).__await__()
            except asyncio.CancelledError as cancel:
                self._cancelled = True
                if not future.cancel():
                    return cancel
        return None


def _end_of(future: asyncio.Future[Any]) -> asyncio.Future[None]:
    """A future that ends together with another one, but never with an error."""
    end: asyncio.Future[None] = future.get_loop().create_future()
    future.add_done_callback(lambda _: None if end.done() else end.set_result(None))
    return end
