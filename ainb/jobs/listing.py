"""Table of the jobs of a home, and cancellation of the jobs of a run."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from ainb.errors import ConfigError
from ainb.jobs.driver import JobDriver
from ainb.jobs.record import JobRecord
from ainb.jobs.store import JobStore
from ainb.messages import Request
from ainb.providers.batch_service import find_batch_service
from ainb.usage.frames.batches import records_frame

if TYPE_CHECKING:
    import pandas as pd

    from ainb.core import Core

JOB_COLUMNS = {
    "run_id": "string", "provider": "string", "job_id": "string", "shown_state": "string",
    "rows": "Int64", "answered": "Int64", "failed": "Int64",
    "submitted_at": "time", "expires_at": "time", "cost_usd": "Float64",
}  # fmt: skip


def jobs_frame(core: Core, run_id: str | None = None) -> pd.DataFrame:
    """The jobs of the home, newest first; see `Session.batch_jobs`."""
    return records_frame(_read(core, run_id), JOB_COLUMNS).rename(columns={"shown_state": "state"})


async def cancel_run(core: Core, run_id: str) -> None:
    """Request cancellation of the jobs of a run; see `Session.cancel_batch_jobs`.

    Raises:
        ConfigError: The run has no open job.
        ProviderError: The provider cannot be reached; the request is stored and repeated by the job's driver.
    """
    if core.config.replay == "replay":
        raise ConfigError("in replay no job is under way; switch replay off to cancel one")
    with contextlib.closing(JobStore(core.config.home_folder())) as store:
        jobs = store.jobs(run_id, is_open=True)
        if not jobs:
            others = sorted({job.run_id for job in store.jobs(is_open=True)})
            known = (
                f"runs with jobs under way: {', '.join(others)}" if others else "no run has jobs under way"
            )
            raise ConfigError(f"the run {run_id!r} has no batch job under way; {known}")
        store.request_cancel([job.job_uuid for job in jobs])
        with store.lock_run(run_id) as is_driver:
            for job in jobs:
                await _cancel(core, store, job, drives=is_driver)


async def _cancel(core: Core, store: JobStore, job: JobRecord, *, drives: bool) -> None:
    request = Request(
        provider=job.provider,
        model=job.model,
        messages=(),
        api_base=job.endpoint,
        api_key_name=job.api_key_name,
    )
    provider = core.provider(job.provider)
    service = find_batch_service(provider, request)
    driver = JobDriver(
        store, service, core.runtime.clock, account=provider.account(request), notify=lambda _text: None
    )
    if drives:  # no other kernel drives the run, so the request is sent from here
        await driver.advance(dataclasses.replace(job, next_at=0.0))
    elif job.verified:
        await driver.cancel(job)


def _read(core: Core, run_id: str | None) -> list[JobRecord]:
    home = core.config.home_folder()
    if core.config.replay == "replay" or not JobStore.exists(home):
        return []
    with contextlib.closing(JobStore(home)) as store:
        return store.jobs(run_id)
