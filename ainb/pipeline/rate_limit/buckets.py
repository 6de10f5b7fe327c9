"""Token buckets and in-flight caps of the rate limiter. No I/O; `now` is passed in.

A bucket bounds the burst: with capacity C and rate R no window of w seconds admits more than C + R * w. A
bucket as large as its limit therefore admits almost twice the limit in some minute (119 for a limit of 60); a
bucket of a sixth of the limit admits 69.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from ainb.pipeline.rate_limit.options import DIMENSIONS, Dimension, RateLimit

Cost = tuple[float, float, float, float]  # in the order of DIMENSIONS
ONE_REQUEST: Cost = (1, 0, 0, 0)
NOTHING: Cost = (0, 0, 0, 0)
WINDOW_SECONDS = 60.0
BURST_SHARE = 6  # a full bucket holds a sixth of a minute's limit
SMALLEST_STRICT_BURST = 2.0  # below it a bucket of 1 would leave a strict limit no rate at all
ROUNDING = 1e-10


def call_cost(input_tokens: float, output_tokens: float) -> Cost:
    """Cost in each dimension of one request with these tokens."""
    return (1, input_tokens + output_tokens, input_tokens, output_tokens)


class Shortage(NamedTuple):
    """The limit that delays a call, and the minimum wait.

    Attributes:
        wait_s: Minimum wait in seconds; 0 when the wait depends on a call in flight.
        state: What delays the call, as a predicate: "is limited to 60 requests a minute".
        is_pause: The provider asked for a pause; limits of ours do not matter.
    """

    wait_s: float
    state: str
    is_pause: bool = False


class Bucket:
    """Token bucket of one dimension: a level that refills at a rate up to a capacity; it may be negative.

    Attributes:
        limit: Units per minute.
        capacity: Units that a full bucket holds.
        rate: Units refilled per second.
        level: Units available at `stamp`.
        stamp: Monotonic second of `level`.
    """

    __slots__ = ("capacity", "level", "limit", "rate", "stamp")

    def __init__(self, limit: float, now: float) -> None:
        self.limit = self.capacity = self.rate = self.level = 0.0
        self.stamp = now
        self.resize(limit, now)
        self.level = self.capacity

    def resize(self, limit: float, now: float) -> None:
        """Change the limit; the level stays, up to the new capacity."""
        self.refill(now)
        self.limit = limit
        self.capacity, self.rate = self._shape(limit)
        self.level = min(self.level, self.capacity)

    def _shape(self, limit: float) -> tuple[float, float]:
        return max(1.0, limit / BURST_SHARE), limit / WINDOW_SECONDS

    def refill(self, now: float) -> None:
        """Update the level to `now`."""
        if now > self.stamp:
            level = self.level + (now - self.stamp) * self.rate
            self.level = level if level < self.capacity else self.capacity  # noqa: FURB136 - min() takes 3 x as long
            self.stamp = now

    def wait(self, amount: float, now: float, ahead: float = 0.0) -> float:
        """Seconds until `amount` fits; an amount above the capacity waits for a full bucket.

        Args:
            amount: Units requested; 0 never waits.
            now: Monotonic second.
            ahead: Units that callers ahead take first.
        """
        self.refill(now)
        if amount + ahead <= self.level or amount <= 0:
            return 0.0
        short = min(amount, self.capacity) + ahead - self.level
        return short / self.rate if short > ROUNDING else 0.0

    def take(self, amount: float) -> None:
        """Take `amount`; the level may become negative."""
        self.level -= amount

    def settle(self, reserved: float, actual: float, now: float) -> None:
        """Replace the amount `reserved` by `actual`."""
        if reserved != actual:
            self.refill(now)
            self.level = min(self.capacity, self.level + reserved - actual)

    def is_full(self, now: float) -> bool:
        """Whether the bucket is full."""
        self.refill(now)
        return self.level >= self.capacity - ROUNDING

    def lower(self, remaining: float, now: float) -> None:
        """Lower the level to at most `remaining`."""
        self.refill(now)
        self.level = min(self.level, remaining)


class StrictBucket(Bucket):
    """Token bucket that also keeps every sliding minute within the limit, as counted by the server.

    Capacity and rate are chosen so that capacity + rate * 60 s = limit. That alone does not hold for a
    request larger than the bucket, nor for the server's clock: a call granted at 0 s may reach the server at
    9 s. So a call counts while it is in flight and for a minute after its end; the server counted it within
    that time.

    Attributes:
        in_flight: Units taken and not yet settled.
        recent: Monotonic second and units of calls settled within the last minute, oldest first.
        recent_sum: Units in `recent`.
    """

    __slots__ = ("in_flight", "recent", "recent_sum")

    def __init__(self, limit: float, now: float) -> None:
        self.in_flight = 0.0
        self.recent: deque[tuple[float, float]] = deque()
        self.recent_sum = 0.0
        super().__init__(limit, now)

    def _shape(self, limit: float) -> tuple[float, float]:
        capacity = limit / BURST_SHARE
        if limit >= SMALLEST_STRICT_BURST:
            capacity = max(1.0, capacity)
        return capacity, (limit - capacity) / WINDOW_SECONDS

    def wait(self, amount: float, now: float, ahead: float = 0.0) -> float:
        """Seconds until `amount` fits bucket and window; infinite while that depends on calls in flight."""
        if amount <= 0:
            return 0.0
        return max(super().wait(amount, now, ahead), self._window_wait(amount, now))

    def take(self, amount: float) -> None:
        """Take `amount`; it counts as in flight until it is settled."""
        super().take(amount)
        self.in_flight += amount

    def settle(self, reserved: float, actual: float, now: float) -> None:
        """Count `actual` for a minute from now, in place of the amount `reserved`."""
        super().settle(reserved, actual, now)
        self.in_flight -= reserved
        if actual > 0:
            self.recent.append((now, actual))
            self.recent_sum += actual

    def is_full(self, now: float) -> bool:
        """Whether the bucket is full and its window empty."""
        self._forget(now)
        return not self.recent and super().is_full(now)

    def _forget(self, now: float) -> None:
        while self.recent and self.recent[0][0] <= now - WINDOW_SECONDS:
            self.recent_sum -= self.recent.popleft()[1]

    def _window_wait(self, amount: float, now: float) -> float:
        self._forget(now)
        excess = self.in_flight + self.recent_sum + min(amount, self.limit) - self.limit
        if excess <= ROUNDING:
            return 0.0
        for settled_at, units in self.recent:
            excess -= units
            if excess <= ROUNDING:
                return settled_at + WINDOW_SECONDS - now
        return math.inf


class Pool:
    """Limits of one scope: a bucket per limited dimension, and a cap on calls in flight.

    Attributes:
        buckets: Index into DIMENSIONS and bucket of every limited dimension. Adding one makes a new tuple, so
            that a permit settles exactly the buckets that it took from.
        most: Cap on calls in flight; infinite when there is none.
        concurrency: Calls that may be in flight now, at most `most`.
        in_flight: Calls in flight.
    """

    __slots__ = ("_limits", "_share", "_strict", "buckets", "concurrency", "in_flight", "most")

    def __init__(self, options: RateLimit, now: float) -> None:
        self.most: float = math.inf if options.concurrency is None else options.concurrency
        self.concurrency = self.most
        self.in_flight = 0
        self.buckets: tuple[tuple[int, Bucket], ...] = ()
        self._strict = options.strict
        self._share = 1.0
        self._limits: dict[int, tuple[float, float]] = {}  # configured and learnt, infinite where unknown
        for index, dimension in enumerate(DIMENSIONS):
            limit = getattr(options, f"{dimension}_per_minute")
            if limit is not None:
                self._limits[index] = (limit, math.inf)
                self._add(index, limit, now)

    def wait(self, cost: Cost, now: float) -> float:
        """Seconds until `cost` fits all buckets; infinite while no slot is free."""
        if self.in_flight >= self.concurrency:
            return math.inf
        longest = 0.0
        for index, bucket in self.buckets:
            wait = bucket.wait(cost[index], now)
            if wait > longest:  # noqa: PLR1730 - as in refill
                longest = wait
        return longest

    def shortage(self, cost: Cost, now: float, ahead: int) -> Shortage:
        """The limit with the longest minimum wait for `cost`.

        The requests of the `ahead` calls in the queue count, since requests are not returned. Their tokens do
        not, since they are estimates that are partly returned when the calls settle. A wait for a call in
        flight is unknown and counts as 0.
        """
        longest = 0.0
        limit = f"a concurrency of {self.most:g}"
        for index, bucket in self.buckets:
            wait = bucket.wait(cost[index], now, ahead if index == 0 else 0)
            if longest < wait < math.inf:
                longest, limit = wait, f"{_count(min(self._limits[index]))} {DIMENSIONS[index]} a minute"
        return Shortage(longest, f"is limited to {limit.replace('_', ' ')}")

    def take(self, cost: Cost) -> None:
        """Take a slot, and `cost` from the buckets."""
        self.in_flight += 1
        for index, bucket in self.buckets:
            bucket.take(cost[index])

    def is_fresh(self, now: float) -> bool:
        """Whether the pool is in its initial state."""
        return self.in_flight == 0 and all(bucket.is_full(now) for _, bucket in self.buckets)

    def levels(self, now: float) -> dict[str, float]:
        """Level, capacity and limit per minute of every limited dimension."""
        row: dict[str, float] = {}
        for index, bucket in self.buckets:
            bucket.refill(now)
            name = DIMENSIONS[index]
            row[f"{name}_level"] = bucket.level
            row[f"{name}_capacity"] = bucket.capacity
            row[f"{name}_limit"] = bucket.limit
        return row

    def cap(self, dimension: Dimension, limit: float, now: float) -> None:
        """Apply a limit learnt from the server where it is lower than the configured one."""
        index = DIMENSIONS.index(dimension)
        configured, learnt = self._limits.get(index, (math.inf, math.inf))
        if learnt == limit:
            return
        self._limits[index] = (configured, limit)
        if configured == learnt == math.inf:
            self._add(index, limit * self._share, now)
        else:
            self._resize(now)

    def scale(self, share: float, now: float) -> None:
        """Scale every bucket to a share of its limit."""
        self._share = share
        self._resize(now)

    def _add(self, index: int, limit: float, now: float) -> None:
        kind = StrictBucket if self._strict else Bucket
        self.buckets = (*self.buckets, (index, kind(limit, now)))

    def _resize(self, now: float) -> None:
        for index, bucket in self.buckets:
            bucket.resize(min(self._limits[index]) * self._share, now)


def _count(value: float) -> str:
    return f"{int(value) if value == int(value) else value:,}"
