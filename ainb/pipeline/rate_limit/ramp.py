"""Adaptive limit of calls in flight: slow start, then AIMD. No I/O; `now` is passed in."""

from __future__ import annotations

import math

from ainb.pipeline.rate_limit.options import RateLimit

START = 16
SHRINK = 0.7
IDLE_SECONDS = 10.0
# Divisor: a quarter of the remaining requests that a server reports may be in flight at once.
HINT_SHARE = 4


class Ramp:
    """Additive increase, multiplicative decrease of a number of calls in flight, after a slow start.

    Starts at 16. Each success adds one (`growth`) until the first overload response (429, 529), and one per
    round of successes afterwards. Shrinks to 0.7 of its value, at most once per round trip. Does not grow
    while fewer calls are in flight than allowed. Until the first success each failure lowers it by one, so
    that a provider that is down gets no more than the first 16 calls before its circuit opens.

    Args:
        most: Upper limit; infinite means none.
        start: First limit, up to `most`.

    Attributes:
        limit: Calls that may be in flight now.
        most: As given; `cap_at` changes it.
        growth: Increase per success during the slow start.
        proven: Whether a call succeeded since the start or the last idle time.
        overloaded_once: Whether an overload response ended the slow start.

    Source: slow start and AIMD as in TCP congestion control (Chiu and Jain 1989; RFC 5681), with the restart
        after idle time of RFC 5681, section 4.1.
    """

    __slots__ = (
        "_exact",
        "_shrunk_at",
        "_used_at",
        "growth",
        "limit",
        "most",
        "overloaded_once",
        "proven",
    )

    def __init__(self, most: float, *, start: float = START) -> None:
        self.most = max(1.0, most)
        self.growth = 1.0
        self._set(float(start))
        self._shrunk_at = self._used_at = -math.inf
        self.proven = False
        self.overloaded_once = False

    def cap_at(self, most: float) -> None:
        """Change the upper limit."""
        self.most = max(1.0, most)
        self._set(self._exact)

    def succeeded(self, *, in_flight: int, now: float) -> None:
        """Record that a call was answered while `in_flight` calls, itself included, were in flight."""
        self.proven = True
        self._used_at = now
        if in_flight < self.limit:
            return
        step = 1 / self._exact if self.overloaded_once else self.growth
        self._set(self._exact + step)

    def failed(self, *, now: float) -> None:
        """Record that the provider failed."""
        self._used_at = now
        if not self.proven:
            self._set(max(1.0, self._exact - 1))

    def overloaded(self, *, started_at: float, now: float) -> None:
        """Record a 429 or 529 for a call that was sent at `started_at`."""
        self.overloaded_once = True
        self._used_at = now
        if started_at < self._shrunk_at:
            return
        self._set(max(1.0, self._exact * SHRINK))
        self._shrunk_at = now

    def raise_to(self, limit: float, *, now: float) -> None:
        """Allow at least `limit` calls: a limit from an earlier batch, or from the server's headers."""
        self._used_at = now
        self._set(max(self._exact, limit))

    def hint(self, remaining: float) -> None:
        """Record that the server, with an answer, reported `remaining` more requests as allowed now."""
        if self.proven and not self.overloaded_once:
            self._set(max(self._exact, remaining / HINT_SHARE))

    def idle(self, *, now: float) -> None:
        """Record that no call is in flight; after 10 idle seconds the limit starts again."""
        if now - self._used_at > IDLE_SECONDS:
            self._set(min(self._exact, START))
            self.proven = self.overloaded_once = False

    def _set(self, limit: float) -> None:
        self._exact = min(limit, self.most)
        self.limit = int(self._exact)


def make_ramp(options: RateLimit) -> Ramp:
    """The ramp below a cap on calls in flight."""
    return Ramp(math.inf if options.concurrency is None else options.concurrency)
