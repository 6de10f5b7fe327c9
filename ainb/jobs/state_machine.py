"""State machine of a provider's batch job: which step is next, and the record after it.

No I/O; `now` is passed in.

planned -> uploaded -> submitting -> submitted -> ended -> fetched -> merged

The record is written to disk before a step that cannot be taken back (`intend_upload`, `intend_create`) and
after every step, so that a process that dies at any point leaves a record from which the next one goes on: a
file that may have been uploaded is looked for before it is uploaded again, and a job that may have been
created before another is.
"""

from __future__ import annotations

from dataclasses import replace

from ainb.jobs.record import DEFAULT_POLL_SECONDS, JobRecord, State, Step
from ainb.providers.batch_service import RemoteJob

MAX_POLL_SECONDS = 300.0
POLL_GROWTH = 1.5
# A first wait below 15 s is for tests and for services that answer in seconds; it grows by as much as 15 s
# does.
MAX_GROWTH = MAX_POLL_SECONDS / DEFAULT_POLL_SECONDS
# Waits between looks for a job whose creation may have been interrupted; a job can be missing from lists for
# seconds.
SETTLE_POLLS = 4
# A provider may answer 404 to a job that it has just created.
YOUNG_SECONDS = 600.0
QUEUE_FULL = "token_limit_exceeded"


def next_step(job: JobRecord, now: float, *, uploads: bool = True) -> Step | None:
    """The step that is due; None while there is nothing to do yet, and for a merged job.

    Args:
        job: The record.
        now: Seconds since 1970.
        uploads: Whether the protocol uploads the requests as a file.
    """
    if is_waiting(job, now) or job.state is State.MERGED:
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
    """Whether a job was planned and nothing of it can be at the provider."""
    return job.state is State.PLANNED and not job.upload_begun


def is_waiting(job: JobRecord, now: float) -> bool:
    """Whether nothing is due yet.

    A wait longer than any that is ever set comes from a clock that was stepped back.
    """
    return now < job.next_at <= now + max(MAX_POLL_SECONDS, job.poll_seconds)


def attached(job: JobRecord, poll_seconds: float) -> JobRecord:
    """The record as another call goes on with it: it looks at once, and waits as that call asks for."""
    job = replace(job, poll_seconds=poll_seconds)
    return replace(job, polls=0, next_at=0.0) if job.job_id is not None or job.may_be_at_provider else job


def poll_wait(job: JobRecord) -> float:
    """Seconds until the next poll.

    The first wait, growing by half each time, to 20 times itself and at most 300 s.
    """
    most = max(job.poll_seconds, min(MAX_POLL_SECONDS, MAX_GROWTH * job.poll_seconds))
    # The power is bounded, so that a job of many days does not overflow it.
    return min(most, job.poll_seconds * POLL_GROWTH ** min(job.polls, 20))


def intend_upload(job: JobRecord) -> JobRecord:
    """Written before the file is uploaded."""
    return replace(job, upload_begun=True)


def upload_missing(job: JobRecord) -> JobRecord:
    """No file of this job is at the provider: it is uploaded."""
    return replace(job, upload_begun=False)


def uploaded(job: JobRecord, input_id: str) -> JobRecord:
    """The file is at the provider."""
    return replace(job, state=State.UPLOADED, input_id=input_id, polls=0, next_at=0.0)


def intend_create(job: JobRecord, now: float) -> JobRecord:
    """Written before the job is created."""
    return replace(job, state=State.SUBMITTING, intended_at=now, polls=0, next_at=0.0)


def created(job: JobRecord, remote: RemoteJob, now: float, *, verified: bool = True) -> JobRecord:
    """The provider has the job, whether its creation was answered or it was found afterwards."""
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
    """The provider said that there is no job, and may take it later."""
    state = State.UPLOADED if job.input_id is not None else State.PLANNED
    return replace(_later(job, now), state=state)


def may_exist(job: JobRecord, now: float) -> JobRecord:
    """The creation was not answered: the job is looked for before another is created."""
    return _later(job, now)


def not_found(job: JobRecord, now: float) -> JobRecord:
    """The job is in no list; once the wait is over it was never created."""
    begun = job.intended_at if job.intended_at is not None else now
    if now - begun < SETTLE_POLLS * job.poll_seconds:
        return replace(job, next_at=now + job.poll_seconds)
    state = State.UPLOADED if job.input_id is not None else State.PLANNED
    return replace(job, state=state, polls=0, next_at=0.0)


def not_this_one(job: JobRecord, now: float) -> JobRecord:
    """The results of a job that was taken for this one are another's: it is looked for again."""
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
    """The provider's report on a submitted job."""
    fault = remote.fault
    if remote.state == "ended" and fault is not None and fault.code == QUEUE_FULL:
        # Nothing was processed. The same file is submitted again once there may be room in the provider's
        # queue.
        state = State.UPLOADED if job.input_id is not None else State.PLANNED
        others = (*job.not_ours, remote.job_id)
        later = _later(job, now)
        return replace(
            later, state=state, job_id=None, not_ours=others, status=QUEUE_FULL, fault=fault.message
        )
    job = replace(_seen(job, remote), polls=job.polls + 1)
    if remote.state != "ended":
        return replace(job, next_at=now + poll_wait(job))
    job = replace(job, state=State.ENDED, ended_at=now, next_at=0.0, polls=0)
    if fault is not None:
        job = replace(job, fault=fault.message, fault_code=fault.code, fault_lines=dict(fault.lines))
    return job


def unreachable(job: JobRecord, now: float) -> JobRecord:
    """A step failed for now; it is tried again later."""
    return _later(job, now)


def is_young(job: JobRecord, now: float) -> bool:
    """Whether the provider may not show the job yet."""
    begun = job.submitted_at if job.submitted_at is not None else now
    return now - begun < YOUNG_SECONDS


def failed(job: JobRecord, now: float, *, words: str, code: str | None = None) -> JobRecord:
    """No results will come: all its requests end with these words."""
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
    """Its result files are on this disk."""
    return replace(job, state=State.FETCHED, verified=True, polls=0, next_at=0.0)


def merged(job: JobRecord, *, answered: int, failed: int, cost_pico_usd: int | None) -> JobRecord:
    """Every row has its outcome in the log, the journal and the budgets."""
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


def _later(job: JobRecord, now: float) -> JobRecord:
    job = replace(job, polls=job.polls + 1)
    return replace(job, next_at=now + poll_wait(job))
