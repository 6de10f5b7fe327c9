"""Anthropic's Message Batches API: requests in the body of one call, results as JSON lines.

Source: Anthropic API reference, "Message Batches"; anthropic-sdk-python 009b0353 for the types.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from ainb.messages import Request
from ainb.providers.batch_service import BatchLimits, RemoteJob, RequestResult
from ainb.providers.http import (
    TRANSFER_SECONDS,
    Json,
    count_or_none,
    encode_body,
    mapping,
    status_of,
    word_or_none,
)
from ainb.providers.remote.batches import HttpBatches

ANTHROPIC_LIMITS = BatchLimits(requests=100_000, size_bytes=256_000_000)
PATH = "/messages/batches"
RESULTS = "results"
BEFORE, AFTER = b'{"requests":[', b"]}"
PIECE_BYTES = 1 << 20
# A job may take hours: prompt cache entries with the usual five minutes would expire before they are read.
LONG_MARK = "1h"
_NOT_PROCESSED = {
    "expired": "the job expired before this request was processed",
    "canceled": "the job was cancelled",
}


class AnthropicBatches(HttpBatches):
    """The batch API of one endpoint."""

    uploads = False
    limits = ANTHROPIC_LIMITS
    path = PATH
    cursor = "after_id"

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
        body, length = _body_of(path), _body_length(path)
        return self._job(await self._http.call(PATH, body, length=length, seconds=TRANSFER_SECONDS))

    def _may_be(self, job: RemoteJob, tag: str, requests: int) -> bool:
        return job.created_at is not None and job.requests == requests  # none of them carries a tag

    def _result_path(self, job_id: str, name: str) -> str:
        return f"{PATH}/{job_id}/{name}"

    def _result(self, custom_id: str, data: Json) -> RequestResult | None:
        result = data.get("result")
        if not isinstance(result, dict):
            return None
        kind = word_or_none(result.get("type"))
        if kind == "succeeded":
            return RequestResult(custom_id=custom_id, status_code=200, body=result.get("message"))
        if kind != "errored":
            words = _NOT_PROCESSED.get(kind or "")
            return RequestResult(custom_id=custom_id, status_code=None, code=kind, message=words)
        # The error is nested twice: {"type": "error", "error": {"type": …, "message": …}}.
        body = result.get("error")
        code = word_or_none(mapping(mapping(body).get("error")).get("type"))
        return RequestResult(
            custom_id=custom_id,
            status_code=status_of(code),
            body=body,
            code=code,
            request_id=word_or_none(mapping(body).get("request_id")),
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


async def _body_of(path: Path) -> AsyncIterator[bytes]:
    """The lines of a file as the requests of one body, read while they are sent."""
    with path.open("rb") as file:
        yield BEFORE
        first = True
        while lines := await asyncio.to_thread(file.readlines, PIECE_BYTES):
            piece = b",".join(line.rstrip(b"\n") for line in lines)
            yield piece if first else b"," + piece
            first = False
        yield AFTER


def _body_length(path: Path) -> int:
    # Each line break but the last becomes a comma.
    return len(BEFORE) + path.stat().st_size - 1 + len(AFTER)


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
