"""Data of the shared budget: its scripts, and this process's balances, reservations and reports."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any, Concatenate, ParamSpec, TypeVar

from ainb.pipeline.budget import HEADROOM, MILLION, SHARE_AHEAD, Account, Pot
from ainb.stores.redis.heartbeat import NEW_MS
from ainb.stores.redis.script import Script, load_script

P = ParamSpec("P")
R = TypeVar("R")

NANO_DIGITS = 9
KEEP_MS = 40 * 24 * 3600 * 1000

# ``lua/budget/head.lua`` describes their keys and arguments.
_load = functools.partial(
    load_script,
    head="budget/head",
    types=("hash", "hash", "zset", "hash", "string", "string"),
    KEEP_MS=KEEP_MS,
    HEADROOM=HEADROOM,
    MILLION=MILLION,
    SHARE_AHEAD=SHARE_AHEAD,
    NEW_MS=NEW_MS,
)
DRAW = _load("budget/draw")
SENT = _load("budget/sent")
SETTLE = _load("budget/settle")
SPEND = _load("budget/spend")
GIVE_BACK = _load("budget/give_back")
RESTORE = _load("budget/restore")
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
        share: Amount that this process may still reserve or spend while the server is unavailable; None
            otherwise.
        limit: Limit of the last reservation.
        worst: Last ratio of cost to estimate sent to the server, in millionths; None before the first.
    """

    confirmed: int = 0
    epoch: int = 0
    unheard: int = 0
    reserved: int = 0
    pot: Pot = field(default_factory=Pot)
    is_drawing: bool = False
    share: int | None = None
    limit: int = 0
    worst: int | None = None

    @property
    def spent(self) -> int:
        """Money spent by all processes, as far as known."""
        return self.confirmed + self.unheard


@dataclass(slots=True)
class Hold:
    """Reservation of one call.

    Attributes:
        serial: Identifies the call on the server, together with the owner.
        owner: Name of this process when it reserved.
        amount: Nanodollars.
        is_sent: Whether the call was reported as sent.
        is_local: Whether it was reserved from this process's share while the server was unavailable.
    """

    serial: str
    owner: str
    amount: int
    is_sent: bool = False
    is_local: bool = False


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
