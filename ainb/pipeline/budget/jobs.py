"""Budget of batch jobs: reserves before a job is submitted, settles once when its results are merged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from ainb.errors import BudgetExceededError
from ainb.messages import Call
from ainb.pipeline.budget.accounts import ZERO, Account, Verdict
from ainb.pipeline.budget.ledger import Refusal
from ainb.pipeline.budget.limits import Limits

# Scope, name and USD of a reservation, as stored in a job's record.
JobHold = tuple[str, str, str]
# Longer than the time in which a server with new data grants no money.
FETCH_SECONDS = 3.0
FETCH_TRIES = 60


class JobBudget:
    """Reservations of batch jobs, under the same budgets as live calls.

    A day's account is that of the day on which the job was submitted.

    Args:
        limits: The budgets, and the ledger that books the reservations.

    Attributes:
        limits: As given.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._ledger = limits.ledger

    def room(self, call: Call) -> Decimal | None:
        """USD left in the tightest hard budget, neither spent nor reserved; None without one."""
        rooms = []
        for claim, hard in self.limits.claims(call):
            if hard:
                balance = self._ledger.balance(claim.account)
                rooms.append(max(ZERO, claim.limit - balance.settled - balance.reserved))
        return min(rooms, default=None)

    def refusal(self, call: Call, amount: Decimal) -> BudgetExceededError | None:
        """The error of a row that can never fit into its budgets; None when money may still be released."""
        for claim, hard in self.limits.claims(call):
            balance = self._ledger.balance(claim.account)
            if hard and balance.settled + amount > claim.limit:
                return self.limits.refused(Refusal(claim, balance), amount, "nothing was sent")
        return None

    def holds(self, call: Call, amount: Decimal) -> tuple[JobHold, ...]:
        """The reservations that `reserve` would make, to be stored before it makes them."""
        return tuple(
            (claim.account.scope, claim.account.name, str(amount if hard else ZERO))
            for claim, hard in self.limits.claims(call)
        )

    async def reserve(self, job: str, call: Call, amount: Decimal) -> bool:
        """Reserve `amount` for a job; False, and nothing is reserved, when the money is not available now.

        A shared book draws money on the first request and returns unused money after a second, so a
        reservation that must wait is tried again for `FETCH_SECONDS`.
        """
        for attempt in range(FETCH_TRIES):
            if attempt:
                await asyncio.sleep(FETCH_SECONDS / FETCH_TRIES)
            verdict = self._ledger.hold_job(job, self.limits.claims(call), amount)
            if verdict is not Verdict.WAIT:
                break
        return verdict is Verdict.GRANTED

    def keep(self, job: str, holds: Sequence[JobHold]) -> None:
        """Reserve again the amounts of a job of an earlier process, in accounts kept only in memory."""
        for account, amount in _read(holds):
            self._ledger.keep_job(job, account, amount)

    def settle(self, job: str, holds: Sequence[JobHold], cost: Decimal, *, reserved: bool = True) -> None:
        """Book the actual cost of a job; a second call does nothing.

        Args:
            job: Its id.
            holds: Reservations from `holds`.
            cost: USD.
            reserved: Whether `reserve` was called; if not, there is no reservation to release.
        """
        accounts = [(account, amount if reserved else ZERO) for account, amount in _read(holds)]
        self.limits.warn(self._ledger.settle_job(job, accounts, cost))


def _read(holds: Sequence[JobHold]) -> list[tuple[Account, Decimal]]:
    return [(Account(scope, name), Decimal(amount)) for scope, name, amount in holds]
