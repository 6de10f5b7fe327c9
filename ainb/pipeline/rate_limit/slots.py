"""Slots of the rate limiter: the cap on calls in flight, raised for a batch, and the ramp below it."""

from __future__ import annotations

import math

from ainb.pipeline.rate_limit.buckets import Pool
from ainb.pipeline.rate_limit.ramp import START, Ramp

UNLIMITED_GROWTH = 7.0


class Slots:
    """Sets `Pool.concurrency` of the shared limits.

    Args:
        pool: The shared limits.
        ramp: Adapts the number below the cap; None means that the cap holds from the first call on.

    Attributes:
        hinted: Remaining requests that the server reported with the last reply; None where it reports none.
    """

    __slots__ = ("_cap", "_pool", "_raised", "_ramp", "hinted")

    def __init__(self, pool: Pool, ramp: Ramp | None) -> None:
        self._pool = pool
        self._ramp = ramp
        self._cap = pool.most
        self._raised: list[int] = []
        self.hinted: float | None = None
        self._fit_cap()

    def raise_cap(self, cap: int) -> None:
        """Raise the cap to at least `cap`, until `lower_cap`."""
        self._raised.append(cap)
        self._fit_cap()

    def lower_cap(self, cap: int) -> None:
        """Undo one `raise_cap` of the same number."""
        self._raised.remove(cap)
        self._fit_cap()

    def start_at(self, in_flight: int, now: float) -> None:
        """Allow at least `in_flight` calls in flight from now on, up to the cap."""
        if self._ramp is not None:
            self._ramp.raise_to(in_flight, now=now)
            self._fit()

    def idle(self, now: float) -> None:
        """Record that a call requests a permit while none is in flight."""
        if self._ramp is not None:
            self._ramp.idle(now=now)
            self._fit()

    def end(self, *, answered: bool, now: float) -> None:
        """Record the outcome of a call, which still counts as in flight."""
        if self._ramp is None:
            return
        if answered:
            self._ramp.succeeded(in_flight=self._pool.in_flight, now=now)
        else:
            self._ramp.failed(now=now)
        self._fit()

    def overloaded(self, *, started_at: float, now: float) -> None:
        """Record a 429 for a call whose permit was granted at `started_at`."""
        if self._ramp is not None:
            self._ramp.overloaded(started_at=started_at, now=now)
            self._fit()

    def hint(self, remaining: float) -> None:
        """Record that a reply reported `remaining` more requests as allowed now."""
        self.hinted = remaining
        if self._ramp is not None:
            self._ramp.hint(remaining)
            self._fit()

    def _fit_cap(self) -> None:
        self._pool.most = max(self._cap, *self._raised) if self._raised else self._cap
        if self._ramp is not None:
            self._ramp.cap_at(self._pool.most)
            self._ramp.growth = growth(self._pool.most)
        self._fit()

    def _fit(self) -> None:
        most, ramp = self._pool.most, self._ramp
        self._pool.concurrency = most if ramp is None else min(most, ramp.limit)


def growth(most: float) -> float:
    """Growth per success with which the slow start reaches any cap in two round trips."""
    return UNLIMITED_GROWTH if most == math.inf else max(1.0, math.sqrt(most / START) - 1)
