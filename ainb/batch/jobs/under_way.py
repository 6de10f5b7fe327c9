"""Warns when rows that are sent live are also in an open batch job, and so are paid for twice."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from ainb.errors import AinbError
from ainb.jobs import JobStore
from ainb.messages import Call


def claim_of(call: Call, run_id: str, account: str) -> str:
    """Claim that one open job of a home may hold: row and account, and the run if it shares no answers."""
    own = f"{run_id}|" if call.options.cache != "use" else ""
    return hashlib.sha256(f"{own}{call.row_key}|{account}".encode()).hexdigest()


class JobsUnderWay:
    """The open jobs of a home, for a run that sends its rows live.

    Args:
        store: The jobs.
        run_id: Newest run of the same work that has an open job; None without one.
        notify: Receives the notice.
    """

    def __init__(self, store: JobStore, run_id: str | None, notify: Callable[[str, str], None]) -> None:
        self._store: JobStore | None = store
        self._run_id = run_id
        self._notify = notify

    def check(self, call: Call) -> None:
        """Give one notice if a job holds the row of this call."""
        store = self._store
        if store is None:
            return
        try:
            held = store.holder(claim_of(call, self._run_id or "", call.resolve_account()))
            job = None if held is None else store.job(held[0])
        except (AinbError, sqlite3.Error):  # such as a missing key, which the call itself reports
            return
        if job is None:
            return
        self._store = None
        self._notify(
            f"rows of this table are in the batch job {job.job_id or job.job_uuid} at {job.provider}, which "
            "is open: sent live they are paid for twice; interrupt, and run it with batch_api=True "
            "(--batch-api) to collect the job's answers, or cancel the job (%ai jobs)",
            "jobs",
        )


def jobs_under_way(home: Path, identity: str, notify: Callable[[str, str], None]) -> JobsUnderWay | None:
    """The open jobs of a home; None without any, or if they cannot be read.

    Args:
        home: The home.
        identity: Hash that is equal for runs of the same work.
        notify: Receives text and kind of a notice.
    """
    if not JobStore.exists(home):
        return None
    try:
        store = JobStore(home)
        if not store.jobs(is_open=True):
            return None
        return JobsUnderWay(store, store.open_run(identity), notify)
    except (AinbError, sqlite3.Error):  # only the warning is lost
        return None
