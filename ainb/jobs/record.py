"""`JobRecord`: one batch job of a provider as it stands on disk; its states and steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

DEFAULT_POLL_SECONDS = 15.0


class State(StrEnum):
    """How far a job is; in this order."""

    PLANNED = "planned"
    UPLOADED = "uploaded"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    ENDED = "ended"
    FETCHED = "fetched"
    MERGED = "merged"


class Step(StrEnum):
    """What is done next with a job."""

    FIND_UPLOAD = "find upload"
    UPLOAD = "upload"
    CREATE = "create"
    FIND = "find"
    POLL = "poll"
    FETCH = "fetch"
    MERGE = "merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """One job as it stands on disk.

    Attributes:
        job_uuid: Our own id: the mark that the job carries at the provider.
        run_id: The run of `Session.map` that it belongs to.
        provider: Service name.
        model: The service's own model name.
        endpoint: Base URL.
        api_key_name: Environment variable of the key where it is not the service's own, or None.
        account: Base URL and a short digest of the key; another key may not see the job.
        rows: Table rows that it answers.
        requests: Lines of its file.
        state: How far it is.
        status: The provider's last word for it; "" before there is one.
        planned_at: Seconds since 1970; so are all times.
        poll_seconds: First wait between polls.
        polls: Polls since the last change, which the wait grows with.
        next_at: Before this moment nothing is done.
        upload_begun: Whether its file may have been uploaded.
        input_id: The provider's id of its file, or None.
        intended_at: When its creation was last begun, or None.
        job_id: The provider's id, or None.
        verified: Whether it is certain that `job_id` is this job: a protocol without marks tells only by the
            results.
        not_ours: Ids of jobs that were found and are others', or that failed before this one was created
            again.
        submitted_at: When the provider had it, or None.
        expires_at: When the provider gives up, or None.
        ended_at: When it was seen to have ended, or None.
        answered: Requests with an answer, as the provider counts; None when unknown.
        failed: Requests without, as the provider counts; None when unknown.
        files: Names of its result files.
        fault_code: The provider's code when the job failed as a whole, or None.
        fault: Its words, or None.
        fault_lines: Words by number of the request, those that the provider named.
        holds: Scope, name and USD of the money that is set aside for it.
        reserved: Whether that money was set aside.
        merge_begun: Whether rows of it may be in the usage log already.
        settled: Whether its cost is booked in place of that money.
        cost_pico_usd: What its rows cost in 1e-12 USD once merged; None before, and when unknown.
    """

    job_uuid: str
    run_id: str
    provider: str
    model: str
    endpoint: str
    account: str
    rows: int
    requests: int
    planned_at: float
    api_key_name: str | None = None
    poll_seconds: float = DEFAULT_POLL_SECONDS
    state: State = State.PLANNED
    status: str = ""
    polls: int = 0
    next_at: float = 0.0
    upload_begun: bool = False
    input_id: str | None = None
    intended_at: float | None = None
    job_id: str | None = None
    verified: bool = True
    not_ours: tuple[str, ...] = ()
    submitted_at: float | None = None
    expires_at: float | None = None
    ended_at: float | None = None
    answered: int | None = None
    failed: int | None = None
    files: tuple[str, ...] = ()
    fault_code: str | None = None
    fault: str | None = None
    fault_lines: dict[int, str] = field(default_factory=dict)
    holds: tuple[tuple[str, str, str], ...] = ()
    reserved: bool = False
    merge_begun: bool = False
    settled: bool = False
    cost_pico_usd: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether something is left to be done."""
        return self.state is not State.MERGED

    @property
    def may_be_at_provider(self) -> bool:
        """Whether the provider may be working on it."""
        return self.state in {State.SUBMITTING, State.SUBMITTED}
