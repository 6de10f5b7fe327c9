"""Trace: what a process has spent and sent, kept in its lock file, for those who settle for it when it dies.

A write to a file of one's own needs no transaction and survives the process, so that a call costs two small
writes and no lock. Money is in picodollars.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from ainb.stores.day_book.sql import MOST_PICO

MILLION = 1_000_000
# Before so many calls their costs say too little about those of others.
RATIO_CALLS = 20
HEADROOM = 2


@dataclass(slots=True)
class Trace:
    """What one process did with the money that it holds.

    Attributes:
        worst: Highest share of its estimate that a call did cost, in millionths; MILLION until RATIO_CALLS
            calls are known.
        spent: Cost of all calls by account since this process began.
        sent: Estimates of the calls under way by account.
    """

    worst: int = MILLION
    spent: dict[str, int] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)

    def to_text(self) -> str:
        """One line of JSON."""
        return json.dumps([self.worst, self.spent, self.sent])

    def used(self, account: str, booked: int) -> int:
        """The most that the process can have spent and not booked.

        A call under way counts with its estimate, or with HEADROOM times the highest share of an estimate
        that a call of the process did cost.
        """
        sent = self.sent.get(account, 0)
        in_flight = min(sent, math.ceil(sent * HEADROOM * self.worst / MILLION))
        return max(0, self.spent.get(account, 0) - booked) + in_flight


def read_trace(text: str) -> Trace | None:
    """The trace in a text; None where it is none that ainb writes."""
    try:
        worst, spent, sent = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    good = _is_amount(worst, MILLION) and all(
        isinstance(part, dict) and all(_is_amount(item, MOST_PICO) for item in part.values())
        for part in (spent, sent)
    )
    return Trace(worst, spent, sent) if good else None


class Shares:
    """Learns the highest share of its estimate that a call did cost."""

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


def _is_amount(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
