"""Accounts, and the books that hold their balances: money set aside and money spent. Plain data; no time, no waiting."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import NamedTuple, Protocol

ZERO = Decimal(0)


class Verdict(Enum):
    """What a book says to a reservation."""

    GRANTED = "granted"
    WAIT = "wait"
    NEVER = "never"


class Account(NamedTuple):
    """Whose money it is; a tuple, because its hash is taken many times a call.

    Attributes:
        scope: "call", "batch", "session", "user" or "day".
        name: Which one: a batch's id, a user's name, a date; "" where there is only one.
    """

    scope: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """An account and the USD that may never be passed in it."""

    account: Account
    limit: Decimal


@dataclass(frozen=True, slots=True)
class Balance:
    """USD of an account: spent, and set aside for calls under way."""

    settled: Decimal = ZERO
    reserved: Decimal = ZERO


def decide(balance: Balance, limit: Decimal, amount: Decimal) -> Verdict:
    """Whether `amount` fits now, may fit once others have settled below their estimate, or never."""
    if balance.settled + amount > limit:
        return Verdict.NEVER
    if balance.settled + balance.reserved + amount > limit:
        return Verdict.WAIT
    return Verdict.GRANTED


class Book(Protocol):
    """Where balances live. Calls come one at a time, must not wait, and never raise."""

    def reserve(self, token: int, claim: Claim, amount: Decimal) -> Verdict:
        """Set `amount` aside under `token` when it fits."""
        ...

    def mark_sent(self, token: int, account: Account) -> None:
        """The money may be spent from here on: it is not to come back when this process dies."""
        ...

    def settle(self, token: int, account: Account, cost: Decimal) -> Decimal:
        """Replace what is set aside under `token` by what it cost; returns what is spent in all."""
        ...

    def spend(self, account: Account, cost: Decimal) -> Decimal:
        """Book a cost that nothing was set aside for; returns what is spent in all."""
        ...

    def hold_job(self, job: str, account: Account, amount: Decimal, *, limit: Decimal | None) -> Verdict:
        """Set `amount` aside for a batch job until `settle_job`, whichever process calls that; None means no limit."""
        ...

    def settle_job(self, job: str, account: Account, amount: Decimal, cost: Decimal) -> Decimal:
        """Replace what `hold_job` set aside by what the job cost, once; returns what is spent in all."""
        ...

    def balance(self, account: Account) -> Balance:
        """How the account stands."""
        ...

    def reset(self, account: Account) -> None:
        """Forget what is spent; what is set aside stays so."""
        ...

    def close(self) -> None:
        """Let go of file or server."""
        ...


class MemoryBook:
    """Balances of this process."""

    def __init__(self) -> None:
        self._settled: dict[Account, Decimal] = {}
        self._reserved: dict[Account, Decimal] = {}
        self._held: dict[tuple[int | str, Account], Decimal] = {}

    def reserve(self, token: int, claim: Claim, amount: Decimal) -> Verdict:
        """Set `amount` aside under `token` when it fits."""
        verdict = decide(self.balance(claim.account), claim.limit, amount)
        if verdict is Verdict.GRANTED:
            self.hold(token, claim.account, amount)
        return verdict

    def hold_job(self, job: str, account: Account, amount: Decimal, *, limit: Decimal | None) -> Verdict:
        """Set `amount` aside for a batch job; a job that holds money already keeps it."""
        if (job, account) in self._held:
            return Verdict.GRANTED
        verdict = Verdict.GRANTED if limit is None else decide(self.balance(account), limit, amount)
        if verdict is Verdict.GRANTED:
            self.hold(job, account, amount)
        return verdict

    def settle_job(self, job: str, account: Account, amount: Decimal, cost: Decimal) -> Decimal:
        """Replace what is set aside for a job by what it cost; nothing happens the second time."""
        if (job, account) not in self._held:
            return self._settled.get(account, ZERO)
        return self.settle(job, account, cost)

    def hold(self, token: int | str, account: Account, amount: Decimal) -> None:
        """Set `amount` aside whether it fits or not."""
        self._held[token, account] = amount
        self._reserved[account] = self._reserved.get(account, ZERO) + amount

    def mark_sent(self, token: int, account: Account) -> None:
        """Nothing of this book outlives the process."""

    def settle(self, token: int | str, account: Account, cost: Decimal) -> Decimal:
        """Replace what is set aside under `token` by what it cost; returns what is spent in all."""
        self._reserved[account] = self._reserved.get(account, ZERO) - self._held.pop((token, account), ZERO)
        return self.spend(account, cost)

    def spend(self, account: Account, cost: Decimal) -> Decimal:
        """Book a cost that nothing was set aside for; returns what is spent in all."""
        total = self._settled[account] = self._settled.get(account, ZERO) + cost
        return total

    def balance(self, account: Account) -> Balance:
        """How the account stands."""
        return Balance(self._settled.get(account, ZERO), self._reserved.get(account, ZERO))

    def reset(self, account: Account) -> None:
        """Forget what is spent; what is set aside stays so."""
        self._settled.pop(account, None)

    def forget(self, account: Account) -> None:
        """Drop an account that nobody will ask for again."""
        self._settled.pop(account, None)
        self._reserved.pop(account, None)

    def accounts(self, scope: str) -> list[Account]:
        """Every account of a scope that money went through, sorted by name."""
        known = self._settled.keys() | self._reserved.keys()
        return sorted((item for item in known if item.scope == scope), key=lambda item: item.name)

    def close(self) -> None:
        """Nothing to let go of."""
