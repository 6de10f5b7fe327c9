"""What a process knows of a shared account: whole nanodollars, what it holds, and what it has not been confirmed yet."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any, Concatenate, ParamSpec, TypeVar

from ainb.pipeline.budget.accounts import Account
from ainb.stores.redis.script import Script

P = ParamSpec("P")
R = TypeVar("R")

NANO_DIGITS = 9


@dataclass(slots=True)
class SharedAccount:
    """One account as this process knows it, in nanodollars.

    Attributes:
        spent: By all, as last heard, and what this process booked since.
        reserved: By all, as last heard.
        available: Drawn and at hand.
        is_drawing: Whether an answer is on its way.
        drawn_at: Monotonic second at which money was last asked for.
        share: What this process may still set aside or spend while the server is away; None while it is there.
        limit: The last one that was asked for.
    """

    spent: int = 0
    reserved: int = 0
    available: int = 0
    is_drawing: bool = False
    drawn_at: float = 0.0
    share: int | None = None
    limit: int = 0


@dataclass(slots=True)
class Hold:
    """Money set aside for one call.

    Attributes:
        serial: What the server knows the call by, among those of its owner.
        owner: Name of this process at that time.
        amount: Nanodollars.
        is_sent: Whether the server was told that they may be spent from here on.
        is_local: Whether they come from this process's share, while the server was away.
    """

    serial: str
    owner: str
    amount: int
    is_sent: bool = False
    is_local: bool = False


@dataclass(slots=True)
class Report:
    """A report that the server has not confirmed yet; it can be told again without counting twice.

    Attributes:
        script: What is to run.
        account: On which account.
        words: Its arguments.
    """

    script: Script
    account: Account
    words: tuple[Any, ...] = field(default=())


def locked(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Run a method under its object's ``_lock``."""

    @functools.wraps(method)
    def alone(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock:
            return method(self, *args, **kwargs)

    return alone


def nano(dollars: Decimal) -> int:
    """Whole nanodollars, never less than the amount."""
    return int(dollars.scaleb(NANO_DIGITS).to_integral_value(ROUND_CEILING))


def usd(nanodollars: int) -> Decimal:
    """US dollars."""
    return Decimal(nanodollars).scaleb(-NANO_DIGITS)
