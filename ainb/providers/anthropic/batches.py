"""Anthropic's Message Batches API: requests in the body of one call, results as JSON lines.

Source: Anthropic API reference, "Message Batches"; anthropic-sdk-python 009b0353 for the types.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from ainb.messages import Call, Reply, Request
from ainb.providers.batch_service import BatchLimits, RemoteJob, RequestResult
from ainb.providers.http import (
    MAX_PAGES,
    SKEW_SECONDS,
    TRANSFER_SECONDS,
    BatchHttp,
    StoredResponse,
    count_or_none,
    encode_body,
    joined_length,
    joined_lines,
)

ANTHROPIC_LIMITS = BatchLimits(requests=100_000, size_bytes=256_000_000)
PATH = "/messages/batches"
RESULTS = "results"
BEFORE, AFTER = b'{"requests":[', b"]}"
# A job may take hours: prompt cache entries with the usual five minutes would expire before they are read.
LONG_MARK = "1h"
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class AnthropicBatches:
    """The batch API of one endpoint.

    Args:
        http: HTTP client of the endpoint.
        body: Builds the body of a request, the same as for a live call.
        read: Parses a stored response the same way as a live one.
    """

    uploads = False
    limits = ANTHROPIC_LIMITS

    def __init__(
        self,
        http: BatchHttp,
        *,
        body: Callable[[Request], dict[str, Any]],
        read: Callable[[Call, StoredResponse], Reply],
    ) -> None:
        self._http = http
        self._body = body
        self._read = read

    def line(self, custom_id: str, request: Request) -> bytes:
        """One request as an item of the list in the job's body."""
        params = encode_body(_with_longer_marks(self._body(request)))
        return b'{"custom_id":' + orjson.dumps(custom_id) + b',"params":' + params + b"}"

    async def upload(self, path: Path, *, name: str) -> str:
        """No upload: the requests are sent when the job is created."""
        raise NotImplementedError

    async def find_upload(self, name: str) -> str | None:
        """None, because the protocol has no uploads."""
        return None

    async def create(self, path: Path, *, input_id: str | None, tag: str) -> RemoteJob:
        """Create the job. The protocol has no field for the tag; only the custom ids hold it."""
        body = joined_lines(path, before=BEFORE, between=b",", after=AFTER)
        length = joined_length(path, before=BEFORE, after=AFTER)
        return self._job(await self._http.post(PATH, body, length=length, seconds=TRANSFER_SECONDS))

    async def find(self, *, tag: str, requests: int, created_after: float) -> list[RemoteJob]:
        """Jobs with this number of requests that were created since; the protocol returns no tag."""
        found: list[RemoteJob] = []
        query = {"limit": "100"}
        for _ in range(MAX_PAGES):
            page = await self._http.get(PATH, **query)
            jobs = [self._job(item) for item in page.get("data") or [] if isinstance(item, dict)]
            young = [job for job in jobs if (job.created_at or 0.0) >= created_after - SKEW_SECONDS]
            found += [job for job in young if job.requests == requests]
            if not page.get("has_more") or not jobs or len(young) < len(jobs):
                break
            query["after_id"] = jobs[-1].job_id
        return found

    async def get(self, job_id: str) -> RemoteJob:
        """Current state of the job."""
        return self._job(await self._http.get(f"{PATH}/{job_id}"))

    async def cancel(self, job_id: str) -> None:
        """Request cancellation of the job."""
        await self._http.post(f"{PATH}/{job_id}/cancel", b"{}")

    async def download(self, job_id: str, name: str, path: Path) -> None:
        """Write the results to `path`.

        They are read from the endpoint itself: a URL in the provider's response never receives the key.
        """
        await self._http.download(f"{PATH}/{job_id}/{name}", path)

    def read_line(self, line: bytes) -> RequestResult | None:
        """Parse one line of the results."""
        try:
            data = orjson.loads(line)
        except orjson.JSONDecodeError:
            return None
        result = data.get("result") if isinstance(data, dict) else None
        if not isinstance(result, dict) or not isinstance(data.get("custom_id"), str):
            return None
        custom_id, kind = data["custom_id"], result.get("type")
        if kind == "succeeded":
            return RequestResult(custom_id=custom_id, status_code=200, body=result.get("message"))
        if kind == "errored":
            return self._refused(custom_id, result.get("error"))
        words = {
            "expired": "the job expired before this request was processed",
            "canceled": "the job was cancelled",
        }
        code = kind if isinstance(kind, str) else None
        return RequestResult(custom_id=custom_id, status_code=None, code=code, message=words.get(code or ""))

    def reply(self, call: Call, result: RequestResult) -> Reply:
        """The reply of a processed request."""
        stored = StoredResponse(
            self._http.target,
            status=result.status_code or 500,
            body=orjson.dumps(result.body),
            request_id=result.request_id,
        )
        return self._read(call, stored)

    @staticmethod
    def _refused(custom_id: str, body: Any) -> RequestResult:
        # The error is nested twice: {"type": "error", "error": {"type": …, "message": …}}.
        inner = body.get("error") if isinstance(body, dict) else None
        kind = inner.get("type") if isinstance(inner, dict) else None
        request_id = body.get("request_id") if isinstance(body, dict) else None
        return RequestResult(
            custom_id=custom_id,
            status_code=_STATUSES.get(kind, 500) if isinstance(kind, str) else 500,
            body=body,
            code=kind if isinstance(kind, str) else None,
            request_id=request_id if isinstance(request_id, str) else None,
        )

    def _job(self, data: Mapping[str, Any]) -> RemoteJob:
        status = str(data.get("processing_status"))
        given = data.get("request_counts") or {}
        counts = {name: count_or_none(value) or 0 for name, value in given.items()}
        failed = sum(counts.get(name, 0) for name in ("errored", "canceled", "expired"))
        # All counts but `processing` stay 0 until the job has ended.
        ended = status == "ended"
        return RemoteJob(
            job_id=self._http.id_of(data),
            state="ended" if ended else "cancelling" if status == "canceling" else "running",
            status=status,
            requests=sum(counts.values()) or None,
            answered=counts.get("succeeded", 0) if ended else None,
            failed=failed if ended else None,
            created_at=_seconds(data.get("created_at")),
            expires_at=_seconds(data.get("expires_at")),
            files=(RESULTS,) if ended and data.get("results_url") else (),
        )


def _with_longer_marks(value: Any) -> Any:
    """A copy in which prompt cache markers without a lifetime of their own get one hour."""
    if isinstance(value, list):
        return [_with_longer_marks(item) for item in value]
    if not isinstance(value, dict):
        return value
    copied = {name: _with_longer_marks(item) for name, item in value.items()}
    mark = copied.get("cache_control")
    if isinstance(mark, dict) and mark.get("type") == "ephemeral" and "ttl" not in mark:
        copied["cache_control"] = {**mark, "ttl": LONG_MARK}
    return copied


def _seconds(text: Any) -> float | None:
    with contextlib.suppress(ValueError, TypeError):
        return datetime.fromisoformat(text).timestamp()
    return None
