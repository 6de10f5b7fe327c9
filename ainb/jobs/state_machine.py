"""State machine of a provider's batch job: the next step, and the record after each step.

No I/O; `now` is passed in.

planned -> uploaded -> submitting -> submitted -> ended -> fetched -> merged

The record is written to disk before a step that cannot be undone (`intend_upload`, `intend_create`) and after
every step. So a process that dies at any point leaves a record from which the next one continues: it searches
for a file that may have been uploaded before uploading it again, and for a job that may have been created
before creating another.
"""

from __future__ import annotations

from dataclasses import replace

from ainb.jobs.record import DEFAULT_POLL_SECONDS, JobRecord, State, Step
from ainb.providers.batch_service import RemoteJob

MAX_POLL_SECONDS = 300.0
POLL_GROWTH = 1.5
# A first wait below 15 s is for tests and for services that answer within seconds; it grows by the same
# factor.
MAX_GROWTH = MAX_POLL_SECONDS / DEFAULT_POLL_SECONDS
# Searches for a job whose creation may have been interrupted; lists can lack a new job for seconds.
SETTLE_POLLS = 4
# A provider may answer 404 for a job that it has just created.
YOUNG_SECONDS = 600.0
QUEUE_FULL = "token_limit_exceeded"


def next_step(job: JobRecord, now: float, *, uploads: bool = True) -> Step | None:
    """The step that is due; None while waiting, and for a merged job.

    Args:
        job: The record.
        now: Seconds since 1970.
        uploads: Whether the protocol uploads the requests as a file.
    """
    # A wait longer than the maximum means that the clock was set back.
    is_waiting = now < job.next_at <= now + max(MAX_POLL_SECONDS, job.poll_seconds)
    if is_waiting or job.state is State.MERGED:
        return None
    if job.state is State.PLANNED:
        if not uploads:
            return Step.CREATE
        return Step.FIND_UPLOAD if job.upload_begun else Step.UPLOAD
    return {
        State.UPLOADED: Step.CREATE,
        State.SUBMITTING: Step.FIND,
        State.SUBMITTED: Step.POLL,
        State.ENDED: Step.FETCH,
        State.FETCHED: Step.MERGE,
    }[job.state]


def sends_nothing(job: JobRecord) -> bool:
    """Whether a job is planned and certainly not at the provider."""
    return job.state is State.PLANNED and not job.upload_begun


def attached(job: JobRecord, poll_seconds: float) -> JobRecord:
    """The record for another call that continues the job: polls at once, then with that call's wait."""
    job = replace(job, poll_seconds=poll_seconds)
    may_be_sent = job.job_id is not None or job.state in {State.SUBMITTING, State.SUBMITTED}
    return replace(job, polls=0, next_at=0.0) if may_be_sent else job


def poll_wait(job: JobRecord) -> float:
    """Seconds until the next poll: the wait grows by half each time, to 20 times the first wait or 300 s."""
    most = max(job.poll_seconds, min(MAX_POLL_SECONDS, MAX_GROWTH * job.poll_seconds))
    # The exponent is bounded, so that a job of many days does not overflow.
    return min(most, job.poll_seconds * POLL_GROWTH ** min(job.polls, 20))


def intend_upload(job: JobRecord) -> JobRecord:
    """Record to write before the file is uploaded."""
    return replace(job, upload_begun=True)


def upload_missing(job: JobRecord) -> JobRecord:
    """Record after no file of this job was found: the file is uploaded."""
    return replace(job, upload_begun=False)


def uploaded(job: JobRecord, input_id: str) -> JobRecord:
    """Record after the upload."""
    return replace(job, state=State.UPLOADED, input_id=input_id, polls=0, next_at=0.0)


def intend_create(job: JobRecord, now: float) -> JobRecord:
    """Record to write before the job is created."""
    return replace(job, state=State.SUBMITTING, intended_at=now, polls=0, next_at=0.0)


