"""Runner of a batch through batch jobs: submits, polls, merges, and attaches to existing jobs of the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ainb import pricing
from ainb.batch.context import BatchContext
from ainb.batch.input.reader import RowReader
from ainb.batch.jobs.context import JobContext
from ainb.batch.jobs.merge import Merge
from ainb.batch.jobs.rows import OpenRows
from ainb.batch.jobs.submission import Submission
from ainb.batch.reporter import ProgressReporter
from ainb.batch.results.row_result import RowResult, to_nano_usd
from ainb.batch.running.finished import FinishedRows
from ainb.errors import BatchPendingError
from ainb.jobs import JobRecord, State, attached, sends_nothing

LOCK_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0
YIELD_ROWS = 256
MAX_RESENDS = 5


class JobRunner:
    """One run of a batch through the provider's batch API, on the running loop.

    Args:
        context: Context of the batch.
        jobs: Context of the batch jobs.
        rows: Position and item of each row.
        reporter: Counts results and shows progress.
    """

    def __init__(
        self, context: BatchContext, jobs: JobContext, rows: RowReader, reporter: ProgressReporter
    ) -> None:
        self._batch = context
        self._context = jobs
        self._source = rows
        self._reporter = reporter
        jobs.begin(context.run_id)
        self._rows = OpenRows(context, reporter)
        self._submission = Submission(jobs, self._rows, identity=context.identity)
        self._merge = Merge(jobs, self._rows)
        self._jobs: dict[str, JobRecord] = {}
        self._stopping = self._notified = False
        self._exit: Exception | None = None
        self._pausing: asyncio.Future[None] | None = None
        self._source_ended = False
        self._resends = 0
        self._started = jobs.clock.monotonic()

    @property
    def finished(self) -> FinishedRows:
        """Rows that have a result."""
        return self._rows.finished

    @property
    def all_ended(self) -> bool:
        """Whether every row of the source has a result, rejected ones included."""
        return self._source_ended and not self._stopping and not self._rows

    @property
    def complete(self) -> bool:
        """Whether every row of the source was read and none is left for a later run."""
        left = self._submission.unfinished or self._rows.finished.holds_back
        return self.all_ended and not left

    def stop(self) -> None:
        """Stop waiting; the provider continues open jobs."""
        self._stopping = True
        if self._pausing is not None:
            self._pausing.cancel()

    def end_program(self, error: Exception) -> None:
        """Stop waiting, and raise `error` from `run`."""
        self._exit = self._exit or error
        self.stop()

    async def run(self) -> None:
        """Submit, wait and merge until all rows have ended, or until `stop`.

        Raises:
            BatchPendingError: The jobs are not done within ``max_wait_seconds``.
            ProviderError: The provider refuses the key or the endpoint; open jobs stay on disk.
            ConfigError: The endpoint has no batch API.
        """
        try:
            while not self._stopping and not await self._drive_run():
                await self._wait_for_driver()
        finally:
            self._source.close()
            self._context.store.close()
        if self._exit is not None:
            raise self._exit

    async def _drive_run(self) -> bool:
        """Submit, wait and merge; False, without waiting, while another kernel drives the run."""
        with self._context.store.lock_run(self._context.run_id) as is_driver:
            if is_driver:
                self._rows.read_journal()
                await asyncio.to_thread(pricing.preload)  # before rows are quoted and replies priced
                await self._read_rows(await self._attach())
                await self._loop()
            return is_driver

    async def _wait_for_driver(self) -> None:
        """Wait while another kernel drives the run, for its results in the journal."""
        if not self._notified:
            self._notified = True
            self._context.notify("another kernel drives this run; its rows are taken over when it is done")
        await self._pause(min(LOCK_SECONDS, self._context.poll_seconds))

    async def _attach(self) -> set[str]:
        """Continue the run's jobs; returns the keys of their rows."""
        context = self._context
        held: set[str] = set()
        jobs = await asyncio.to_thread(context.store.jobs, context.run_id, is_open=True)
        for job in reversed(jobs):
            if sends_nothing(job) and not context.store.request_file(job.job_uuid).exists():
                context.budget.settle(job.job_uuid, job.holds, Decimal(0), reserved=job.reserved)
                await asyncio.to_thread(context.store.forget, job)
                continue
            context.budget.keep(job.job_uuid, job.holds)
            self._note(await context.driver.save(attached(job, context.poll_seconds)))
            requests = await asyncio.to_thread(context.store.requests, job.job_uuid)
            held.update(request.row_key for request in requests)
        return held

    async def _read_rows(self, held: set[str]) -> None:
        while (row := await self._source.read()) is not None:
            position, item = row
            if position % YIELD_ROWS == 0:
                await asyncio.sleep(0)
            if self._stopping:
                return
            key = await self._key(position, item)
            if key is None:
                continue
            if key not in held:
                known = self._rows.finished.find(key)
                if known is not None:
                    self._rows.put(position, known[0], resumed=known[1])
                    continue
            if self._rows.add(key, item, position) and key not in held:
                self._submission.waiting.append(key)
        self._source_ended = True

    async def _key(self, position: int, item: Any) -> str | None:
        """Key of a row; None if it cannot be sent and already has its result."""
        call = await self._batch.open_row(item)
        if isinstance(call, RowResult):
            self._rows.put(position, call, resumed=False)
            return None
        return call.row_key or ""

    async def _loop(self) -> None:
        while not self._stopping:
            results = await asyncio.gather(*map(self._advance, self._open()), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            await self._submit()
            await self._collect_elsewhere()
            if not self._open() and not self._submission.waiting and not self._submission.elsewhere:
                return
            if not self._submission.waiting or self._submission.is_blocked or self._is_unresolved():
                await self._pause(self._seconds_to_next())

    async def _submit(self) -> None:
        """Plan and submit jobs until no row can be sent now."""
        submission = self._submission
        submission.is_blocked = False
        while submission.waiting and not submission.is_blocked and not self._is_unresolved():
            job = await submission.next_job(has_jobs=bool(self._open()))
            if job is not None:
                await self._advance(self._note(job))

    def _is_unresolved(self) -> bool:
        """Whether a job may exist at the provider that is not identified yet.

        No other job is created meanwhile, because in a protocol without tags the two could be confused.
        """
        return any(job.state is State.SUBMITTING for job in self._open())

    def _open(self) -> list[JobRecord]:
        return [job for job in self._jobs.values() if job.is_open]

    async def _advance(self, job: JobRecord) -> None:
        """Run all due steps, including the merge."""
        job = await self._drive(job, self._note)
        if job.state is State.FETCHED and not self._stopping:
            resend = self._resends < MAX_RESENDS
            job, tally, again = await self._merge.merge(job, may_resend=resend)
            self._resends += bool(again)
            self._submission.waiting.extend(key for key in again if key in self._rows)
            self._reporter.progress.saved_nano_usd += (
                to_nano_usd(max(tally.live - tally.cost, Decimal(0))) or 0
            )
            self._note(job)

    async def _collect_elsewhere(self) -> None:
        """Collect rows from jobs of other runs, or send them here once those jobs have released them."""
        context, elsewhere = self._context, self._submission.elsewhere
        for job_uuid in sorted({uuid for uuid, _ in elsewhere.values()}):
            job = await asyncio.to_thread(context.store.job, job_uuid)
            keys = {custom_id: key for key, (uuid, custom_id) in elsewhere.items() if uuid == job_uuid}
            if job is not None and job.is_open:
                with context.store.lock_run(job.run_id) as is_driver:
                    if not is_driver:  # another kernel drives the job; its answers will be in the cache
                        continue
                    job = await self._drive(job, lambda after: after)
                    if job.state is not State.FETCHED:
                        continue
                    await self._merge.collect(job, keys)
            for key in keys.values():
                del elsewhere[key]
                if key in self._rows:
                    self._submission.waiting.append(key)

    async def _drive(self, job: JobRecord, note: Callable[[JobRecord], JobRecord]) -> JobRecord:
        """Run all due steps of a job except the merge."""
        while not self._stopping:
            after = await self._context.driver.advance(job)
            if after is job:
                break
            job = note(after)
        return job

    def _note(self, job: JobRecord) -> JobRecord:
        self._jobs[job.job_uuid] = job
        self._reporter.progress.jobs = tuple(self._jobs.values())
        self._reporter.update(last=True)
        return job

    def _seconds_to_next(self) -> float:
        now, poll = self._context.clock.unix(), self._context.poll_seconds
        waits = [job.next_at - now for job in self._open()]
        if self._submission.elsewhere or self._submission.waiting:
            waits.append(poll)
        return min(max(0.01, min(waits, default=poll)), LONGEST_PAUSE_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Wait until the time is up, `stop` is called, or ``max_wait_seconds`` ends."""
        context, most = self._context, self._context.max_wait_seconds
        if most is not None:
            left = most - (context.clock.monotonic() - self._started)
            if left <= 0:
                raise BatchPendingError(
                    f"the batch jobs are not done within max_wait_seconds={most:g}; they continue at "
                    f"{context.provider}, and the "
                    "same call collects them; .frame holds the rows so far"
                )
            seconds = min(seconds, left)
        if self._stopping:
            return
        self._pausing = asyncio.ensure_future(context.clock.sleep(seconds))
        try:
            await asyncio.wait([self._pausing])
        finally:
            self._pausing.cancel()
            self._pausing = None
