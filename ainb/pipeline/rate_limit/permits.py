"""Data of the rate limiter: waiters, the queue of each user, permits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ainb.pipeline.rate_limit.buckets import Cost, Pool, Shortage


class Waiter:
    """A caller in the queue.

    Attributes:
        cost: Cost to reserve.
        user: Named user of the call, or None.
        deadline: Monotonic second until which it may wait, or None.
        wake: Called without the lock, from any thread, when the waiter must check its state.
        number: Position in the order of arrival.
        queue: Queue in which it waits; None before and after.
        permit: The granted permit, or None.
        refused: The shortage that lasts longer than its deadline, or None.
    """

    __slots__ = ("cost", "deadline", "number", "permit", "queue", "refused", "user", "wake")

    def __init__(
        self, cost: Cost, user: str | None, deadline: float | None, wake: Callable[[], object]
    ) -> None:
        self.cost = cost
        self.user = user
        self.deadline = deadline
        self.wake = wake
        self.number = 0
        self.queue: UserQueue | None = None
        self.permit: Permit | None = None
        self.refused: Shortage | None = None


class UserQueue:
    """Waiters of one user (or without a user), oldest first, and the user's own limits, if any."""

    __slots__ = ("pool", "waiting")

    def __init__(self, pool: Pool | None) -> None:
        self.pool = pool
        self.waiting: OrderedDict[int, Waiter] = OrderedDict()


class Permit:
    """Permission for one call; settled once.

    Attributes:
        cost: Reserved cost.
        queue: Queue in which it was granted.
        pool: The shared pool, in which the call counts as in flight.
        buckets: Buckets of the shared pool that the cost was taken from.
        granted_at: Monotonic second.
        settled: Whether the permit was returned.
    """

    __slots__ = ("buckets", "cost", "granted_at", "pool", "queue", "settled")

    def __init__(self, cost: Cost, queue: UserQueue, pool: Pool, granted_at: float) -> None:
        self.cost = cost
        self.queue = queue
        self.pool = pool
        self.buckets = pool.buckets  # a limit that is learnt later adds to those of the pool
        self.granted_at = granted_at
        self.settled = False
