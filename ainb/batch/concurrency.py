"""Adaptive concurrency limit of a batch (AIMD). No I/O; `now` is passed in."""

from __future__ import annotations

START = 4
SHRINK = 0.7


class Concurrency:
    """Additive increase, multiplicative decrease of the number of rows in flight.

    Starts at 4. Grows by one per success until the first overload response (429, 529), and by one per round
    of successes afterwards. Shrinks to 0.7 at most once per round trip. Does not grow while fewer rows are
    in flight.

    Args:
        most: Upper limit.
        fixed: Start at `most`, for models whose slots are known.

    Source: AIMD as in TCP congestion avoidance (Chiu and Jain 1989; RFC 5681).
    """

    def __init__(self, most: int, *, fixed: bool = False) -> None:
        self.most = max(1, most)
        self._limit = float(self.most if fixed else min(START, self.most))
        self._seen_overload = False
        self._shrunk_at = float("-inf")

    @property
    def limit(self) -> int:
        """Rows that may be in flight now."""
        return int(self._limit)

    def succeeded(self, *, in_flight: int) -> None:
        """A row was answered while `in_flight` rows (itself included) were in flight."""
        if in_flight < self.limit:
            return
        step = 1 / self._limit if self._seen_overload else 1.0
        self._limit = min(float(self.most), self._limit + step)

    def overloaded(self, *, started_at: float, now: float) -> None:
        """The provider answered 429 or 529 to a call that was sent at `started_at`."""
        self._seen_overload = True
        if started_at < self._shrunk_at:
            return
        self._limit = max(1.0, self._limit * SHRINK)
        self._shrunk_at = now
