"""Engine: one daemon thread with one event loop, on which everything asynchronous runs.

A notebook's own loop is busy while a cell runs, ``asyncio.run`` raises inside it, and patched loops leave
cells unrun. Only with a separate thread can a blocking cell show live output and be interrupted.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import contextvars
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from ainb.errors import AinbError, CallInterrupted

T = TypeVar("T")

WAIT_SLICE_SECONDS = 0.2
INTERRUPT_GRACE_SECONDS = 0.25
SHUTDOWN_SECONDS = 2.0


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class Job(Generic[T]):
    """Handle of a coroutine that runs on the engine's loop.

    ``job.result()`` blocks and can be interrupted, ``await job`` works on any loop, ``job.cancel()`` may be
    called from any thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._task: asyncio.Task[T] | None = None
        self._future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._future.set_running_or_notify_cancel()
        self._cancel_asked = False

    def __repr__(self) -> str:
        if not self._future.done():
            return "<Job running>"
        error = self._future.exception()
        return "<Job done>" if error is None else f"<Job failed: {type(error).__name__}>"

    def done(self) -> bool:
        """Whether the work has ended, whatever its outcome."""
        return self._future.done()

    def cancel(self) -> None:
        """Cancel the work; returns at once, safe from any thread."""
        if self._future.done():
            return
        try:
            self._loop.call_soon_threadsafe(self._cancel_on_loop)
        except RuntimeError:  # the loop has ended, and the work with it
            return

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
        """
        try:
            if not self.wait(timeout_seconds):
                raise TimeoutError(f"the job still runs after {timeout_seconds} s")
            return self._future.result()
        except asyncio.CancelledError:
            raise concurrent.futures.CancelledError from None
        except KeyboardInterrupt as interrupt:
            self.cancel()
            self.wait(INTERRUPT_GRACE_SECONDS)
            raise CallInterrupted(
                "stopped by you; the call was cancelled and the next cell works"
            ) from interrupt

    def __await__(self) -> Generator[Any, None, T]:
        try:
            return (yield from asyncio.wrap_future(self._future).__await__())
        except asyncio.CancelledError:
            self.cancel()
            raise

    def _start(self, work: Coroutine[Any, Any, T], context: contextvars.Context) -> None:
        if self._cancel_asked:
            work.close()
            self._future.set_exception(asyncio.CancelledError())
            return
        self._task = self._loop.create_task(work, context=context)
        self._task.add_done_callback(self._finish)

    def _cancel_on_loop(self) -> None:
        self._cancel_asked = True
        if self._task is not None:
            self._task.cancel()

    def _finish(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self._future.set_exception(asyncio.CancelledError())
            return
        error = task.exception()
        if error is not None:
            self._future.set_exception(error)
        else:
            self._future.set_result(task.result())


class Engine:
    """The thread and its loop, created on first use and again in a forked child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closers: list[Callable[[], Awaitable[None]]] = []
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.shutdown)

    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop, started if needed."""
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = self._start()
            return self._loop

    def submit(self, work: Coroutine[Any, Any, T]) -> Job[T]:
        """Start a coroutine on the loop, with a copy of the caller's context variables.

        The copy makes output appear in the cell that started it.
        """
        loop = self.loop()
        job: Job[T] = Job(loop)
        loop.call_soon_threadsafe(job._start, work, contextvars.copy_context())  # noqa: SLF001 - part of Job's protocol
        return job

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and block until its result.

        Raises:
            AinbError: Called on the loop itself, where blocking would never return.
        """
        if self.is_current():
            work.close()
            raise AinbError(
                "this runs on ainb's own loop, where a blocking call would never return; await submit() "
                "instead"
            )
        return self.submit(work).result()

    def post(self, start: Callable[[], object]) -> None:
        """Schedule a callback if the loop is running; takes no lock, so that finalizers may call it."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # closed in this moment
                loop.call_soon_threadsafe(start)

    def is_current(self) -> bool:
        """Whether the caller runs on the loop's thread."""
        return threading.current_thread() is self._thread

    def at_shutdown(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Await `closer` on the loop before the process ends."""
        self._closers.append(closer)

    def shutdown(self) -> None:
        """Run the closers and end the loop; a later submit starts a new one."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive() or self.is_current():
            return
        closed = self.submit(self._close()).wait(SHUTDOWN_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        # A blocked loop is not waited for: its thread is a daemon.
        thread.join(SHUTDOWN_SECONDS if closed else 0)
        if not thread.is_alive():
            loop.close()
        self._forget()

    async def _close(self) -> None:
        await asyncio.gather(*(closer() for closer in self._closers), return_exceptions=True)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = _new_loop()
        ready = threading.Event()

        def main() -> None:
            asyncio.set_event_loop(loop)
            loop.call_soon(ready.set)
            loop.run_forever()

        self._thread = threading.Thread(target=main, name="ainb-engine", daemon=True)
        self._thread.start()
        ready.wait()
        return loop

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._loop = None
        self._thread = None


ENGINE = Engine()
