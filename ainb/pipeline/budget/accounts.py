"""Accounts and their balances: money reserved and money spent. Plain data without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import NamedTuple, Protocol

ZERO = Decimal(0)


class Verdict(Enum):
    """Result of a reservation."""

    GRANTED = "granted"
    WAIT = "wait"
    NEVER = "never"


class Account(NamedTuple):
    """Account of a balance; a tuple, because it is hashed many times per call.

    Attributes:
        scope: "call", "batch", "session", "user" or "day".
        name: Name within the scope: a batch's id, a user's name, a date; "" if the scope has one account.
    """

    scope: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """An account and its limit in USD."""

    account: Account
    limit: Decimal


@dataclass(frozen=True, slots=True)
class Balance:
    """Balance of an account in USD: spent, and reserved for calls in flight."""

    settled: Decimal = ZERO
    reserved: Decimal = ZERO


def decide(balance: Balance, limit: Decimal, amount: Decimal) -> Verdict:
    """Whether `amount` fits now, may fit after other calls settle below their estimate, or never fits."""
    if balance.settled + amount > limit:
        return Verdict.NEVER
    if balance.settled + balance.reserved + amount > limit:
        return Verdict.WAIT
    return Verdict.GRANTED


class Book(Protocol):
    """Store of balances. Calls come one at a time, must not block, and never raise."""

    def reserve(self, token: int, claim: Claim, amount: Decimal) -> Verdict:
        """Reserve `amount` under `token` if it fits."""
        ...

    def mark_sent(self, token: int, account: Account) -> None:
        """Mark a reservation as sent: it counts as spent if this process dies."""
        ...

    def settle(self, token: int, account: Account, cost: Decimal) -> Decimal:
        """Replace the reservation of `token` by the actual cost; returns the total spent."""
        ...

    def spend(self, account: Account, cost: Decimal) -> Decimal:
        """Book a cost without a reservation; returns the total spent."""
        ...

    def hold_job(self, job: str, account: Account, amount: Decimal, *, limit: Decimal | None) -> Verdict:
        """Reserve `amount` for a batch job until `settle_job`, in any process; None means no limit."""
        ...

    def settle_job(self, job: str, account: Account, amount: Decimal, cost: Decimal) -> Decimal:
        """Replace the reservation of a job by its actual cost, once; returns the total spent."""
        ...

    def balance(self, account: Account) -> Balance:
        """The balance of an account."""
        ...

    def reset(self, account: Account) -> None:
        """Set the spent amount to 0; reservations stay."""
        ...

    def close(self) -> None:
        """Close the file or connection."""
        ...


class MemoryBook:
    """Balances in memory, for this process."""

    def __init__(self) -> None:
        self._settled: dict[Account, Decimal] = {}
        self._reserved: dict[Account, Decimal] = {}
        self._held: dict[tuple[int | str, Account], Decimal] = {}

    def reserve(self, token: int, claim: Claim, amount: Decimal) -> Verdict:
        """Reserve `amount` under `token` if it fits."""
        verdict = decide(self.balance(claim.account), claim.limit, amount)
        if verdict is Verdict.GRANTED:
            self.hold(token, claim.account, amount)
        return verdict

    def hold_job(self, job: str, account: Account, amount: Decimal, *, limit: Decimal | None) -> Verdict:
        """Reserve `amount` for a batch job; a job that has a reservation keeps it."""
        if (job, account) in self._held:
            return Verdict.GRANTED
        verdict = Verdict.GRANTED if limit is None else decide(self.balance(account), limit, amount)
        if verdict is Verdict.GRANTED:
            self.hold(job, account, amount)
        return verdict

    def settle_job(self, job: str, account: Account, amount: Decimal, cost: Decimal) -> Decimal:
        """Replace the reservation of a job by its actual cost; a second call does nothing."""
        if (job, account) not in self._held:
            return self._settled.get(account, ZERO)
        return self.settle(job, account, cost)

    def hold(self, token: int | str, account: Account, amount: Decimal) -> None:
        """Reserve `amount` whether it fits or not."""
        self._held[token, account] = amount
        self._reserved[account] = self._reserved.get(account, ZERO) + amount

    def mark_sent(self, token: int, account: Account) -> None:
        """Do nothing: this book ends with the process."""

    def settle(self, token: int | str, account: Account, cost: Decimal) -> Decimal:
        """Replace the reservation of `token` by the actual cost; returns the total spent."""
        self._reserved[account] = self._reserved.get(account, ZERO) - self._held.pop((token, account), ZERO)
        return self.spend(account, cost)

    def spend(self, account: Account, cost: Decimal) -> Decimal:
        """Book a cost without a reservation; returns the total spent."""
        total = self._settled[account] = self._settled.get(account, ZERO) + cost
        return total

    def balance(self, account: Account) -> Balance:
        """The balance of an account."""
        return Balance(self._settled.get(account, ZERO), self._reserved.get(account, ZERO))

    def reset(self, account: Account) -> None:
        """Set the spent amount to 0; reservations stay."""
        self._settled.pop(account, None)

    def forget(self, account: Account) -> None:
        """Drop an account that is no longer used."""
        self._settled.pop(account, None)
        self._reserved.pop(account, None)

    def drop_calls(self) -> None:
        """Drop the reservations of calls; those of batch jobs stay."""
        jobs = {key: amount for key, amount in self._held.items() if isinstance(key[0], str)}
        self._held, self._reserved = {}, {}
        for (job, account), amount in jobs.items():
            self.hold(job, account, amount)

    def accounts(self, scope: str) -> list[Account]:
        """Every account of a scope with a reservation or a cost, sorted by name."""
        known = self._settled.keys() | self._reserved.keys()
        return sorted((item for item in known if item.scope == scope), key=lambda item: item.name)

    def close(self) -> None:
        """Do nothing: nothing is held open."""
