"""This process's copy of a day-book account. Plain data without I/O; money in picodollars."""

from __future__ import annotations

from dataclasses import dataclass, field

from ainb.pipeline.budget import Pot
from ainb.stores.day_book.file import Draw, Plan, Result
from ainb.stores.day_book.sql import MOST_PICO


@dataclass(slots=True)
class Hold:
    """Reservation of one call."""

    amount: int
    is_sent: bool = False


@dataclass(slots=True)
class DayAccount:
    """This process's copy of an account.

    The amount that the file reserves for this process covers `held`, the pot, and costs not booked yet.

    Attributes:
        name: Name of the account.
        pot: Money drawn and not used.
        held: Reserved for calls of this process.
        sent: The part of `held` whose calls were sent.
        cost: Spent by this process since it started.
        booked: The part of `cost` that is in the file.
        known: Spent by all processes, as last read from the file.
        asked: Amount and limit of a call that waits for money to be drawn; None if no call waits.
    """

    name: str
    pot: Pot = field(default_factory=Pot)
    held: int = 0
    sent: int = 0
    cost: int = 0
    booked: int = 0
    known: int = 0
    asked: tuple[int, int] | None = None

    @property
    def spent(self) -> int:
        """Money spent by all processes, as far as known."""
        return self.known + self.cost - self.booked

    def hold(self, amount: int) -> Hold:
        """Reserve an amount that was taken from the pot."""
        self.held += amount
        return Hold(amount)

    def settle(self, hold: Hold, paid: int) -> None:
        """Replace a reservation by its cost."""
        self.held -= hold.amount
        self.sent -= hold.amount if hold.is_sent else 0
        self.pot.available += hold.amount
        self.spend(paid)

    def spend(self, paid: int) -> None:
        """Add a cost; drawn money must cover it until it is booked."""
        self.cost = min(self.cost + paid, MOST_PICO)
        if self.pot.limit:
            self.pot.available -= paid

    def plan(self, now: float, keep_seconds: float, *, draws: bool = True) -> Plan:
        """The plan of the next transaction; without `draws` the whole pot is returned."""
        # This transaction books costs beyond the drawn money, so they need not be covered any more.
        at_hand = max(0, self.pot.available)
        draw = None
        if draws and self.asked is not None:
            amount, limit = self.asked
            want = self.pot.wanted(amount, limit, now=now, keep_seconds=keep_seconds)
            draw = Draw(amount=amount, need=max(1, amount - at_hand), want=want, limit=limit)
        keeps = draws and draw is None and not self.pot.is_idle(now, keep_seconds)
        return Plan(self.name, self.cost, self.booked, self.held, at_hand, draw, keeps=keeps)

    def apply(self, plan: Plan, result: Result) -> None:
        """Record the result of a transaction."""
        self.booked, self.known, self.pot.available = plan.cost, result.settled, result.pot
        if plan.draw is not None:
            self.asked = None

    def is_due(self, now: float, keep_seconds: float) -> bool:
        """Whether money must be drawn, booked or returned."""
        return self.asked is not None or self.cost > self.booked or self.pot.is_idle(now, keep_seconds)

    def is_settled(self) -> bool:
        """Whether nothing of this process remains to be booked or returned."""
        return self.asked is None and self.cost == self.booked and self.pot.available <= 0
