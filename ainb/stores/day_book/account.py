"""One account of the day book as this process knows it. Plain data without I/O; money in picodollars."""

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
    """An account.

    What the file holds for this process covers `held`, the pot, and what was spent and is not booked.

    Attributes:
        name: Its name.
        pot: Drawn and not used.
        held: Reserved by calls.
        sent: The part of it whose calls were sent.
        cost: Spent by this process since it began.
        booked: The part of it that is in the file.
        known: Spent by all processes, as last read from the file.
        asked: Amount and limit of a call for which money is to be drawn; None for none.
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
        """Spent by all processes, as far as known."""
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
        """Add a cost; the money drawn has to cover it until it is booked."""
        self.cost = min(self.cost + paid, MOST_PICO)
        if self.pot.limit:
            self.pot.available -= paid

    def plan(self, now: float, keep_seconds: float, *, draws: bool = True) -> Plan:
        """What the next transaction is to bring about; without `draws` all of the pot goes back."""
        # Costs beyond what was drawn are booked by this transaction, and owe nothing more.
        at_hand = max(0, self.pot.available)
        draw = None
        if draws and self.asked is not None:
            amount, limit = self.asked
            want = self.pot.wanted(amount, limit, now=now, keep_seconds=keep_seconds)
            draw = Draw(amount=amount, need=max(1, amount - at_hand), want=want, limit=limit)
        keeps = draws and draw is None and not self.pot.is_idle(now, keep_seconds)
        return Plan(self.name, self.cost, self.booked, self.held, at_hand, draw, keeps=keeps)

    def apply(self, plan: Plan, result: Result) -> None:
        """Note what a transaction has brought about."""
        self.booked, self.known, self.pot.available = plan.cost, result.settled, result.pot
        if plan.draw is not None:
            self.asked = None

    def is_due(self, now: float, keep_seconds: float) -> bool:
        """Whether there is something to be drawn, booked or given back."""
        return self.asked is not None or self.cost > self.booked or self.pot.is_idle(now, keep_seconds)

    def is_settled(self) -> bool:
        """Whether the file needs nothing from this process."""
        return self.asked is None and self.cost == self.booked and self.pot.available <= 0
