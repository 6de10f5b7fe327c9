"""Contract of a provider's batch API: what an adapter offers so that jobs run through it.

It speaks the wire and decides nothing.

An adapter has a batch API when it has a method ``batches(request) -> BatchService``; `ainb.jobs` does the
rest.
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
    """The most that one job may hold.

    Attributes:
        requests: Number of requests.
        size_bytes: Size of all lines, line breaks included.
    """

    requests: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFault:
    """Why a job failed as a whole; no request of it was processed.

    Attributes:
        code: The provider's error code, or None.
        message: Its words, cleaned and redacted.
        lines: Words by number of the request in the file, from 0; those that the provider names.
    """

    code: str | None
    message: str
    lines: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteJob:
    """A job as the provider reports it.

    Attributes:
        job_id: The provider's id.
        state: "running", "cancelling", or "ended", whatever the outcome.
        status: The provider's own word for it.
        tag: Mark that `BatchService.create` left on the job; None where the protocol has no place for one.
        requests: Number of requests; None when unknown.
        answered: Requests with an answer so far; None when unknown.
        failed: Requests that failed, expired or were cancelled so far; None when unknown.
        created_at: Seconds since 1970, or None.
        expires_at: Seconds since 1970 after which the provider gives up, or None.
        files: Names of the result files; empty before the end, and when there is no result.
        fault: Why it failed as a whole; None when it did not.
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
        message: The provider's words for it, or None.
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
        """The most that one job may hold."""
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
        """Upload the job's file under a name; returns the provider's id of it."""
        ...

    async def find_upload(self, name: str) -> str | None:
        """Id of the file that was uploaded under a name, or None."""
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
        """The job now."""
        ...

    async def cancel(self, job_id: str) -> None:
        """Ask the provider to stop; requests that are done stay done."""
        ...

    async def download(self, job_id: str, name: str, path: Path) -> None:
        """Write a result file to `path`, whole or not at all."""
        ...

    def read_line(self, line: bytes) -> RequestResult | None:
        """One line of a result file; None when it cannot be read."""
        ...

    def reply(self, call: Call, result: RequestResult) -> Reply:
        """The reply of a processed request, as a live call would return it.

        Raises:
            ProviderError: The request failed.
        """
        ...


def find_batch_service(provider: Provider, request: Request) -> BatchService:
    """The batch API behind a provider.

    Raises:
        ConfigError: It has none; the message names the services that have one.
    """
    batches = getattr(provider, "batches", None)
    if batches is None:
        raise no_batch_api(f"{request.provider}:{request.model}")
    service: BatchService = batches(request)
    return service


def no_batch_api(model: str) -> ConfigError:
    """The error of a model that no batch API is known for."""
    return ConfigError(
        f"{model} has no batch API; batch_api works with openai, azure, anthropic and groq models; "
        "leave batch_api out to send the rows one by one"
    )
