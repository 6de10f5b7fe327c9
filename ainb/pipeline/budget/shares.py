"""What calls cost of their estimates, so that calls of a killed process can be judged by its others."""

from __future__ import annotations

import math

# Shares of an estimate are in millionths.
MILLION = 1_000_000
# Before so many calls their costs say too little about those of others.
RATIO_CALLS = 20
HEADROOM = 2


class Shares:
    """Learns the highest share of its estimate that a call of this process did cost."""

    __slots__ = ("_calls", "_worst")

    def __init__(self) -> None:
        self._calls = self._worst = 0

    def note(self, amount: int, cost: int) -> None:
        """Note a settled call; one that cost nothing says nothing."""
        if cost > 0 and amount > 0:
            self._calls += 1
            self._worst = max(self._worst, min(MILLION, math.ceil(cost * MILLION / amount)))

    @property
    def worst(self) -> int:
        """In millionths; MILLION while too few calls are known."""
        return self._worst if self._calls >= RATIO_CALLS else MILLION


def presumed_cost(sent: int, worst: int) -> int:
    """What calls that were sent count when nobody can know their cost: HEADROOM times the highest share.

    Args:
        sent: Their estimates.
        worst: Highest share of its estimate that another call did cost, in millionths.
    """
    return min(sent, math.ceil(sent * HEADROOM * worst / MILLION))
