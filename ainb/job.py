"""Job: handle of a coroutine that runs on the engine's loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import threading
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

from ainb.errors import AinbError, CallInterrupted
from ainb.event_loop import CALLS_IN_FLIGHT, Contained, original
from ainb.fork import free_in_child

T = TypeVar("T")

WAIT_SLICE_SECONDS = 0.2
INTERRUPT_GRACE_SECONDS = 0.25
LOOP_ENDED = (
    "ainb's loop thread has ended while this call waited; the call is lost, and the next one starts a new "
    "thread"
)


class Job(Generic[T]):
    """Handle of a coroutine that runs on the engine's loop.

    ``job.result()`` blocks and can be interrupted, ``await job`` works on any loop, ``job.cancel()`` may be
    called from any thread.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, thread: threading.Thread, work: Coroutine[Any, Any, T]
    ) -> None:
        self._work = work
        self._loop = loop
        self._thread = thread
        self._task: asyncio.Task[T] | None = None
        self._future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._future.set_running_or_notify_cancel()
        self._cancel_asked = False

    def __repr__(self) -> str:
        if not self._future.done():
            return "<Job running>"
        error = self._future.exception()
        if isinstance(error, asyncio.CancelledError):
            return "<Job cancelled>"
        return "<Job done>" if error is None else f"<Job failed: {type(error).__name__}>"

    def done(self) -> bool:
        """Whether the work has ended, whatever its outcome."""
        return self._future.done()

    def cancel(self) -> None:
        """Cancel the work; returns at once, safe from any thread."""
        if not self._future.done():
            with contextlib.suppress(RuntimeError):  # the loop has ended, and so has the work
                self._loop.call_soon_threadsafe(self._cancel_on_loop)

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Block until the work has ended, in slices, so that an interrupt is handled.

        Returns:
            Whether it has ended; False only when `timeout_seconds` expired first.
        """
        left = timeout_seconds
        while not self._future.done():
            slice_seconds = WAIT_SLICE_SECONDS if left is None else min(WAIT_SLICE_SECONDS, left)
            if slice_seconds <= 0:
                return False
            if not self._thread.is_alive():  # also in a forked child, which does not have the thread
                self._fail_if_pending()
                break
            concurrent.futures.wait([self._future], timeout=slice_seconds)
            if left is not None:
                left -= slice_seconds
        return True

    def result(self, timeout_seconds: float | None = None) -> T:
        """Block until the work has ended and return its result, or raise its error.

        Args:
            timeout_seconds: Time limit of the wait; the work continues when it expires. None waits without a
                limit.

        Raises:
            TimeoutError: The time limit expired.
            concurrent.futures.CancelledError: The work was cancelled.
            CallInterrupted: The user interrupted the wait; the work was cancelled.
            AinbError: The loop's thread ended before the work did.
        """
        try:
            ended = self.wait(timeout_seconds)
        except KeyboardInterrupt as interrupt:
            self.cancel()
            self.wait(INTERRUPT_GRACE_SECONDS)
            raise CallInterrupted(
                "stopped by you; the call was cancelled and the next cell works"
            ) from interrupt
        if not ended:
            raise TimeoutError(f"the job still runs after {timeout_seconds} s")
        try:
            return self._future.result()
        except asyncio.CancelledError:
            raise concurrent.futures.CancelledError from None

    def __await__(self) -> Generator[Any, None, T]:
        try:
            return (yield from asyncio.wrap_future(self._for_loops()).__await__())
        except asyncio.CancelledError:
            self.cancel()
            raise

    def renew(self) -> None:
        """Free the lock of the future in a forked child, where the job's thread does not exist."""
        free_in_child(self._future._condition)  # noqa: SLF001 - another thread may have held it

    def _start(self, context: contextvars.Context) -> None:
        work = self._work
        if self._cancel_asked:
            work.close()
            self._set_error(asyncio.CancelledError())
            return
        CALLS_IN_FLIGHT.begin()
        self._task = self._loop.create_task(self._catch(work), context=context)
        self._task.add_done_callback(self._finish)
        self._task.add_done_callback(lambda _: work.close())  # it never began if the task was cancelled first

    async def _catch(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of the work; errors that a loop must not receive are wrapped, see `ainb.event_loop`."""
        return await Contained(work)

    def _cancel_on_loop(self) -> None:
        self._cancel_asked = True
        if self._task is not None:
            self._task.cancel()

    def _finish(self, task: asyncio.Task[T]) -> None:
        CALLS_IN_FLIGHT.end()
        if task.cancelled():
            self._set_error(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self._set_error(original(error))
        else:
            with contextlib.suppress(concurrent.futures.InvalidStateError):
                self._future.set_result(task.result())

    def _set_error(self, error: BaseException) -> None:
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # it has ended already
            self._future.set_exception(error)

    def _fail_if_pending(self) -> None:
        """Fail a job whose thread has ended."""
        if self._task is None:
            self._work.close()
        self._set_error(AinbError(LOOP_ENDED))

    def _for_loops(self) -> concurrent.futures.Future[T]:
        """The future in a form for event loops, whose futures refuse StopIteration."""
        made: concurrent.futures.Future[T] = concurrent.futures.Future()
        made.set_running_or_notify_cancel()  # so that the awaiting task cannot cancel it

        def copy(done: concurrent.futures.Future[T]) -> None:
            error = done.exception()
            if error is None:
                made.set_result(done.result())
                return
            if isinstance(error, StopIteration):  # as Python does when a coroutine raises it
                error, cause = RuntimeError("the job raised StopIteration"), error
                error.__cause__ = cause
            made.set_exception(error)

        self._future.add_done_callback(copy)
        return made
