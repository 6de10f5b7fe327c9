"""Data of the shared budget: its scripts, and this process's balances, reservations and reports."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any, Concatenate, ParamSpec, TypeVar

from ainb.pipeline.budget import HEADROOM, MILLION, SHARE_AHEAD, Account, Pot
from ainb.stores.redis.heartbeat import LIVE_SECONDS, NEW_MS
from ainb.stores.redis.script import Script, load_script

P = ParamSpec("P")
R = TypeVar("R")

NANO_DIGITS = 9
KEEP_MS = 40 * 24 * 3600 * 1000
SHARE_SECONDS = 20.0  # a silent process's share is kept for this long, since it may be spending it
RECALL_SECONDS = 3.0  # time in which every process surrenders its share to a process that needs the money

# ``lua/budget/head.lua`` describes their keys and arguments.
_load = functools.partial(
    load_script,
    head="budget/head",
    types=("hash", "hash", "zset", "hash", "string", "string", "set", "string"),
    KEEP_MS=KEEP_MS,
    HEADROOM=HEADROOM,
    MILLION=MILLION,
    SHARE_AHEAD=SHARE_AHEAD,
    NEW_MS=NEW_MS,
    LIVE_SECONDS=LIVE_SECONDS,
    SHARE_SECONDS=SHARE_SECONDS,
    RECALL_SECONDS=RECALL_SECONDS,
)
DRAW = _load("budget/draw")
SENT = _load("budget/sent")
SETTLE = _load("budget/settle")
SPEND = _load("budget/spend")
GIVE_BACK = _load("budget/give_back")
RESTATE = _load("budget/restate")
RESTORE = _load("budget/restore")
LEND = _load("budget/lend")
LOOK = _load("budget/look")
RESET = _load("budget/reset")


@dataclass(slots=True)
class SharedAccount:
    """This process's copy of a shared account, in nanodollars.

    Attributes:
        confirmed: Spent by all processes, as last reported by the server.
        epoch: Number of decreases of the spent amount: resets, and jobs that cost less than was booked.
        unheard: Costs of this process that the server has not confirmed.
        reserved: Reserved by all processes, as last reported by the server.
        pot: Money drawn and not yet used.
        is_drawing: Whether a request for money is in flight.
        is_lending: Whether a request for a share is in flight.
        is_known: Whether the server has ever told the balance.
        lent: This process's share: no other process is granted this amount.
        lent_limit: Limit under which it was lent.
        share: Amount that this process may still reserve or spend while the server is unavailable; None
            otherwise.
        turn: Number of times that the money of this process was restored on the server; an answer to an older
            request grants nothing.
        limit: Limit of the last reservation.
        worst: Last ratio of cost to estimate sent to the server, in millionths; None before the first.
    """

    confirmed: int = 0
    epoch: int = 0
    unheard: int = 0
    reserved: int = 0
    pot: Pot = field(default_factory=Pot)
    is_drawing: bool = False
    is_lending: bool = False
    is_known: bool = False
    lent: int = 0
    lent_limit: int = 0
    share: int | None = None
    turn: int = 0
    limit: int = 0
    worst: int | None = None

    @property
    def spent(self) -> int:
        """Money spent by all processes, as far as known."""
        return self.confirmed + self.unheard

    def allow(self, limit: int) -> None:
        """Set the limit of the next reservation; a lower one reduces the share."""
        self.limit = limit
        if limit < self.lent_limit:
            self._cut_share(self.lent_limit - limit)
            self.lent_limit = limit

    def borrow(self, told: int, limit: int, *, turn: int) -> None:
        """Set the share that the server lends under `limit`, as asked in a turn."""
        self.lent = told if turn == self.turn else min(told, self.lent)
        self.lent_limit = limit
        self.allow(self.limit)

    def draw(self, granted: int) -> None:
        """Add money that the server granted, which it takes from the share first."""
        self.pot.available += granted
        self.lent = max(0, self.lent - granted)

    def leave(self, unsent: int) -> None:
        """Use the share from now on, since the server is out of reach.

        Args:
            unsent: Reserved for calls that may now be sent unheard, so that the share must cover them: drawn
                money of a silent process is released earlier than its share.
        """
        self.is_drawing = self.is_lending = False
        self.pot.available = 0
        self.share = self.lent - unsent if self.is_known else None

    def come_back(self) -> None:
        """Keep what is left of the share when the server is in reach again."""
        if self.share is not None:
            self.lent = max(0, min(self.lent, self.share))
        self.share = None

    def _cut_share(self, amount: int) -> None:
        self.lent = max(0, self.lent - amount)
        if self.share is not None:
            self.share -= amount


@dataclass(slots=True)
class Hold:
    """Reservation of one call.

    Attributes:
        serial: Identifies the call on the server, together with the owner.
        owner: Name of this process when it reserved.
        amount: Nanodollars.
        is_sent: Whether the call was reported as sent.
        is_local: Whether it was reserved from this process's share while the server was unavailable.
        is_carried: Whether it was reserved before this process was declared dead, so that others may have
            been granted its money.
    """

    serial: str
    owner: str
    amount: int
    is_sent: bool = False
    is_local: bool = False
    is_carried: bool = False


@dataclass(slots=True)
class Report:
    """A report that the server has not confirmed yet; repeating it does not count twice.

    Attributes:
        script: Script to run.
        account: Account of the report.
        owner: Name of this process when the call was reserved.
        serial: Identifies the call together with the owner; 0 for a cost without a reservation.
        amount: Nanodollars: the reservation of a call that is sent, else a cost.
        share: Highest ratio of cost to estimate, in millionths; empty if the server has it already.
    """

    script: Script
    account: Account
    owner: str
    serial: str
    amount: int
    share: str = ""


def locked(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Run a method under its object's ``_lock``."""

    @functools.wraps(method)
    def alone(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock:
            return method(self, *args, **kwargs)

    return alone


def nano(dollars: Decimal) -> int:
    """Convert USD to whole nanodollars, rounded up."""
    return int(dollars.scaleb(NANO_DIGITS).to_integral_value(ROUND_CEILING))


def usd(nanodollars: int) -> Decimal:
    """Convert nanodollars to USD."""
    return Decimal(nanodollars).scaleb(-NANO_DIGITS)
