"""Trace: a process's costs and sent calls, in its lock file, from which others settle for it if it dies.

Writing to a file of its own needs no transaction and survives the process, so a call costs two small writes
and no lock. Money is in picodollars.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ainb.pipeline.budget import MILLION, presumed_cost
from ainb.stores.day_book.sql import MOST_PICO


@dataclass(slots=True)
class Trace:
    """Use of the drawn money of one process.

    Attributes:
        worst: Highest ratio of a call's cost to its estimate, in millionths; see `Shares`.
        spent: Cost of all calls by account since the process started.
        sent: Estimates of the calls in flight by account.
    """

    worst: int = MILLION
    spent: dict[str, int] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)

    def to_text(self) -> str:
        """One line of JSON."""
        return json.dumps([self.worst, self.spent, self.sent])

    def used(self, account: str, booked: int) -> int:
        """Money used and not booked, with the presumed cost of calls in flight."""
        in_flight = presumed_cost(self.sent.get(account, 0), self.worst)
        return max(0, self.spent.get(account, 0) - booked) + in_flight


def read_trace(text: str) -> Trace | None:
    """Parse a trace; None if the text is not one that ainb writes."""
    try:
        worst, spent, sent = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    good = _is_amount(worst, MILLION) and all(
        isinstance(part, dict) and all(_is_amount(item, MOST_PICO) for item in part.values())
        for part in (spent, sent)
    )
    return Trace(worst, spent, sent) if good else None


def _is_amount(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
