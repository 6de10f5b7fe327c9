"""Engine: one daemon thread with one event loop, on which all asynchronous code runs.

A notebook's own loop is busy while a cell runs, ``asyncio.run`` raises inside it, and patched loops can leave
cells unexecuted. Only with a separate thread can a blocking cell show live output and be interrupted.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from ainb.errors import AinbError
from ainb.event_loop import CALLS_IN_FLIGHT
from ainb.fork import new_event, new_lock, pause_at_fork, renew_after_fork
from ainb.job import Job

T = TypeVar("T")

SHUTDOWN_SECONDS = 2.0
# Longest pause of the loop; the copy of a large process takes about a second.
HOLD_SECONDS = 10.0


class Engine:
    """The thread and its loop, created on first use and again in a forked child."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ending = False
        self._jobs: set[Job[Any]] = set()
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._pauses: dict[int, threading.Lock] = {}  # by thread that forks
        renew_after_fork(self)
        pause_at_fork(self, first=True)
        atexit.register(self.shutdown)

    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop, started if needed."""
        with self._lock:
            return self._running()[0]

    def submit(self, work: Coroutine[Any, Any, T]) -> Job[T]:
        """Start a coroutine on the loop, with a copy of the caller's context variables.

        With the copy, output appears in the cell that started the work.
        """
        context = contextvars.copy_context()
        with self._lock:  # a thread that ends at this moment fails the job, or a new thread gets it
            loop, thread = self._running()
            job: Job[T] = Job(loop, thread, work)
            jobs = self._jobs
            jobs.add(job)
            loop.call_soon_threadsafe(job._start, context)  # noqa: SLF001 - part of Job's protocol
        job._future.add_done_callback(lambda _: jobs.discard(job))  # noqa: SLF001 - part of Job's protocol
        return job

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and block until it ends; returns its result.

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
            with contextlib.suppress(RuntimeError):  # closed at this moment
                loop.call_soon_threadsafe(start)

    def is_current(self) -> bool:
        """Whether the caller runs on the loop's thread."""
        return threading.current_thread() is self._thread

    def at_shutdown(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Await `closer` on the loop before the process ends."""
        self._closers.append(closer)

    def pause(self, timeout_seconds: float) -> bool:
        """Hold the loop between two callbacks, so that no import or statement is half done in a fork."""
        reached, ended = new_lock(), new_lock()
        reached.acquire()
        ended.acquire()
        self._pauses[threading.get_ident()] = ended
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive() or self.is_current():
            return True
        with contextlib.suppress(RuntimeError):  # closed at this moment
            loop.call_soon_threadsafe(_hold, reached, ended)
            if not reached.acquire(timeout=timeout_seconds):
                self.resume()
                return False
        return True

    def resume(self) -> None:
        """Let the loop continue; called by the thread that paused it."""
        self._pauses.pop(threading.get_ident()).release()

    def renew(self) -> None:
        """Forget the parent's loop in a forked child; its jobs fail when they are waited for."""
        for job in list(self._jobs):
            job.renew()
        self._pauses.clear()
        self._forget()

    def shutdown(self) -> None:
        """Run the closers and end the loop; a later submit starts a new one."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive() or self.is_current():
            return
        closed = self.submit(self._close()).wait(SHUTDOWN_SECONDS)
        self._ending = True
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

    def _running(self) -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive():
            return self._start()
        return loop, thread

    def _start(self) -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
        loop, jobs = asyncio.new_event_loop(), set[Job[Any]]()
        ready = new_event()

        def main() -> None:
            try:
                asyncio.set_event_loop(loop)
                loop.call_soon(ready.set)
                self._run_until_shutdown(loop)
            finally:
                ready.set()
                self._fail_jobs(loop, jobs)

        thread = threading.Thread(target=main, name="ainb-engine", daemon=True)
        self._loop, self._thread, self._jobs, self._ending = loop, thread, jobs, False
        thread.start()
        ready.wait()
        return loop, thread

    def _run_until_shutdown(self, loop: asyncio.AbstractEventLoop) -> None:
        while not loop.is_closed():
            # The loop ends when a callback or a task raises SystemExit or KeyboardInterrupt, or calls `stop`.
            # By then the job that raised has its error, and all other work is still scheduled.
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                loop.run_forever()
            if self._ending or self._loop is not loop:
                return

    def _fail_jobs(self, loop: asyncio.AbstractEventLoop, jobs: set[Job[Any]]) -> None:
        """Fail the jobs of a loop that has ended, so that no caller waits for them."""
        with self._lock:
            if self._loop is loop:
                self._loop = self._thread = None
        CALLS_IN_FLIGHT.end_all()
        for job in list(jobs):
            job._fail_if_pending()  # noqa: SLF001 - part of Job's protocol

    def _forget(self) -> None:
        self._loop = None
        self._thread = None
        self._jobs = set()


def _hold(reached: threading.Lock, ended: threading.Lock) -> None:
    reached.release()
    # Locks instead of events: an event's inner lock may be held in the child, where the pause is ended too.
    if ended.acquire(timeout=HOLD_SECONDS):
        ended.release()


ENGINE = Engine()
