"""Ratio of actual cost to estimate, from which the cost of a killed process's calls is presumed."""

from __future__ import annotations

import math

# Ratios are in millionths.
MILLION = 1_000_000
# With fewer settled calls the highest ratio is not representative.
RATIO_CALLS = 20
HEADROOM = 2


class Shares:
    """Records the highest ratio of cost to estimate among this process's calls."""

    __slots__ = ("_calls", "_worst")

    def __init__(self) -> None:
        self._calls = self._worst = 0

    def note(self, amount: int, cost: int) -> None:
        """Record a settled call; a call without a cost is ignored."""
        if cost > 0 and amount > 0:
            self._calls += 1
            self._worst = max(self._worst, min(MILLION, math.ceil(cost * MILLION / amount)))

    @property
    def worst(self) -> int:
        """Highest ratio in millionths; MILLION with fewer than RATIO_CALLS calls."""
        return self._worst if self._calls >= RATIO_CALLS else MILLION


def presumed_cost(sent: int, worst: int) -> int:
    """Presumed cost of a dead process's sent calls: HEADROOM x `worst` x estimate, at most the estimate.

    Args:
        sent: Sum of the estimates.
        worst: Highest ratio of cost to estimate among the process's other calls, in millionths.
    """
    return min(sent, math.ceil(sent * HEADROOM * worst / MILLION))
