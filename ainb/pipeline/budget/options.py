"""Options of the budget: `Budget`, its short form such as ``5/day``, its status, and its messages."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Literal, get_args

from ainb.errors import ConfigError
from ainb.pipeline.budget.accounts import ZERO, Account, Balance
from ainb.plain import plain_fields
from ainb.pricing.estimates import format_usd

Scope = Literal["session", "day", "user", "batch"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
MAX_USD = Decimal(1_000_000)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A limit on spending.

    Attributes:
        usd: Limit from 0 to 1,000,000 USD; a number or a text, kept as Decimal.
        per: Scope: this session, a day (local midnight to midnight, over all kernels), each user, each batch.
        hard: Whether calls that do not fit are refused; False only warns.
        warn_at: Share of the limit at which one notice is given; above 0, at most 1.

    Raises:
        ConfigError: A value is out of its range.
    """

    usd: Decimal
    per: Scope = "session"
    hard: bool = True
    warn_at: float = 0.8

    def __post_init__(self) -> None:
        plain_fields(self)
        object.__setattr__(self, "usd", read_usd("usd", self.usd))
        if self.per not in SCOPES:
            raise ConfigError(f"per must be one of {', '.join(SCOPES)}; it is {self.per!r}")
        if not isinstance(self.hard, bool):
            raise ConfigError(f"hard must be true or false; it is {self.hard!r}")
        share: object = self.warn_at
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise ConfigError(f"warn_at must be above 0 and up to 1; it is {self.warn_at!r}")

    def __str__(self) -> str:
        return f"{money(self.usd)} a {self.per}"


def read_usd(name: str, value: object) -> Decimal:
    """Read an amount of money from a number or a text.

    Raises:
        ConfigError: The value is not an amount from 0 to 1,000,000.
    """
    try:
        usd = Decimal("NaN" if isinstance(value, bool) else str(value).strip().removeprefix("$"))
    except InvalidOperation:
        usd = Decimal("NaN")
    if not (usd.is_finite() and 0 <= usd <= MAX_USD):
        raise ConfigError(f"{name} must be a number of USD from 0 to {MAX_USD:,}; it is {value!r}")
    return usd


def parse_budget(text: str, *, per: Scope = "session") -> Budget:
    """Read ``5/day``, ``$2.50`` or ``1/user``.

    Args:
        text: USD, then optionally ``/`` and the scope.
        per: Scope when the text names none.

    Raises:
        ConfigError: The text is not a budget.
    """
    usd, slash, scope = text.partition("/")
    wanted = scope.strip().lower() if slash else per
    known = next((item for item in SCOPES if item == wanted), None)
    if known is None:
        raise ConfigError(f"a budget is USD/{'|'.join(SCOPES)}, such as 5/day; it is {text!r}")
    return Budget(usd=read_usd("a budget", usd), per=known)


def money(usd: Decimal) -> str:
    """Format USD as ``$5.00``; amounts below a cent keep all digits."""
    return f"${usd:,.2f}" if usd == usd.quantize(Decimal("0.01")) else f"${usd.normalize():f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """State of one budget; money in USD.

    Attributes:
        scope: "session", "day", "user" or "batch".
        name: Which user, batch or day; "" for the session.
        limit_usd: The limit as set.
        spent_usd: Spent so far.
        reserved_usd: Reserved for calls in flight.
        left_usd: Neither spent nor reserved; never below 0.
    """

    scope: str
    name: str
    limit_usd: Decimal
    spent_usd: Decimal
    reserved_usd: Decimal
    left_usd: Decimal


def status_of(account: Account, limit: Decimal, balance: Balance) -> BudgetStatus:
    """State of an account under a limit."""
    return BudgetStatus(
        scope=account.scope,
        name=account.name,
        limit_usd=limit,
        spent_usd=balance.settled,
        reserved_usd=balance.reserved,
        left_usd=max(ZERO, limit - balance.settled - balance.reserved),
    )


def raised(budget: Budget) -> str:
    """The budget raised by half, in the form that ``%ai budget`` reads; suggested in refusals."""
    step = Decimal(1) if budget.usd >= 1 else Decimal("0.01")
    return f"{max(step, (budget.usd * 3 / 2).quantize(step, ROUND_CEILING)):f}/{budget.per}"


def refusal_text(
    amount: Decimal,
    limit: Decimal,
    *,
    budget: Budget | None,
    whole_run: bool,
    outcome: str,
    fits: int | None = None,
) -> str:
    """Message of a refused reservation: the limit, the amount and the fix.

    Args:
        amount: Highest possible cost of the call in USD.
        limit: Limit that the amount exceeds, in USD.
        budget: Budget with this limit; None when the limit was an argument of the call.
        whole_run: Whether a limit given with the call applies to a whole run.
        outcome: Outcome of the call, such as "nothing was sent".
        fits: Output limit in tokens with which the call would fit; None when unknown.
    """
    if budget is None:
        name = f"{money(limit)} for this {'run' if whole_run else 'call'}"
        fix = "raise --budget (budget_usd)"
    else:
        name, fix = str(budget), f"raise it with %ai budget {raised(budget)}"
    if amount > limit:
        return (
            f"this call may cost {format_usd(amount)}, more than the budget of {name}; {outcome}. "
            f"{_lower(fits)} or {fix}."
        )
    wait = " or wait until midnight" if budget is not None and budget.per == "day" else ""
    return f"the budget of {name} is spent; {outcome}. {fix.capitalize()}{wait}."


def _lower(fits: int | None) -> str:
    return "Lower --max-tokens" if fits is None else f"Give --max-tokens {fits}, which fits,"


def unpriced_text(model: str) -> str:
    """Message of a hard budget that refuses a model without a price."""
    return (
        f"no price is known for {model}, and a hard budget needs one to limit its cost; nothing was sent. "
        "Give one: prices = "
        f'{{"{model}" = {{input_usd_per_million = …, output_usd_per_million = …}}}}, or make the budget soft '
        "(hard=False)"
    )
