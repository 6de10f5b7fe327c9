"""Protocol class of a provider's batch API, which `ainb.jobs` uses to run batch jobs.

An adapter has a batch API when it has a method ``batches(request) -> BatchService``. The service only sends
and parses; `ainb.jobs` decides when to submit, poll and cancel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from ainb.errors import ConfigError
from ainb.messages import Call, Provider, Reply, Request

RemoteState = Literal["running", "cancelling", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """Size limits of one job.

    Attributes:
        requests: Number of requests.
        size_bytes: Size of all lines, line breaks included.
    """

    requests: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFault:
    """Failure of a whole job: none of its requests was processed.

    Attributes:
        code: The provider's error code, or None.
        message: The provider's message, cleaned and redacted.
        lines: Message by line number of the request in the file, from 0; only lines that the provider names.
    """

    code: str | None
    message: str
    lines: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteJob:
    """A job as the provider reports it.

    Attributes:
        job_id: The provider's id.
        state: "running", "cancelling", or "ended" with any result.
        status: The provider's own name of the state.
        tag: Tag that `BatchService.create` put on the job; None where the protocol has no field for one.
        requests: Number of requests; None when unknown.
        answered: Requests with an answer so far; None when unknown.
        failed: Requests that failed, expired or were cancelled so far; None when unknown.
        created_at: Seconds since 1970, or None.
        expires_at: Seconds since 1970 after which the provider gives up, or None.
        files: Names of the result files; empty before the end, and when there is no result.
        fault: Failure of the whole job, or None.
    """

    job_id: str
    state: RemoteState
    status: str
    tag: str | None = None
    requests: int | None = None
    answered: int | None = None
    failed: int | None = None
    created_at: float | None = None
    expires_at: float | None = None
    files: tuple[str, ...] = ()
    fault: JobFault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestResult:
    """One line of a result file.

    Attributes:
        custom_id: The id that the request was given.
        status_code: HTTP status of the request, or the one that fits the failure; None when it was not
            processed.
        body: The response's body; None when the request was not processed.
        code: The provider's error code of a request that was not processed ("batch_expired", …), or None.
        message: The provider's message, or None.
        request_id: The provider's id of the request, or None.
    """

    custom_id: str
    status_code: int | None
    body: Any = None
    code: str | None = None
    message: str | None = None
    request_id: str | None = None


class BatchService(Protocol):
    """One provider's batch API at one endpoint with one key."""

    @property
    def limits(self) -> BatchLimits:
        """Size limits of one job."""
        ...

    @property
    def uploads(self) -> bool:
        """Whether requests are uploaded as a file before the job is created."""
        ...

    def line(self, custom_id: str, request: Request) -> bytes:
        """One request as a line of the job's file, without line break.

        Raises:
            InvalidPromptError: The body cannot be written as JSON.
        """
        ...

    async def upload(self, path: Path, *, name: str) -> str:
        """Upload the job's file under a name; returns the provider's file id."""
        ...

    async def find_upload(self, name: str) -> str | None:
        """Provider's id of the file that was uploaded under a name, or None."""
        ...

    async def create(self, path: Path, *, input_id: str | None, tag: str) -> RemoteJob:
        """Create a job from the uploaded file, or from the lines in `path` where nothing is uploaded."""
        ...

    async def find(self, *, tag: str, requests: int, created_after: float) -> list[RemoteJob]:
        """Jobs that may be the one that was created with `tag`, newest first.

        Where the protocol keeps the tag, those that carry it; elsewhere those that were created after
        `created_after` (seconds since 1970) with as many requests.
        """
        ...

    async def get(self, job_id: str) -> RemoteJob:
        """Current state of the job."""
        ...

    async def cancel(self, job_id: str) -> None:
        """Request cancellation; finished requests keep their results."""
        ...

    async def download(self, job_id: str, name: str, path: Path) -> None:
        """Write a result file to `path`, complete or not at all."""
        ...

    def read_line(self, line: bytes) -> RequestResult | None:
        """Parse one line of a result file; None when it is not valid."""
        ...

    def reply(self, call: Call, result: RequestResult) -> Reply:
        """The reply of a processed request, as a live call would return it.

        Raises:
            ProviderError: The request failed.
        """
        ...


def find_batch_service(provider: Provider, request: Request) -> BatchService:
    """The batch API of a provider.

    Raises:
        ConfigError: There is none; the message names the services that have one.
    """
    batches = getattr(provider, "batches", None)
    if batches is None:
        raise no_batch_api(f"{request.provider}:{request.model}")
    service: BatchService = batches(request)
    return service


def no_batch_api(model: str) -> ConfigError:
    """Error for a model without a batch API."""
    return ConfigError(
        f"{model} has no batch API; batch_api works with openai, azure, anthropic and groq models; "
        "leave batch_api out to send the rows one by one"
    )
