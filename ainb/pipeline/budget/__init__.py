"""Budget: reserves the most that a call can cost before it is sent, and settles at its actual cost.

`stage` makes the reservations through the `ledger`, which keeps the queue of waiting calls and books balances
in `accounts` (this process) or in a day book (`ainb.stores`). `billing` decides which failed attempts may be
charged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.pipeline.budget.accounts import ZERO, Account, Balance, Claim, MemoryBook, Verdict, decide
    from ainb.pipeline.budget.billing import billed_attempts, may_be_billed
    from ainb.pipeline.budget.jobs import JobBudget
    from ainb.pipeline.budget.ledger import Ledger
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
        {
            "Account": "accounts",
            "Balance": "accounts",
            "Budget": "options",
            "BudgetStage": "stage",
            "BudgetStatus": "options",
            "Claim": "accounts",
            "HEADROOM": "shares",
            "JobBudget": "jobs",
            "Ledger": "ledger",
            "MAX_USD": "options",
            "MILLION": "shares",
            "MemoryBook": "accounts",
            "Pot": "pot",
            "SHARE_AHEAD": "pot",
            "Shares": "shares",
            "Verdict": "accounts",
            "ZERO": "accounts",
            "billed_attempts": "billing",
            "decide": "accounts",
            "grant": "pot",
            "may_be_billed": "billing",
            "parse_budget": "options",
            "presumed_cost": "shares",
            "read_usd": "options",
            "unpriced_text": "options",
        },
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
