"""`JobRecord`: record of a provider's batch job on disk, with its states and steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

DEFAULT_POLL_SECONDS = 15.0
CANCELLING = frozenset({"cancelling", "canceling"})


class State(StrEnum):
    """States of a job, in their order."""

    PLANNED = "planned"
    UPLOADED = "uploaded"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    ENDED = "ended"
    FETCHED = "fetched"
    MERGED = "merged"


class Step(StrEnum):
    """Next step of a job."""

    FIND_UPLOAD = "find upload"
    UPLOAD = "upload"
    CREATE = "create"
    FIND = "find"
    POLL = "poll"
    FETCH = "fetch"
    MERGE = "merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """Record of one job on disk.

    Attributes:
        job_uuid: Own id, which is also the tag of the job at the provider.
        run_id: Its run of `Session.map`.
        provider: Service name.
        model: The service's own model name.
        endpoint: Base URL.
        api_key_name: Environment variable of the key if it is not the service's own, or None.
        account: Base URL and a short digest of the key; another key may have no access to the job.
        rows: Number of table rows that it answers.
        requests: Number of lines in its file.
        state: State of the job.
        status: The provider's last status; "" before the first one.
        planned_at: Seconds since 1970, as for all times.
        poll_seconds: First wait between polls.
        polls: Polls since the last change; the wait grows with them.
        next_at: Earliest time of the next step.
        upload_begun: Whether its file may have been uploaded.
        input_id: The provider's id of its file, or None.
        intended_at: Start of its last creation, or None.
        job_id: The provider's id, or None.
        verified: Whether `job_id` is certainly this job: in a protocol without tags only the results show it.
        not_ours: Ids of jobs that were found and belong to others, or that failed before this one was
            created again.
        submitted_at: Time of submission, or None.
        expires_at: Time at which the provider gives up, or None.
        ended_at: Time at which its end was detected, or None.
        answered: Answered requests by the provider's count; None when unknown.
        failed: Failed requests by the provider's count; None when unknown.
        files: Names of its result files.
        fault_code: The provider's code if the whole job failed, or None.
        fault: The provider's message, or None.
        fault_lines: Messages by number of the request, for the requests that the provider named.
        holds: Scope, name and USD of the money reserved for it.
        reserved: Whether that money is reserved.
        merge_begun: Whether its rows may be in the usage log already.
        settled: Whether its cost is settled.
        cost_pico_usd: Cost of its rows in 1e-12 USD once merged; None before, and when unknown.
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
        """Whether the job is not merged yet."""
        return self.state is not State.MERGED

    @property
    def is_cancelling(self) -> bool:
        """Whether the provider is cancelling it."""
        return self.state is State.SUBMITTED and self.status in CANCELLING

    @property
    def shown_state(self) -> str:
        """Its state in one word."""
        return "cancelling" if self.is_cancelling else str(self.state)

    @property
    def cost_usd(self) -> float | None:
        """Cost of its rows in USD once merged; None before, and when unknown."""
        return None if self.cost_pico_usd is None else self.cost_pico_usd / 10**12
