"""Budget of batch jobs: reserves before a job is submitted, settles once when its results are booked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from ainb.errors import BudgetExceededError
from ainb.messages import Call
from ainb.pipeline.budget.accounts import ZERO, Account, Verdict
from ainb.pipeline.budget.ledger import Ledger, Refusal
from ainb.pipeline.budget.stage import BudgetStage

# Scope, name and USD as a job's record keeps them.
JobHold = tuple[str, str, str]
# Longer than a server whose data is new gives no money.
FETCH_SECONDS = 3.0
FETCH_TRIES = 60


class JobBudget:
    """Reservations of jobs, under the same budgets as live calls.

    A day's account is that of the day on which the job was submitted.

    Args:
        stage: The budgets.
        ledger: Books the reservations.
    """

    def __init__(self, stage: BudgetStage, ledger: Ledger) -> None:
        self._stage = stage
        self._ledger = ledger

    def limits(self, call: Call) -> bool:
        """Whether a hard budget applies, so that a job's cost has to be known before it is submitted."""
        return any(hard for _, hard in self._stage.claims(call))

    def room(self, call: Call) -> Decimal | None:
        """USD left in the tightest hard budget, neither spent nor reserved; None without one."""
        rooms = []
        for claim, hard in self._stage.claims(call):
            if hard:
                balance = self._ledger.balance(claim.account)
                rooms.append(max(ZERO, claim.limit - balance.settled - balance.reserved))
        return min(rooms, default=None)

    def refusal(self, call: Call, amount: Decimal) -> BudgetExceededError | None:
        """The error of a row that no budget will ever have room for; None when money may still come free."""
        for claim, hard in self._stage.claims(call):
            balance = self._ledger.balance(claim.account)
            if hard and balance.settled + amount > claim.limit:
                return self._stage.refused(Refusal(claim, balance), amount, "nothing was sent")
        return None

    def holds(self, call: Call, amount: Decimal) -> tuple[JobHold, ...]:
        """What `reserve` would set aside, to be written down before it does."""
        return tuple(
            (claim.account.scope, claim.account.name, str(amount if hard else ZERO))
            for claim, hard in self._stage.claims(call)
        )

    async def reserve(self, job: str, call: Call, amount: Decimal) -> bool:
        """Set `amount` aside for a job; False when the money is not there now, and then nothing is.

        A book on a server answers the first request by fetching the money and gives back after a second what
        nobody took, so a reservation that has to wait is tried again within `FETCH_SECONDS`.
        """
        for attempt in range(FETCH_TRIES):
            if attempt:
                await asyncio.sleep(FETCH_SECONDS / FETCH_TRIES)
            verdict = self._ledger.hold_job(job, self._stage.claims(call), amount)
            if verdict is not Verdict.WAIT:
                break
        return verdict is Verdict.GRANTED

    def keep(self, job: str, holds: Sequence[JobHold]) -> None:
        """Set aside again what a job of an earlier process holds, in accounts that end with their process."""
        for account, amount in _read(holds):
            self._ledger.keep_job(job, account, amount)

    def settle(self, job: str, holds: Sequence[JobHold], cost: Decimal, *, reserved: bool = True) -> None:
        """Book what a job cost; nothing happens the second time.

        Args:
            job: Its id.
            holds: As `holds` gave them.
            cost: USD.
            reserved: Whether `reserve` was reached; without it there is nothing to give back.
        """
        accounts = [(account, amount if reserved else ZERO) for account, amount in _read(holds)]
        self._stage.warn(self._ledger.settle_job(job, accounts, cost))


def _read(holds: Sequence[JobHold]) -> list[tuple[Account, Decimal]]:
    return [(Account(scope, name), Decimal(amount)) for scope, name, amount in holds]
