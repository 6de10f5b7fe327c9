"""Notices that rows which are sent live are in a batch job already, and so are paid twice."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from ainb.errors import AinbError
from ainb.jobs import JobStore
from ainb.messages import Call


def claim_of(call: Call, run_id: str, account: str) -> str:
    """What no two open jobs of a home hold at once: row and key, and the run where it shares no answers."""
    own = f"{run_id}|" if call.options.cache != "use" else ""
    return hashlib.sha256(f"{own}{call.row_key}|{account}".encode()).hexdigest()


class JobsUnderWay:
    """The open jobs of a home, for a run that sends its rows live.

    Args:
        store: The jobs.
        run_id: Newest run of the same work that has an open job; None without one.
        notify: Takes the one line.
    """

    def __init__(self, store: JobStore, run_id: str | None, notify: Callable[[str, str], None]) -> None:
        self._store: JobStore | None = store
        self._run_id = run_id
        self._notify = notify

    def check(self, call: Call) -> None:
        """Give notice if a job holds the row of this call; once for all rows."""
        store = self._store
        if store is None:
            return
        try:
            held = store.holder(claim_of(call, self._run_id or "", call.resolve_account()))
            job = None if held is None else store.job(held[0])
        except (AinbError, sqlite3.Error):  # a missing key, say; the call itself will report it
            return
        if job is None:
            return
        self._store = None
        self._notify(
            f"rows of this table are in the batch job {job.job_id or job.job_uuid} at {job.provider}, which "
            "is under way: sent live they are paid twice; interrupt, and run it with batch_api=True "
            "(--batch-api) to collect the job's answers, or cancel the job (%ai jobs)",
            "jobs",
        )


def jobs_under_way(home: Path, identity: str, notify: Callable[[str, str], None]) -> JobsUnderWay | None:
    """The open jobs of a home; None without any, and where they cannot be read.

    Args:
        home: The home.
        identity: What makes two runs the same work.
        notify: Takes text and kind of a notice.
    """
    if not JobStore.exists(home):
        return None
    try:
        store = JobStore(home)
        if not store.jobs(is_open=True):
            return None
        return JobsUnderWay(store, store.open_run(identity), notify)
    except (AinbError, sqlite3.Error):  # the batch itself does not need it
        return None
