"""Pot: money that a process has drawn in advance from a shared account.

Shared books (the day book, Redis) draw money for several calls at once, so that few calls need a transaction.
Plain data without I/O; amounts are whole units of the book.
"""

from __future__ import annotations

from dataclasses import dataclass

DRAWN_AHEAD = 8
MOST_AHEAD = 1024
# A draw beyond the amount needed takes at most 1/SHARE_AHEAD of the money left, to leave some for others.
SHARE_AHEAD = 8


@dataclass(slots=True)
class Pot:
    """Money drawn and not used yet.

    Attributes:
        available: Amount not used yet; below 0 if calls cost more than was reserved for them.
        limit: Limit under which it was drawn; it cannot be used under a lower limit.
        drawn_at: Monotonic second of the last draw.
        ahead: Number of calls for which the last draw asked; doubles while draws follow each other closely.
    """

    available: int = 0
    limit: int = 0
    drawn_at: float = float("-inf")
    ahead: int = DRAWN_AHEAD

    def take(self, amount: int, limit: int) -> bool:
        """Take `amount` if it is available and was not drawn under a higher limit."""
        if amount > self.available or limit < self.limit:
            return False
        self.available -= amount
        return True

    def wanted(self, amount: int, limit: int, *, now: float, keep_seconds: float) -> int:
        """Most money to draw for calls of `amount`; called once per draw."""
        soon = now - self.drawn_at < keep_seconds
        self.ahead = min(MOST_AHEAD, 2 * self.ahead) if soon else DRAWN_AHEAD
        self.drawn_at, self.limit = now, limit
        return self.ahead * amount

    def is_idle(self, now: float, keep_seconds: float) -> bool:
        """Whether it has money drawn more than `keep_seconds` ago, which should be returned."""
        return self.available > 0 and now - self.drawn_at > keep_seconds


def grant(free: int, need: int, want: int) -> int:
    """Amount granted to a draw: `want` far from the limit, `need` near it, 0 if `need` does not fit.

    Args:
        free: Money neither spent nor reserved by any process.
        need: Least useful amount, above 0.
        want: Most useful amount.
    """
    return max(need, min(want, free // SHARE_AHEAD)) if need <= free else 0
