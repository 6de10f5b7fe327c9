"""Ledger: reservations over several accounts at once, and the queue of waiting calls.

`stage` uses it. Balances are in `accounts.MemoryBook` and, for days, in `ainb.stores.day_book.DayBook`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ainb.fork import new_lock, renew_after_fork
from ainb.pipeline.budget.accounts import ZERO, Account, Balance, Book, Claim, MemoryBook, Verdict, decide

POLL_SECONDS = 0.25
DAYS = frozenset({"day"})
_tokens = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Hold:
    """A granted reservation: the same amount in each of its accounts."""

    token: int
    claims: tuple[Claim, ...]
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Refusal:
    """A claim that can never be met, and the balance of its account."""

    claim: Claim
    balance: Balance


@dataclass(slots=True, eq=False)
class _Waiter:
    claims: Callable[[], Sequence[Claim]]
    amount: Decimal
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]
    accounts: frozenset[Account]
    outcome: Hold | Refusal | None = None


class Ledger:
    """Reservations over several accounts at once: all or nothing, and in FIFO order per account.

    Bound to no event loop: callers on different threads and loops share it, and each waiter is woken on its
    own loop. A waiter holds no reservation while it waits, so that waiters cannot block each other.

    Args:
        day_book: Book of the accounts shared with other processes; None keeps all accounts in this process.
        shared: Scopes of the shared accounts.
    """

    def __init__(self, day_book: Book | None = None, *, shared: frozenset[str] = DAYS) -> None:
        self._memory = MemoryBook()
        self._day_book = day_book
        self._shared = shared
        self._lock = new_lock()
        self.renew()
        renew_after_fork(self)

    async def reserve(self, claims: Callable[[], Sequence[Claim]], amount: Decimal) -> Hold | Refusal:
        """Reserve `amount`; waits while reservations of other calls may still be released.

        Args:
            claims: Evaluated at every try, so that a wait may cross midnight.
            amount: USD, the same for each claim.

        Returns:
            A hold that must be settled, or a refusal when the money can never be available.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            outcome = self._first_try(claims(), amount)
            if outcome is not None:
                return outcome
            accounts = frozenset(claim.account for claim in claims())
            waiter = _Waiter(claims, amount, loop, loop.create_future(), accounts)
            self._waiters.append(waiter)
        return await self._wait(waiter)

    def try_reserve(self, claims: Callable[[], Sequence[Claim]], amount: Decimal) -> Hold | None:
        """Reserve `amount` if it fits now and no call waits for the same accounts; else None."""
        with self._lock:
            outcome = self._first_try(claims(), amount)
        return outcome if isinstance(outcome, Hold) else None

    def mark_sent(self, hold: Hold) -> None:
        """Mark the call of this hold as about to be sent."""
        with self._lock:
            for claim in hold.claims:
                self._book(claim.account).mark_sent(hold.token, claim.account)

    def settle(
        self, hold: Hold | None, cost: Decimal, *, also: Sequence[Account] = ()
    ) -> dict[Account, Decimal]:
        """Book the cost of a call in the accounts of its hold and in `also`, and wake waiters.

        Returns:
            Total spent per account.
        """
        with self._lock:
            totals = self._settle(hold, cost) if hold is not None else {}
            for account in also:
                if account not in totals:
                    totals[account] = self._book(account).spend(account, cost)
            self._pump()
        return totals

    def hold_job(self, job: str, claims: Sequence[tuple[Claim, bool]], amount: Decimal) -> Verdict:
        """Reserve `amount` for a batch job in every account, all or nothing, without waiting.

        Args:
            job: Its id.
            claims: Claims, and whether the limit of each is hard; a soft one reserves nothing.
            amount: USD.
        """
        with self._lock:
            for place, (claim, hard) in enumerate(claims):
                verdict = self._book(claim.account).hold_job(
                    job, claim.account, amount if hard else ZERO, limit=claim.limit if hard else None
                )
                if verdict is not Verdict.GRANTED:
                    for other, held in claims[:place]:
                        self._book(other.account).settle_job(
                            job, other.account, amount if held else ZERO, ZERO
                        )
                    return verdict
        return Verdict.GRANTED

    def keep_job(self, job: str, account: Account, amount: Decimal) -> None:
        """Reserve again the amount of a job of an earlier process, in accounts of this process alone."""
        if account.scope not in self._shared or self._day_book is None:
            with self._lock:
                self._memory.hold_job(job, account, amount, limit=None)

    def settle_job(
        self, job: str, holds: Sequence[tuple[Account, Decimal]], cost: Decimal
    ) -> dict[Account, Decimal]:
        """Book the actual cost of a job in the accounts with its reservation, once, and wake waiters.

        Returns:
            Total spent per account.
        """
        with self._lock:
            totals = {
                account: self._book(account).settle_job(job, account, amount, cost)
                for account, amount in holds
            }
            self._pump()
        return totals

    def balance(self, account: Account) -> Balance:
        """The balance of an account."""
        with self._lock:
            return self._book(account).balance(account)

    def accounts(self, scope: str) -> list[Account]:
        """Every account of a scope in this process with a reservation or a cost."""
        with self._lock:
            return self._memory.accounts(scope)

    def reset(self, account: Account) -> None:
        """Set the spent amount of an account to 0, and wake waiters."""
        with self._lock:
            self._book(account).reset(account)
            self._pump()

    def forget(self, account: Account) -> None:
        """Drop an account that is no longer used."""
        with self._lock:
            self._memory.forget(account)

    def wake(self) -> None:
        """Try every waiter again, as after a raised limit."""
        with self._lock:
            self._pump()

    def waiting(self) -> int:
        """Number of waiting calls."""
        return len(self._waiters)

    def close(self) -> None:
        """Close the shared book."""
        with self._lock:
            if self._day_book is not None:
                self._day_book.close()

    def renew(self) -> None:
        """Drop waiters and reservations of calls in a forked child, where the parent's would never end."""
        self._waiters: list[_Waiter] = []
        self._memory.drop_calls()

    def _book(self, account: Account) -> Book:
        return self._memory if self._day_book is None or account.scope not in self._shared else self._day_book

    def _first_try(self, claims: Sequence[Claim], amount: Decimal) -> Hold | Refusal | None:
        accounts = {claim.account for claim in claims}
        if not any(accounts & waiter.accounts for waiter in self._waiters):
            return self._try(claims, amount)
        for claim in claims:
            balance = self._book(claim.account).balance(claim.account)
            if decide(balance, claim.limit, amount) is Verdict.NEVER:
                return Refusal(claim, balance)
        return None

    def _try(self, claims: Sequence[Claim], amount: Decimal) -> Hold | Refusal | None:
        token = next(_tokens)
        for place, claim in enumerate(claims):
            verdict = self._book(claim.account).reserve(token, claim, amount)
            if verdict is not Verdict.GRANTED:
                self._settle(Hold(token, tuple(claims[:place]), amount), ZERO)
                never = verdict is Verdict.NEVER
                return Refusal(claim, self._book(claim.account).balance(claim.account)) if never else None
        return Hold(token, tuple(claims), amount)

    def _settle(self, hold: Hold, cost: Decimal) -> dict[Account, Decimal]:
        accounts = [claim.account for claim in hold.claims]
        return {account: self._book(account).settle(hold.token, account, cost) for account in accounts}

    def _pump(self) -> None:
        """Serve the queue in order; no call overtakes a waiter of the same account."""
        blocked: set[Account] = set()
        left: list[_Waiter] = []
        for waiter in self._waiters:
            if waiter.loop.is_closed():
                continue
            if not blocked & waiter.accounts:
                claims = waiter.claims()
                waiter.accounts = frozenset(claim.account for claim in claims)
                waiter.outcome = self._try(claims, waiter.amount)
            if waiter.outcome is None:
                blocked |= waiter.accounts
                left.append(waiter)
            else:
                waiter.loop.call_soon_threadsafe(_wake, waiter.future)
        self._waiters = left

    async def _wait(self, waiter: _Waiter) -> Hold | Refusal:
        # Another process does not notify this one when it releases money, so the first waiter polls.
        timeout = None if self._day_book is None else POLL_SECONDS
        try:
            while waiter.outcome is None:
                await asyncio.wait([waiter.future], timeout=timeout)
                with self._lock:
                    if self._waiters and self._waiters[0] is waiter:
                        self._pump()
        except BaseException:
            self._leave(waiter)
            raise
        return waiter.outcome

    def _leave(self, waiter: _Waiter) -> None:
        """Leave the queue; a hold granted at the same moment is released."""
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if isinstance(waiter.outcome, Hold):
                self._settle(waiter.outcome, ZERO)
            self._pump()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
