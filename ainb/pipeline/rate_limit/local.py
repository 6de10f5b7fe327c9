"""Rate limiter of this process: tasks of any event loop and plain threads wait in one queue, without polling.

The state is plain data under a lock. A change wakes the affected waiters through a callback; the waiter that
can be granted next holds the only timer (of its loop, or the timeout of its thread's wait).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ainb.clock import Clock
from ainb.errors import RateLimitError
from ainb.fork import new_event, new_lock, renew_after_fork
from ainb.pipeline.rate_limit.buckets import NOTHING, Cost, Shortage
from ainb.pipeline.rate_limit.options import RateLimit
from ainb.pipeline.rate_limit.permits import Permit, Waiter
from ainb.pipeline.rate_limit.queue import LimiterCore, Reading
from ainb.pipeline.rate_limit.ramp import Ramp

LATE_SECONDS = 1e-6  # a timer that fires early by a rounding error would find too low a level


class LocalLimiter:
    """Rate limits shared by all callers of this process; thread-safe and bound to no event loop.

    Args:
        options: Limits of all callers together.
        per_user: Limits of each named user inside them; None means users have none of their own.
        name: Name in messages, such as "openai:gpt-5-mini".
        ramp: Limit of calls in flight that adapts below the cap; None means that the cap holds from the
            first call on, as it must where callers do not wait.

    Attributes:
        counts_tokens: Whether a token dimension is limited, so that callers must estimate tokens.
    """

    def __init__(
        self,
        options: RateLimit,
        clock: Clock,
        *,
        per_user: RateLimit | None = None,
        name: str = "this limiter",
        ramp: Ramp | None = None,
    ) -> None:
        self.clock = clock
        self._name = name
        self._may_wait = options.on_full == "wait" and (per_user is None or per_user.on_full == "wait")
        self._limits = (options, per_user)
        self._ramp = ramp if self._may_wait else None
        self._lock = new_lock()
        self.renew()
        self.counts_tokens = self._core.counts_tokens()
        renew_after_fork(self)

    def renew(self) -> None:
        """Start as in a new process: in a forked child the parent's calls in flight would never end."""
        self._core = LimiterCore(*self._limits, self.clock.monotonic(), self._ramp)

    def try_acquire(self, cost: Cost, *, user: str | None = None) -> Permit | None:
        """A permit if one is free now, else None; never waits and never overtakes waiters."""
        with self._lock:
            return self._core.try_take(cost, user, self.clock.monotonic())

    async def acquire(self, cost: Cost, *, user: str | None = None, deadline: float | None = None) -> Permit:
        """Wait in the queue for a permit.

        Args:
            cost: Cost to reserve.
            user: Named user of the call, or None.
            deadline: Monotonic second; a wait for a bucket or a pause that must exceed it is refused at once.
                A wait for a call in flight has no known length; the caller must end it at the deadline.

        Raises:
            RateLimitError: The wait is too long, or the options say not to wait.
        """
        permit = None
        with self._lock:
            if not self._core.waking:  # else it would run before waiters that were granted theirs earlier
                permit = self._core.try_take(cost, user, self.clock.monotonic())
        if permit is not None:
            return permit
        self._check_may_wait(cost, user)
        entry = _LoopWaiter(self, cost, user, deadline)
        try:
            self._change(lambda now: self._core.join(entry.waiter, now))
            await (asyncio.sleep(0) if _decided(entry.waiter) else entry.future)
        except BaseException:
            self._leave(entry.waiter)
            raise
        finally:
            entry.close()
        return self._outcome(entry.waiter)

    def acquire_blocking(
        self, cost: Cost, *, user: str | None = None, deadline: float | None = None
    ) -> Permit:
        """`acquire` for a plain thread; an interrupt leaves the queue.

        Raises:
            RateLimitError: The wait is too long, or the options say not to wait.
        """
        permit = self.try_acquire(cost, user=user)
        if permit is not None:
            return permit
        self._check_may_wait(cost, user)
        event = new_event()
        waiter = Waiter(cost, user, deadline, event.set)
        try:
            self._change(lambda now: self._core.join(waiter, now))
            while not _decided(waiter):
                self.clock.wait(event, self.seconds_left(waiter))
                event.clear()
                self.wake([other for other in self.tick(waiter) if other is not waiter])
        except BaseException:
            self._leave(waiter)
            raise
        return self._outcome(waiter)

    def settle(self, permit: Permit, actual: Cost | None = None, *, answered: bool | None = None) -> None:
        """Return a permit; a second call does nothing.

        Args:
            permit: What `acquire` returned.
            actual: Actual use; None keeps the reservation, `NOTHING` returns all of it.
            answered: True when the provider answered, False when it failed, None when that is unknown.
        """
        with self._lock:
            now = self.clock.monotonic()
            used = permit.cost if actual is None else actual
            self._core.settle(permit, used, now, answered=answered)
            woken = self._core.pump(now) if self._core.queues else None
        if woken:
            self.wake(woken)

    def throttle(self, permit: Permit, retry_after: float | None = None) -> None:
        """After a 429 for this permit: empty the buckets, pause and slow down.

        Args:
            permit: What `acquire` returned.
            retry_after: Seconds that the server asked to wait, or None.
        """

        def slow_down(now: float) -> list[Waiter]:
            self._core.slow_down(permit, now)
            return self._core.pause(retry_after or 0.0, now)

        self._change(slow_down)

    def pause(self, seconds: float) -> None:
        """Grant no permits for `seconds`; a negative number or NaN is ignored."""
        self._change(lambda now: self._core.pause(seconds, now))

    def learn(self, readings: Iterable[Reading]) -> None:
        """Apply rate-limit headers: a lower limit replaces ours, a remaining amount lowers our level."""

        def learn(now: float) -> None:
            self._core.learn(readings, now)
            self.counts_tokens = self.counts_tokens or self._core.counts_tokens()

        self._change(learn)

    def raise_cap(self, cap: int) -> None:
        """Raise the cap on calls in flight to at least `cap`, until `lower_cap`."""
        self._change(lambda _now: self._core.slots.raise_cap(cap))

    def lower_cap(self, cap: int) -> None:
        """Undo one `raise_cap` of the same number; calls in flight above the cap go on."""
        with self._lock:
            self._core.slots.lower_cap(cap)

    def start_at(self, in_flight: int) -> None:
        """Allow at least `in_flight` calls in flight from now on, up to the cap."""
        self._change(lambda now: self._core.slots.start_at(in_flight, now))

    @property
    def hinted(self) -> float | None:
        """Remaining requests that the server reported with the last reply; None where it reports none."""
        return self._core.slots.hinted

    def status(self, user: str | None = None) -> dict[str, Any]:
        """Calls waiting and in flight, seconds of pause left, and level, capacity, limit per dimension.

        Args:
            user: User whose own limits to show; None means the shared ones.
        """
        with self._lock:
            return self._core.status(self.clock.monotonic(), user)

    def tick(self, waiter: Waiter) -> list[Waiter]:
        """Serve the queue after the timer of `waiter` has fired or the waiter was woken.

        Returns:
            Waiters to wake, in the order in which they were granted.
        """
        with self._lock:
            self._core.forget_timer(waiter)
            return self._core.pump(self.clock.monotonic())

    def seconds_left(self, waiter: Waiter) -> float | None:
        """Seconds until `waiter` is to call `tick`; None when it holds no timer."""
        with self._lock:
            due = self._core.timer(waiter)
        return None if due is None else max(0.0, due - self.clock.monotonic()) + LATE_SECONDS

    def wake(self, woken: Iterable[Waiter]) -> None:
        """Make each waiter check its state; called without the lock, since a waiter may set a timer."""
        for waiter in woken:
            try:
                waiter.wake()
            except RuntimeError:  # its loop was closed, so its permit must be returned
                self._leave(waiter)

    def _check_may_wait(self, cost: Cost, user: str | None) -> None:
        if self._may_wait:
            return
        with self._lock:
            shortage = self._core.shortage(cost, user, self.clock.monotonic())
        raise RateLimitError(
            f"{self._name} {shortage.state}, and no permit is free now; try again after "
            'retry_after seconds, or set RateLimit(on_full="wait")',
            retry_after=shortage.wait_s or None,
        )

    def _change(self, change: Callable[[float], list[Waiter] | None]) -> None:
        """Change the state at this moment, serve the queue, and wake waiters."""
        with self._lock:
            now = self.clock.monotonic()
            woken = [*(change(now) or ()), *self._core.pump(now)]
        self.wake(woken)

    def _leave(self, waiter: Waiter) -> None:
        """Leave the queue, and return a permit that was granted in the same moment."""

        def leave(now: float) -> None:
            self._core.leave(waiter)
            self._core.waking.discard(waiter)
            if waiter.permit is not None:
                self._core.settle(waiter.permit, NOTHING, now)

        self._change(leave)

    def _outcome(self, waiter: Waiter) -> Permit:
        if waiter.permit is not None:
            with self._lock:
                self._core.waking.discard(waiter)
            return waiter.permit
        shortage = waiter.refused or Shortage(0.0, "is at its rate limit")
        raise RateLimitError(
            f"{self._name} {shortage.state}, and the wait is longer than this call may take; "
            f"raise --timeout (timeout_seconds){'' if shortage.is_pause else ' or the limit, or send less'}",
            retry_after=shortage.wait_s or None,
        )


class _LoopWaiter:
    """A task in the queue: its waiter, a future of its event loop, and its timer, if it holds one."""

    def __init__(self, limiter: LocalLimiter, cost: Cost, user: str | None, deadline: float | None) -> None:
        self.waiter = Waiter(cost, user, deadline, self.wake)
        self._limiter = limiter
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._handle: asyncio.Handle | None = None
        self.future: asyncio.Future[None] = self._loop.create_future()

    def wake(self) -> None:
        """Check the state on the loop's own thread."""
        if threading.get_ident() == self._thread:
            self._look()
        else:
            self._loop.call_soon_threadsafe(self._look)

    def close(self) -> None:
        """Cancel the timer."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        if self.future.done():
            return
        self.close()
        if _decided(self.waiter):
            self.future.set_result(None)
            return
        seconds = self._limiter.seconds_left(self.waiter)
        if seconds is not None:
            self._handle = self._limiter.clock.call_later(self._loop, seconds, self._tick)

    def _tick(self) -> None:
        self._limiter.wake(self._limiter.tick(self.waiter))


def _decided(waiter: Waiter) -> bool:
    return waiter.permit is not None or waiter.refused is not None
