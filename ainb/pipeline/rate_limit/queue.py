"""Core of the rate limiter: FIFO queues with all-or-nothing grants. No I/O; `now` is passed in.

The core holds plain data and no lock; `ainb.pipeline.rate_limit.local` holds the lock, the clock and the
waiting.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ainb.pipeline.rate_limit.buckets import Cost, Pool, Shortage
from ainb.pipeline.rate_limit.options import DIMENSIONS, Dimension, RateLimit
from ainb.pipeline.rate_limit.permits import Permit, UserQueue, Waiter
from ainb.pipeline.rate_limit.ramp import Ramp
from ainb.pipeline.rate_limit.slots import Slots

Reading = tuple[
    Dimension, float | None, float | None, float | None
]  # of a header: limit a minute, remaining, reset
SLOWER = 0.7
LEAST_SHARE = 0.02
SLOW_DOWN_SECONDS = 1.0  # minimum time between two slow-downs
REGROWTH = 0.005  # growth of the share per second and per settled call, whichever is less
MAX_PAUSE_SECONDS = 3600.0  # a longer Retry-After is probed hourly
REMEMBERED_USERS = 1000


class LimiterCore:
    """Shared limits, limits per user inside them, and the queues of waiters.

    A caller whose user's own limits are used up delays only that user's later callers. All others are served
    in order of arrival; a small request does not overtake the first one.

    Args:
        shared: Limits of all callers together.
        per_user: Limits of each named user inside them; None means users have none of their own.
        now: Monotonic second.
        ramp: Limit of calls in flight that adapts below the cap; None means that the cap holds from the
            first call on.

    Attributes:
        shared: The shared limits.
        slots: Number of calls that may be in flight.
    """

    def __init__(
        self, shared: RateLimit, per_user: RateLimit | None, now: float, ramp: Ramp | None = None
    ) -> None:
        self.shared = Pool(shared, now)
        self.slots = Slots(self.shared, ramp)
        self.paused_until = -math.inf
        self.share = 1.0
        self.queues: dict[UserQueue, None] = {}  # the queues that are not empty
        self.waking: set[Waiter] = set()  # granted, but not running again yet
        self._per_user = per_user
        own = () if per_user is None else Pool(per_user, now).buckets
        self._users_count_tokens = any(index > 0 for index, _ in own)
        self._unnamed = UserQueue(None)
        self._users: dict[str, UserQueue] = {}
        self._arrivals = 0
        self._timer: tuple[Waiter, float] | None = None
        self._slowed_at = self._grown_at = -math.inf

    def counts_tokens(self) -> bool:
        """Whether a token dimension is limited."""
        if self._users_count_tokens:
            return True
        return any(index > 0 for index, _ in self.shared.buckets)

    def waiting(self) -> int:
        """Number of waiters."""
        return sum(len(queue.waiting) for queue in self.queues)

    def try_take(self, cost: Cost, user: str | None, now: float) -> Permit | None:
        """A permit if one is free and no earlier waiter can use it, else None."""
        queue = self._queue_of(user, now)
        if not self.shared.in_flight:
            self.slots.idle(now)
        if self.queues and not self._may_pass(queue, now):
            return None
        if self.paused_until > now or self.shared.wait(cost, now) > 0:
            return None
        if queue.pool is not None and queue.pool.wait(cost, now) > 0:
            return None
        return self._take(queue, cost, now)

    def shortage(self, cost: Cost, user: str | None, now: float) -> Shortage:
        """The limit that a new caller must wait for, with the minimum wait."""
        queue = self._queue_of(user, now)
        found = self.shared.shortage(cost, now, len(queue.waiting))
        if queue.pool is not None:
            own = queue.pool.shortage(cost, now, len(queue.waiting))
            if own.wait_s > found.wait_s or queue.pool.in_flight >= queue.pool.concurrency:
                found = Shortage(own.wait_s, f"{own.state} for each user")
        pause = self.paused_until - now
        if pause > found.wait_s:
            return Shortage(
                pause, f"is paused for {pause:.3g} s, because the provider asked for a pause", is_pause=True
            )
        return found

    def join(self, waiter: Waiter, now: float) -> None:
        """Append a caller to its queue, or refuse it when the minimum wait exceeds its deadline."""
        shortage = self.shortage(waiter.cost, waiter.user, now)
        if waiter.deadline is not None and now + shortage.wait_s > waiter.deadline:
            waiter.refused = shortage
            return
        self._arrivals += 1
        waiter.number = self._arrivals
        waiter.queue = self._queue_of(waiter.user, now)
        waiter.queue.waiting[waiter.number] = waiter
        self.queues[waiter.queue] = None

    def leave(self, waiter: Waiter) -> None:
        """Remove a caller from its queue, if it is still in it."""
        queue, waiter.queue = waiter.queue, None
        if queue is not None:
            del queue.waiting[waiter.number]
            if not queue.waiting:
                del self.queues[queue]
        self.forget_timer(waiter)

    def forget_timer(self, waiter: Waiter) -> None:
        """Drop the timer that `waiter` holds, if it holds one."""
        if self._timer is not None and self._timer[0] is waiter:
            self._timer = None

    def timer(self, waiter: Waiter) -> float | None:
        """Monotonic second at which `waiter` is to call `pump`; None when it holds no timer."""
        return self._timer[1] if self._timer is not None and self._timer[0] is waiter else None

    def pump(self, now: float) -> list[Waiter]:
        """Grant waiting calls that fit, in order of arrival.

        Returns:
            Waiters to wake: granted, refused, or the one that now holds the timer.
        """
        woken: list[Waiter] = []
        while self.queues:
            waiter, wait = self._next(now)
            if waiter is None:
                break
            if wait <= 0:
                self._grant(waiter, now)
            elif waiter.deadline is not None and now + wait > waiter.deadline:
                self._refuse(waiter, now)
            else:
                if self._timer is None or self._timer[0] is not waiter or self._timer[1] > now + wait:
                    self._timer = (waiter, now + wait)
                    woken.append(waiter)
                break
            woken.append(waiter)
        return woken

    def settle(self, permit: Permit, actual: Cost, now: float, *, answered: bool | None = None) -> None:
        """Return a permit and replace its reservation by the actual use; a second call does nothing.

        Args:
            permit: What was granted.
            actual: Actual use.
            now: Monotonic second.
            answered: True when the provider answered, False when it failed, None when that is unknown.
        """
        if permit.settled:
            return
        permit.settled = True
        if answered is not None:
            self.slots.end(answered=answered, now=now)
        permit.pool.in_flight -= 1  # in a forked child the pool of a permit of the parent is another one
        for index, bucket in permit.buckets:
            bucket.settle(permit.cost[index], actual[index], now)
        pool = permit.queue.pool
        if pool is not None:
            pool.in_flight -= 1
            for index, bucket in pool.buckets:
                bucket.settle(permit.cost[index], actual[index], now)
        if self.share < 1.0:
            self._grow(now)

    def pause(self, seconds: float, now: float) -> list[Waiter]:
        """Grant no permits for `seconds`.

        Returns:
            Waiters to wake because the pause is longer than they may wait.
        """
        if not 0 < seconds < math.inf:
            return []
        self.paused_until = max(self.paused_until, now + min(seconds, MAX_PAUSE_SECONDS))
        late = [
            waiter
            for queue in self.queues
            for waiter in queue.waiting.values()
            if waiter.deadline is not None and waiter.deadline < self.paused_until
        ]
        for waiter in late:
            self._refuse(waiter, now)
        return late

    def slow_down(self, permit: Permit, now: float) -> None:
        """After a 429 for this permit: empty the buckets and reduce the share of the limits.

        A call sent before the last slow-down does not slow down again: it was sent at the old share.
        """
        for _, bucket in self.shared.buckets:
            bucket.lower(0.0, now)
        self.slots.overloaded(started_at=permit.granted_at, now=now)
        if permit.granted_at >= self._slowed_at and now >= self._slowed_at + SLOW_DOWN_SECONDS:
            self._slowed_at = self._grown_at = now
            self.share = max(LEAST_SHARE, self.share * SLOWER)
            self.shared.scale(self.share, now)

    def learn(self, readings: Iterable[Reading], now: float) -> None:
        """Apply the server's limits: a lower limit replaces ours, a remaining amount lowers our level."""
        for dimension, limit, remaining, _ in readings:
            if limit is not None and 0 < limit < math.inf:
                self.shared.cap(dimension, limit, now)
            if remaining is not None and remaining >= 0:
                if dimension == "requests":
                    self.slots.hint(remaining)
                for index, bucket in self.shared.buckets:
                    if DIMENSIONS[index] == dimension:
                        bucket.lower(remaining, now)

    def status(self, now: float, user: str | None = None) -> dict[str, Any]:
        """State of the shared limits, or of one user's; unlimited dimensions have no entries."""
        pool = self._queue_of(user, now).pool or self.shared
        return {
            "waiting": self.waiting() if pool is self.shared else len(self._queue_of(user, now).waiting),
            "in_flight": pool.in_flight,
            "concurrency": None if pool.most == math.inf else pool.most,
            "paused_s": max(0.0, self.paused_until - now),
            "share": self.share,
            **pool.levels(now),
        }

    def _queue_of(self, user: str | None, now: float) -> UserQueue:
        if user is None or self._per_user is None:
            return self._unnamed
        queue = self._users.get(user)
        if queue is None:
            if len(self._users) >= REMEMBERED_USERS:
                self._forget_users(now)
            queue = self._users[user] = UserQueue(Pool(self._per_user, now))
        return queue

    def _forget_users(self, now: float) -> None:
        for user, queue in list(self._users.items()):
            if not queue.waiting and (queue.pool is None or queue.pool.is_fresh(now)):
                del self._users[user]

    def _may_pass(self, queue: UserQueue, now: float) -> bool:
        """Whether every waiter is delayed by its own user's limits, and `queue` has none of them."""
        return queue not in self.queues and all(
            other.pool is not None and other.pool.wait(next(iter(other.waiting.values())).cost, now) > 0
            for other in self.queues
        )

    def _next(self, now: float) -> tuple[Waiter | None, float]:
        """The next waiter and its wait in seconds; None when that depends on a call in flight."""
        first: Waiter | None = None
        soonest: Waiter | None = None
        soonest_wait = math.inf
        for queue in self.queues:
            head = next(iter(queue.waiting.values()))
            wait = 0.0 if queue.pool is None else queue.pool.wait(head.cost, now)
            if wait <= 0:
                first = head if first is None or head.number < first.number else first
            elif wait < soonest_wait:
                soonest, soonest_wait = head, wait
        if first is not None:
            wait = max(self.shared.wait(first.cost, now), self.paused_until - now)
            if wait < soonest_wait:
                return first, wait
        return soonest, soonest_wait

    def _take(self, queue: UserQueue, cost: Cost, now: float) -> Permit:
        self.shared.take(cost)
        if queue.pool is not None:
            queue.pool.take(cost)
        return Permit(cost, queue, self.shared, now)

    def _grant(self, waiter: Waiter, now: float) -> None:
        queue = self._queue_of(waiter.user, now)
        self.leave(waiter)
        waiter.permit = self._take(queue, waiter.cost, now)
        self.waking.add(waiter)

    def _refuse(self, waiter: Waiter, now: float) -> None:
        self.leave(waiter)
        waiter.refused = self.shortage(waiter.cost, waiter.user, now)

    def _grow(self, now: float) -> None:
        step = REGROWTH * min(1.0, now - self._grown_at)
        self._grown_at = now
        self.share = min(1.0, self.share + step)
        self.shared.scale(self.share, now)
