"""Pot: money that one process has drawn in advance from an account that it shares with others.

Shared books (the day book, Redis) draw for several calls at once, so that a call seldom writes. Plain data
without I/O; amounts are whole units of the book.
"""

from __future__ import annotations

from dataclasses import dataclass

DRAWN_AHEAD = 8
MOST_AHEAD = 1024
# A draw beyond what is needed now takes at most this part of what is left, so that others find some too.
SHARE_AHEAD = 8


@dataclass(slots=True)
class Pot:
    """Money drawn and not used yet.

    Attributes:
        available: Not used yet; below 0 where calls cost more than was reserved for them.
        limit: Limit under which it was drawn; money for a lower limit must be drawn anew.
        drawn_at: Monotonic second of the last draw.
        ahead: For how many calls the last draw asked; grows while draws follow each other closely.
    """

    available: int = 0
    limit: int = 0
    drawn_at: float = float("-inf")
    ahead: int = DRAWN_AHEAD

    def take(self, amount: int, limit: int) -> bool:
        """Take `amount` if it is there and was drawn under no higher limit."""
        if amount > self.available or limit < self.limit:
            return False
        self.available -= amount
        return True

    def wanted(self, amount: int, limit: int, *, now: float, keep_seconds: float) -> int:
        """What to draw at best for calls of `amount`; called once per draw."""
        soon = now - self.drawn_at < keep_seconds
        self.ahead = min(MOST_AHEAD, 2 * self.ahead) if soon else DRAWN_AHEAD
        self.drawn_at, self.limit = now, limit
        return self.ahead * amount

    def is_idle(self, now: float, keep_seconds: float) -> bool:
        """Whether it holds money that has not been drawn lately and should go back."""
        return self.available > 0 and now - self.drawn_at > keep_seconds


def grant(free: int, need: int, want: int) -> int:
    """What a draw is given: `want` far from the limit, only `need` near it, 0 where that does not fit.

    Args:
        free: Neither spent nor reserved by anybody.
        need: The least that is of use, above 0.
        want: The most that is of use.
    """
    return max(need, min(want, free // SHARE_AHEAD)) if need <= free else 0
