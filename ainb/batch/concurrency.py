"""How many rows are in flight: grows while the provider keeps up, shrinks when it says it cannot."""

from __future__ import annotations

START = 4
SHRINK = 0.7


class Concurrency:
    """Additive increase, multiplicative decrease; a pure core with `now` passed in.

    Starts at 4, grows by one a success until the provider first says "too many" (429, 529), by one a round of
    successes afterwards; shrinks to 0.7 at most once a round trip; does not grow while rows are too few to fill it.

    Args:
        most: Never more than this many in flight.
        fixed: Start at `most` and stay there, for models whose slots are known.

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
        """A row was answered while `in_flight` rows (itself included) were under way."""
        if in_flight < self.limit:
            return
        step = 1 / self._limit if self._seen_overload else 1.0
        self._limit = min(float(self.most), self._limit + step)

    def overloaded(self, *, started_at: float, now: float) -> None:
        """The provider said "too many" to a call that left at `started_at`."""
        self._seen_overload = True
        if started_at < self._shrunk_at:
            return
        self._limit = max(1.0, self._limit * SHRINK)
        self._shrunk_at = now