def created(job: JobRecord, remote: RemoteJob, now: float, *, verified: bool = True) -> JobRecord:
    """Record once the provider has the job: its creation was confirmed, or it was found afterwards."""
    job = replace(
        job,
        state=State.SUBMITTED,
        job_id=remote.job_id,
        verified=verified,
        submitted_at=remote.created_at or now,
        polls=0,
        fault=None,
        fault_code=None,
    )
    return replace(_seen(job, remote), next_at=now + poll_wait(job))


def not_created(job: JobRecord, now: float) -> JobRecord:
    """Record after the provider refused the creation for now."""
    return replace(postponed(job, now), state=_before_creation(job))


def not_found(job: JobRecord, now: float) -> JobRecord:
    """Record after the job was not found in the lists; after the last wait it was never created."""
    begun = job.intended_at if job.intended_at is not None else now
    if now - begun < SETTLE_POLLS * job.poll_seconds:
        return replace(job, next_at=now + job.poll_seconds)
    return replace(job, state=_before_creation(job), polls=0, next_at=0.0)


def not_this_one(job: JobRecord, now: float) -> JobRecord:
    """Record after the results showed that `job_id` is another job: the search starts again."""
    others = (*job.not_ours, job.job_id) if job.job_id else job.not_ours
    return replace(
        job,
        state=State.SUBMITTING,
        job_id=None,
        verified=True,
        not_ours=others,
        files=(),
        intended_at=now,
        next_at=now,
    )


def polled(job: JobRecord, remote: RemoteJob, now: float) -> JobRecord:
    """Record after a poll of a submitted job."""
    fault = remote.fault
    if remote.state == "ended" and fault is not None and fault.code == QUEUE_FULL:
        # Nothing was processed. The same file is submitted again later, when the provider's queue may have
        # room.
        return replace(
            not_created(job, now),
            job_id=None,
            not_ours=(*job.not_ours, remote.job_id),
            status=QUEUE_FULL,
            fault=fault.message,
        )
    job = replace(_seen(job, remote), polls=job.polls + 1)
    if remote.state != "ended":
        return replace(job, next_at=now + poll_wait(job))
    job = replace(job, state=State.ENDED, ended_at=now, next_at=0.0, polls=0)
    if fault is not None:
        job = replace(job, fault=fault.message, fault_code=fault.code, fault_lines=dict(fault.lines))
    return job


def postponed(job: JobRecord, now: float) -> JobRecord:
    """Record after a step that failed for now, or without a response: the next step is due after a wait."""
    job = replace(job, polls=job.polls + 1)
    return replace(job, next_at=now + poll_wait(job))


def is_young(job: JobRecord, now: float) -> bool:
    """Whether the job is so new that the provider may not list it yet."""
    begun = job.submitted_at if job.submitted_at is not None else now
    return now - begun < YOUNG_SECONDS


def failed(job: JobRecord, now: float, *, words: str, code: str | None = None) -> JobRecord:
    """Record of a failed job: all its requests end with this message."""
    return replace(
        job,
        state=State.FETCHED,
        fault=words,
        fault_code=code,
        ended_at=job.ended_at or now,
        files=(),
        next_at=0.0,
    )


def fetched(job: JobRecord) -> JobRecord:
    """Record once the result files are on disk."""
    return replace(job, state=State.FETCHED, verified=True, polls=0, next_at=0.0)


def merged(job: JobRecord, *, answered: int, failed: int, cost_pico_usd: int | None) -> JobRecord:
    """Record once all results are in log, journal and budgets."""
    return replace(
        job, state=State.MERGED, answered=answered, failed=failed, cost_pico_usd=cost_pico_usd, next_at=0.0
    )


def _seen(job: JobRecord, remote: RemoteJob) -> JobRecord:
    return replace(
        job,
        status=remote.status,
        answered=remote.answered,
        failed=remote.failed,
        expires_at=remote.expires_at if remote.expires_at is not None else job.expires_at,
        files=remote.files,
    )


def _before_creation(job: JobRecord) -> State:
    return State.UPLOADED if job.input_id is not None else State.PLANNED
