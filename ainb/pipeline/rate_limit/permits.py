"""Who stands in line, where, and what they are given; plain data."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ainb.pipeline.rate_limit.buckets import Bucket, Cost, Pool, Shortage


class Waiter:
    """A caller in line.

    Attributes:
        cost: What it asks for.
        user: On whose behalf, or None.
        deadline: Monotonic second up to which it can wait, or None.
        wake: Called without the lock, from any thread, when the waiter should look at its state.
        number: Its place in the order of arrival.
        line: Where it stands; None before and after.
        permit: What it was granted, or None.
        refused: What it would have had to wait for beyond its deadline, or None.
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
    """Callers of one user (or of nobody in particular), oldest first, and that user's own limits if there are any."""

    __slots__ = ("pool", "waiting")

    def __init__(self, pool: Pool | None) -> None:
        self.pool = pool
        self.waiting: OrderedDict[int, Waiter] = OrderedDict()


class Permit:
    """Leave to make one call; settled once.

    Attributes:
        cost: What was reserved.
        line: Where it was granted.
        shared: Buckets of the shared pool that it took from.
        granted_at: Monotonic second.
        settled: Whether it was given back.
    """

    __slots__ = ("cost", "granted_at", "queue", "settled", "shared")

    def __init__(
        self, cost: Cost, queue: UserQueue, shared: tuple[tuple[int, Bucket], ...], granted_at: float
    ) -> None:
        self.cost = cost
        self.queue = queue
        self.shared = shared
        self.granted_at = granted_at
        self.settled = False
