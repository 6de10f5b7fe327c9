"""Runs the steps of jobs: writes the intent of the next step to disk, acts, and writes the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ainb.clock import Clock
from ainb.errors import AinbError, ConfigError, ProviderError, TransientProviderError
from ainb.jobs import state_machine as machine
from ainb.jobs.record import JobRecord, Step
from ainb.jobs.results import ResultFiles
from ainb.jobs.store import JobStore
from ainb.providers.batch_service import BatchService, RemoteJob

NOT_FOUND = 404
CONFLICT = 409
SERVER_ERROR = 500
# Statuses for a wrong key or a missing permission; the job itself is valid.
ACCOUNT_STATUSES = frozenset({401, 403})


class JobDriver:
    """Runs the steps of the jobs of one provider and endpoint.

    Args:
        store: Store of the records.
        service: The provider's batch API.
        clock: Clock of the session.
        account: The endpoint and a digest of the key in use.
        notify: Receives notices on outages.
    """

    def __init__(
        self,
        store: JobStore,
        service: BatchService,
        clock: Clock,
        *,
        account: str,
        notify: Callable[[str], None],
    ) -> None:
        self._store = store
        self._service = service
        self._clock = clock
        self._account = account
        self._notify = notify
        self._out = False

    async def advance(self, job: JobRecord) -> JobRecord:
        """Run the step that is due, if any, except for the merge, which is the caller's.

        Returns:
            The record after the step, as written to disk.

        Raises:
            ProviderError: The key has no access to the job or the endpoint; the job on disk is not changed.
            ConfigError: The endpoint has no batch API; the job was never sent.
        """
        step = machine.next_step(job, self._clock.unix(), uploads=self._service.uploads)
        if step is None or step is Step.MERGE:
            return job
        try:
            if await asyncio.to_thread(self._store.is_cancel_requested, job.job_uuid):
                after = await self._advance_cancelled(job, step)
            else:
                after = await self._steps()[step](job)
        except TransientProviderError as error:
            if not self._out:
                self._out = True
                self._notify(f"{error}; the job is polled again")
            after = machine.postponed(await self._stored(job), self._clock.unix())
        else:
            self._out = False
        return await self.save(after)

    async def save(self, job: JobRecord) -> JobRecord:
        """Write a record."""
        await asyncio.to_thread(self._store.save, job)
        return job

    async def cancel(self, job: JobRecord) -> None:
        """Request cancellation of a job; no effect if it has ended meanwhile.

        Raises:
            ProviderError: The provider cannot be reached.
        """
        if job.job_id is None:
            return
        try:
            await self._service.cancel(job.job_id)
        except ProviderError as error:
            if error.status_code not in {CONFLICT, 400}:
                raise

    def results(self, job: JobRecord, numbers: dict[str, int]) -> ResultFiles:
        """The result files of a fetched job."""
        paths = [self._store.result_file(job.job_uuid, place) for place in range(len(job.files))]
        return ResultFiles(paths, numbers, self._service.read_line)

    def _steps(self) -> dict[Step, Callable[[JobRecord], Awaitable[JobRecord]]]:
        return {
            Step.FIND_UPLOAD: self._find_upload,
            Step.UPLOAD: self._upload,
            Step.CREATE: self._create,
            Step.FIND: self._find,
            Step.POLL: self._poll,
            Step.FETCH: self._fetch,
        }

    async def _advance_cancelled(self, job: JobRecord, step: Step) -> JobRecord:
        """Run the next step of a job that is to be cancelled; if it does not exist yet, it is not created."""
        if step in {Step.UPLOAD, Step.FIND_UPLOAD, Step.CREATE}:
            words = "cancelled before it was submitted"
            return machine.failed(job, self._clock.unix(), words=words, code="cancelled")
        if step is Step.POLL and job.verified and not job.is_cancelling:
            await self.cancel(job)
        return await self._steps()[step](job)

    async def _stored(self, job: JobRecord) -> JobRecord:
        return await asyncio.to_thread(self._store.job, job.job_uuid) or job

    async def _find_upload(self, job: JobRecord) -> JobRecord:
        found = await self._service.find_upload(_file_name(job))
        return machine.upload_missing(job) if found is None else machine.uploaded(job, found)

    async def _upload(self, job: JobRecord) -> JobRecord:
        job = await self.save(machine.intend_upload(job))
        path = self._store.request_file(job.job_uuid)
        try:
            input_id = await self._service.upload(path, name=_file_name(job))
        except ProviderError as error:
            return await self._refused(job, error)
        return machine.uploaded(job, input_id)

    async def _create(self, job: JobRecord) -> JobRecord:
        job = await self.save(machine.intend_create(job, self._clock.unix()))
        path = self._store.request_file(job.job_uuid)
        try:
            remote = await self._service.create(path, input_id=job.input_id, tag=job.job_uuid)
        except ProviderError as error:
            if _may_have_acted(error):
                self._notify(f"{error}; the job is searched for before another is created")
                return machine.postponed(job, self._clock.unix())
            return await self._refused(job, error)
        return machine.created(job, remote, self._clock.unix())

    async def _refused(self, job: JobRecord, error: ProviderError) -> JobRecord:
        """Handle the provider's refusal of a file or a job."""
        now = self._clock.unix()
        if error.status_code in ACCOUNT_STATUSES:
            await self.save(replace(machine.not_created(job, now), next_at=0.0))
            raise error
        if error.status_code == NOT_FOUND and job.submitted_at is None and not job.not_ours:
            await asyncio.to_thread(self._store.forget, job)
            raise ConfigError(
                f"{job.endpoint} has no batch API ({error}); batch_api works with openai, azure, anthropic "
                "and groq; "
                "leave batch_api out to send the rows one by one"
            )
        if isinstance(error, TransientProviderError):
            return machine.not_created(job, now)
        return machine.failed(job, now, words=str(error), code=error.code)

    async def _find(self, job: JobRecord) -> JobRecord:
        now = self._clock.unix()
        begun = job.intended_at if job.intended_at is not None else now
        found = await self._service.find(tag=job.job_uuid, requests=job.requests, created_after=begun)
        others = [
            other for other in await asyncio.to_thread(self._store.jobs) if other.job_uuid != job.job_uuid
        ]
        taken = {other.job_id for other in others} | set(job.not_ours)
        found = [remote for remote in found if remote.job_id not in taken]
        if not found and any(_may_have_taken(other, job) for other in others):
            return machine.postponed(job, now)
        if not found:
            return machine.not_found(job, now)
        remote = min(found, key=lambda item: abs((item.created_at or now) - begun))
        return machine.created(job, remote, now, verified=remote.tag == job.job_uuid)

    async def _poll(self, job: JobRecord) -> JobRecord:
        now = self._clock.unix()
        try:
            remote: RemoteJob = await self._service.get(job.job_id or "")
        except ProviderError as error:
            if error.status_code != NOT_FOUND:
                raise
            if machine.is_young(job, now):
                return machine.postponed(job, now)
            if job.account != self._account:
                raise AinbError(
                    f"{job.provider} has no job {job.job_id} for the key in use; it was "
                    "submitted with another key: "
                    "set that one to collect it"
                ) from None
            words = f"{job.provider} no longer has the job {job.job_id}, so its results are lost"
            return machine.failed(job, now, words=words, code="job_lost")
        return machine.polled(job, remote, self._clock.unix())

    async def _fetch(self, job: JobRecord) -> JobRecord:
        now = self._clock.unix()
        for place, name in enumerate(job.files):
            path = self._store.result_file(job.job_uuid, place)
            if path.exists():
                continue
            try:
                await self._service.download(job.job_id or "", name, path)
            except ProviderError as error:
                if error.status_code != NOT_FOUND:
                    raise
                # A new file can be missing for a moment.
                if now - (job.ended_at or now) < machine.YOUNG_SECONDS:
                    return machine.postponed(job, now)
                words = f"{job.provider} no longer has the results of the job {job.job_id}"
                return machine.failed(job, now, words=words, code="results_lost")
        return await self._check_ownership(job, now)

    async def _check_ownership(self, job: JobRecord, now: float) -> JobRecord:
        requests = await asyncio.to_thread(self._store.requests, job.job_uuid)
        numbers = {item.custom_id: number for number, item in enumerate(requests)}
        files = self.results(job, numbers)
        if not await asyncio.to_thread(files.is_foreign):
            return machine.fetched(job)
        for place in range(len(job.files)):
            self._store.result_file(job.job_uuid, place).unlink(missing_ok=True)
        if not job.verified:
            return machine.not_this_one(job, now)
        words = (
            f"the results of the job {job.job_id} hold no row of this run, so none of them was taken; "
            f"ask {job.provider} about the job"
        )
        return machine.failed(job, now, words=words, code="foreign_results")


def _may_have_taken(other: JobRecord, job: JobRecord) -> bool:
    """Whether another job that is only identified by its results may have been confused with this one."""
    return other.is_open and not other.verified and other.requests == job.requests


def _file_name(job: JobRecord) -> str:
    return f"ainb-{job.job_uuid}.jsonl"


def _may_have_acted(error: ProviderError) -> bool:
    """Whether the request may have taken effect although there is no response."""
    if error.status_code is None:
        return error.billed  # whether the request was sent
    return error.status_code >= SERVER_ERROR or error.billed
