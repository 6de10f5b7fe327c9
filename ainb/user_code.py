"""Calls of the user's own code: errors that an event loop cannot carry, and a thread where it may block.

asyncio gives ``SystemExit`` and ``KeyboardInterrupt`` a meaning of their own (they end the loop), as it does
``CancelledError`` and ``GeneratorExit``, and a future refuses ``StopIteration``. Raised by the user's code
each of them is an error like any other, and travels inside a `RaisedByUser`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable, Coroutine, Generator
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")

LAST_PIECES_SECONDS = 0.1


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
    future.add_done_callback(lambda _: _set_result(end, None))
    return end


class UserThread:
    """One daemon thread that runs the user's code in the order given, with the maker's context variables.

    The thread starts with the first piece of work. A daemon, so that code that blocks for ever does not keep
    the process alive.

    Args:
        name: Name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._context = contextvars.copy_context()
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def post(self, work: Callable[[], None]) -> None:
        """Run `work`, which must not raise, after all that was given before; returns at once."""
        self._queue.put(work)
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name=self._name, daemon=True)
            self._thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` after all that was given before, and wait for its result.

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

    def close(self) -> None:
        """End the thread after the work that it has."""
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


class TextDelivery:
    """Passes the pieces of a streamed reply to the user's ``on_text``, in order, in a thread of the call.

    Args:
        on_text: Function of the user.
    """

    def __init__(self, on_text: Callable[[str], object]) -> None:
        self._on_text = on_text
        self._thread = UserThread("ainb-on-text")
        self._error: Exception | None = None
        self._used = False
        self._ended = False

    def put(self, text: str) -> None:
        """Pass a piece on; returns at once.

        Raises:
            Exception: What ``on_text`` raised for a piece before.
        """
        if self._error is not None:
            raise self._error
        self._used = True
        self._thread.post(functools.partial(self._deliver, text))

    async def finish(self) -> None:
        """Wait until every piece is delivered.

        Raises:
            Exception: What ``on_text`` raised.
        """
        if self._used:
            await self._thread.run(_nothing)
        if self._error is not None:
            raise self._error

    async def end_soon(self) -> None:
        """Wait a moment for the pieces under way, so that they come before the error of the call."""
        if self._used:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._thread.run(_nothing), LAST_PIECES_SECONDS)

    def end(self) -> None:
        """Deliver nothing more, and end the thread."""
        self._ended = True
        if self._used:
            self._thread.close()

    def _deliver(self, text: str) -> None:
        if self._ended or self._error is not None:
            return
        try:
            self._on_text(text)
        except BaseException as error:  # noqa: BLE001 - the user's code; raised with the next piece or at the end
            self._error = carried(error)


def _nothing() -> None:
    """Work that is done when all before it is."""
