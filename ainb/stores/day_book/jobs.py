"""Reservations of batch jobs in the day book: no process owns them, so they stay until the job is settled."""

from __future__ import annotations

from decimal import Decimal

from ainb.stores.day_book.file import JOB, Statement
from ainb.stores.day_book.sql import DRAWN, DROP, PICO_DIGITS, SPEND_JOB, pico

_NO_LIMIT = 2**62


def job_row(job: str, account: str, amount: Decimal, limit: Decimal | None) -> dict[str, object]:
    """Row of a job's reservation; a limit of None means no limit."""
    return {
        "account": account,
        "owner": f"{JOB}{job}",
        "token": DRAWN,
        "amount": pico(amount),
        "limit": _NO_LIMIT if limit is None else int(limit.scaleb(PICO_DIGITS)),
    }


def settling_job(job: str, account: str, cost: Decimal) -> list[Statement]:
    """Statements that replace a job's reservation by its cost; run a second time, they change nothing."""
    owner = f"{JOB}{job}"
    return [(SPEND_JOB, (account, pico(cost), account, owner)), (DROP, (account, owner, DRAWN))]
