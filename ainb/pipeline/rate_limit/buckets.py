"""Token buckets and in-flight caps: how long until a call fits, and what it takes; sans I/O, `now` is passed in.

A bucket bounds the burst: with capacity C and rate R no window of w seconds sees more than C + R * w. A bucket as large
as its limit therefore lets almost twice the limit into some minute (119 of 60); a sixth of it lets 69.
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
    """What one request of so many tokens takes of each dimension."""
    return (1, input_tokens + output_tokens, input_tokens, output_tokens)


class Shortage(NamedTuple):
    """Why a call cannot go now.

    Attributes:
        wait_s: Seconds that it must wait at the least; 0 when that depends on a call that returns.
        limit: The limit that holds it up, in words, such as "60 requests a minute".
    """

    wait_s: float
    limit: str


class Bucket:
    """One dimension: a level that refills at a rate up to a capacity; a level below 0 is owed.

    Attributes:
        limit: Units a minute.
        capacity: Units that a full bucket holds.
        rate: Units a second that flow back.
        level: Units there at `stamp`.
        stamp: Monotonic second of `level`.
    """

    __slots__ = ("capacity", "level", "limit", "rate", "stamp")

    def __init__(self, limit: float, now: float) -> None:
        self.limit = self.capacity = self.rate = self.level = 0.0
        self.stamp = now
        self.resize(limit, now)
        self.level = self.capacity

    def resize(self, limit: float, now: float) -> None:
        """Change the limit; what is in the bucket stays, up to the new capacity."""
        self.refill(now)
        self.limit = limit
        self.capacity, self.rate = self._shape(limit)
        self.level = min(self.level, self.capacity)

    def _shape(self, limit: float) -> tuple[float, float]:
        return max(1.0, limit / BURST_SHARE), limit / WINDOW_SECONDS

    def refill(self, now: float) -> None:
        """Bring the level up to `now`."""
        if now > self.stamp:
            level = self.level + (now - self.stamp) * self.rate
            self.level = level if level < self.capacity else self.capacity  # noqa: FURB136 - min() takes 3 x as long
            self.stamp = now

    def wait(self, amount: float, now: float, ahead: float = 0.0) -> float:
        """Seconds until `amount` fits; more than the capacity waits for a full bucket, and owes the rest.

        Args:
            amount: Units asked for; nothing never waits.
            now: Monotonic second.
            ahead: Units that others take first.
        """
        self.refill(now)
        if amount + ahead <= self.level or amount <= 0:
            return 0.0
        short = min(amount, self.capacity) + ahead - self.level
        return short / self.rate if short > ROUNDING else 0.0

    def take(self, amount: float) -> None:
        """Take `amount`, owing what is not there."""
        self.level -= amount

    def settle(self, reserved: float, actual: float, now: float) -> None:
        """Put right what was taken: `actual` in place of `reserved`."""
        if reserved != actual:
            self.refill(now)
            self.level = min(self.capacity, self.level + reserved - actual)

    def is_full(self, now: float) -> bool:
        """Whether all that was taken has flowed back."""
        self.refill(now)
        return self.level >= self.capacity - ROUNDING

    def lower(self, remaining: float, now: float) -> None:
        """Leave at most `remaining` in it."""
        self.refill(now)
        self.level = min(self.level, remaining)


class StrictBucket(Bucket):
    """A bucket that also keeps every sliding minute within the limit, as the server counts it.

    Capacity and rate are chosen so that capacity + rate * 60 s = limit. That alone does not hold for a request larger
    than the bucket, nor for the server's clock: a call granted at 0 s may reach the server at 9 s. So what is in
    flight counts until it returns and for a minute after that; whenever the server counted it, it was in between.

    Attributes:
        in_flight: Units taken and not settled yet.
        recent: Monotonic second and units of what was settled within the last minute, oldest first.
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
        """Seconds until `amount` fits bucket and window; infinite while only a call that returns can make room."""
        if amount <= 0:
            return 0.0
        return max(super().wait(amount, now, ahead), self._window_wait(amount, now))

    def take(self, amount: float) -> None:
        """Take `amount`, which is in flight from now on."""
        super().take(amount)
        self.in_flight += amount

    def settle(self, reserved: float, actual: float, now: float) -> None:
        """Count `actual` for a minute from now, in place of `reserved` in flight."""
        super().settle(reserved, actual, now)
        self.in_flight -= reserved
        if actual > 0:
            self.recent.append((now, actual))
            self.recent_sum += actual

    def is_full(self, now: float) -> bool:
        """Whether all that was taken has flowed back and left the window."""
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
    """One scope's limits: buckets that must all have room, and a cap on calls in flight.

    Attributes:
        buckets: Index into DIMENSIONS and bucket of every dimension that is limited. A new tuple when one is added, so
            that a permit settles exactly the buckets it took from.
        concurrency: Calls in flight at most; infinite when there is no cap.
        in_flight: Calls in flight.
    """

    __slots__ = ("_limits", "_share", "_strict", "buckets", "concurrency", "in_flight")

    def __init__(self, options: RateLimit, now: float) -> None:
        self.concurrency: float = math.inf if options.concurrency is None else options.concurrency
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
        """Seconds until `cost` fits everywhere: the longest of the dimensions, infinite while no slot is free."""
        if self.in_flight >= self.concurrency:
            return math.inf
        longest = 0.0
        for index, bucket in self.buckets:
            wait = bucket.wait(cost[index], now)
            if wait > longest:  # noqa: PLR1730 - as in refill
                longest = wait
        return longest

    def shortage(self, cost: Cost, now: float, ahead: int) -> Shortage:
        """What `cost` must wait for at the least.

        Requests of the `ahead` calls in line count, since nothing gives them back; their tokens do not, since those are
        estimates, and what is settled early comes back. A wait for a call in flight is not known and counts as 0.
        """
        longest = 0.0
        limit = f"{self.concurrency:g} calls at once"
        for index, bucket in self.buckets:
            wait = bucket.wait(cost[index], now, ahead if index == 0 else 0)
            if longest < wait < math.inf:
                longest, limit = wait, f"{_count(min(self._limits[index]))} {DIMENSIONS[index]} a minute"
        return Shortage(longest, limit.replace("_", " "))

    def take(self, cost: Cost) -> None:
        """Take a slot and `cost` of every bucket."""
        self.in_flight += 1
        for index, bucket in self.buckets:
            bucket.take(cost[index])

    def is_fresh(self, now: float) -> bool:
        """Whether nothing would be lost if it were made anew."""
        return self.in_flight == 0 and all(bucket.is_full(now) for _, bucket in self.buckets)

    def levels(self, now: float) -> dict[str, float]:
        """Level, capacity and limit a minute of every limited dimension."""
        row: dict[str, float] = {}
        for index, bucket in self.buckets:
            bucket.refill(now)
            name = DIMENSIONS[index]
            row[f"{name}_level"] = bucket.level
            row[f"{name}_capacity"] = bucket.capacity
            row[f"{name}_limit"] = bucket.limit
        return row

    def cap(self, dimension: Dimension, limit: float, now: float) -> None:
        """Keep to a limit learnt from the server where it is lower than ours."""
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
        """Run every bucket at a share of its limit."""
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
