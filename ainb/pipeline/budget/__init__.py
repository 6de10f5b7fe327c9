"""Budget: reserves the highest possible cost of a call before it is sent, then settles the actual cost.

`limits` says in which accounts a call is booked, and reports their state. `stage` makes the reservations
through the `ledger`, which keeps the queue of waiting calls and books balances in `accounts` (this process)
or in a day book (`ainb.stores`). `billing` decides which failed attempts may be charged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.pipeline.budget.accounts import ZERO, Account, Balance, Claim, MemoryBook, Verdict, decide
    from ainb.pipeline.budget.billing import billed_attempts, may_be_billed
    from ainb.pipeline.budget.jobs import JobBudget
    from ainb.pipeline.budget.ledger import Ledger
    from ainb.pipeline.budget.limits import Limits
    from ainb.pipeline.budget.options import (
        MAX_USD,
        Budget,
        BudgetStatus,
        parse_budget,
        read_usd,
        unpriced_text,
    )
    from ainb.pipeline.budget.pot import SHARE_AHEAD, Pot, grant
    from ainb.pipeline.budget.shares import HEADROOM, MILLION, Shares, presumed_cost
    from ainb.pipeline.budget.stage import BudgetStage
else:
    __getattr__ = lazy_exports(
        __name__,
        accounts="Account Balance Claim MemoryBook Verdict ZERO decide",
        billing="billed_attempts may_be_billed",
        jobs="JobBudget",
        ledger="Ledger",
        limits="Limits",
        options="Budget BudgetStatus MAX_USD parse_budget read_usd unpriced_text",
        pot="Pot SHARE_AHEAD grant",
        shares="HEADROOM MILLION Shares presumed_cost",
        stage="BudgetStage",
    )

__all__ = [
    "HEADROOM",
    "MAX_USD",
    "MILLION",
    "SHARE_AHEAD",
    "ZERO",
    "Account",
    "Balance",
    "Budget",
    "BudgetStage",
    "BudgetStatus",
    "Claim",
    "JobBudget",
    "Ledger",
    "Limits",
    "MemoryBook",
    "Pot",
    "Shares",
    "Verdict",
    "billed_attempts",
    "decide",
    "grant",
    "may_be_billed",
    "parse_budget",
    "presumed_cost",
    "read_usd",
    "unpriced_text",
]
