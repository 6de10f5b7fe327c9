"""OpenAI's Batch API, also offered by Azure, Groq and other services: input file, batch, result files.

Source: OpenAI API reference, "Batch" and "Files"; openai-python e43b4224 for the types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from ainb.messages import Call, Reply, Request
from ainb.providers.batch_service import BatchLimits, JobFault, RemoteJob, RequestResult
from ainb.providers.http import (
    MAX_PAGES,
    SKEW_SECONDS,
    TRANSFER_SECONDS,
    BatchHttp,
    StoredResponse,
    Target,
    count_or_none,
    encode_body,
    form,
)

TAG = "ainb_job"
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
ENDPOINT = "/v1/chat/completions"
AZURE_ENDPOINT = "/chat/completions"
AZURE_LIMITS = BatchLimits(requests=100_000, size_bytes=200_000_000)
OPENAI_LIMITS = BatchLimits(requests=50_000, size_bytes=200_000_000)
# `response: null` means that a request was not processed: it expired, was cancelled or failed otherwise.
_UNPROCESSED_STATUS = None


def make_batches(
    target: Target,
    *,
    azure: bool,
    unix: Callable[[], float],
    body: Callable[[Request], dict[str, Any]],
    read: Callable[[Call, StoredResponse], Reply],
) -> OpenAIBatches:
    """The batch API behind a target."""
    return OpenAIBatches(
        BatchHttp(target, unix),
        path=AZURE_ENDPOINT if azure else ENDPOINT,
        body=body,
        read=read,
        limits=AZURE_LIMITS if azure else OPENAI_LIMITS,
    )


class OpenAIBatches:
    """The batch API of one endpoint.

    Args:
        http: HTTP client of the endpoint.
        path: Endpoint of every request, as written in the lines.
        body: Builds the body of a request, the same as for a live call.
        read: Parses a stored response the same way as a live one.
        limits: Size limits of one job.
    """

    uploads = True

    def __init__(
        self,
        http: BatchHttp,
        *,
        path: str,
        body: Callable[[Request], dict[str, Any]],
        read: Callable[[Call, StoredResponse], Reply],
        limits: BatchLimits = OPENAI_LIMITS,
    ) -> None:
        self._http = http
        self._path = path
        self._body = body
        self._read = read
        self.limits = limits

    def line(self, custom_id: str, request: Request) -> bytes:
        """One request as a line of the file."""
        body = encode_body(self._body(request))
        head = orjson.dumps({"custom_id": custom_id, "method": "POST", "url": self._path})
        return head[:-1] + b',"body":' + body + b"}"

    async def upload(self, path: Path, *, name: str) -> str:
        """Upload the file; the provider deletes it after 30 days."""
        data = form(path, name=name, purpose="batch")
        answer = await self._http.post("/files", data, own_type=True, seconds=TRANSFER_SECONDS)
        return self._http.id_of(answer)

    async def find_upload(self, name: str) -> str | None:
        """Id of the newest file of that name, or None."""
        async for item in self._pages("/files", purpose="batch"):
            if item.get("filename") == name:
                return str(item["id"])
        return None

    async def create(self, path: Path, *, input_id: str | None, tag: str) -> RemoteJob:
        """Create the job; its metadata hold the tag."""
        wish = {
            "input_file_id": input_id,
            "endpoint": self._path,
            "completion_window": "24h",
            "metadata": {TAG: tag},
        }
        return self._job(await self._http.post("/batches", orjson.dumps(wish)))

    async def find(self, *, tag: str, requests: int, created_after: float) -> list[RemoteJob]:
        """Jobs whose metadata hold the tag."""
        found = []
        async for item in self._pages("/batches"):
            job = self._job(item)
            if job.created_at is not None and job.created_at < created_after - SKEW_SECONDS:
                break
            if job.tag == tag:
                found.append(job)
        return found

    async def get(self, job_id: str) -> RemoteJob:
        """Current state of the job."""
        return self._job(await self._http.get(f"/batches/{job_id}"))

    async def cancel(self, job_id: str) -> None:
        """Request cancellation of the job."""
        await self._http.post(f"/batches/{job_id}/cancel", b"{}")

    async def download(self, job_id: str, name: str, path: Path) -> None:
        """Write a result file to `path`."""
        await self._http.download(f"/files/{name}/content", path)

    def read_line(self, line: bytes) -> RequestResult | None:
        """Parse one line of the output file or the error file."""
        try:
            data = orjson.loads(line)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(data, dict) or not isinstance(data.get("custom_id"), str):
            return None
        response, error = data.get("response"), data.get("error")
        error = error if isinstance(error, dict) else {}
        code, message = error.get("code"), self._http.words(error.get("message"))
        named = {"custom_id": data["custom_id"], "code": code if isinstance(code, str) else None}
        if not isinstance(response, dict):
            return RequestResult(**named, status_code=_UNPROCESSED_STATUS, message=message or None)
        status, request_id = response.get("status_code"), response.get("request_id")
        return RequestResult(
            **named,
            status_code=status if isinstance(status, int) else 500,
            body=response.get("body"),
            message=message or None,
            request_id=request_id if isinstance(request_id, str) else None,
        )

    def reply(self, call: Call, result: RequestResult) -> Reply:
        """The reply of a processed request."""
        stored = StoredResponse(
            self._http.target,
            status=result.status_code or 500,
            body=orjson.dumps(result.body),
            request_id=result.request_id,
        )
        return self._read(call, stored)

    async def _pages(self, path: str, **query: str) -> Any:
        query["limit"] = "100"
        for _ in range(MAX_PAGES):
            page = await self._http.get(path, **query)
            items = [item for item in page.get("data") or [] if isinstance(item, dict)]
            for item in items:
                yield item
            if not page.get("has_more") or not items:
                return
            query["after"] = str(items[-1].get("id"))

    def _job(self, data: Mapping[str, Any]) -> RemoteJob:
        status = str(data.get("status"))
        counts, metadata = data.get("request_counts") or {}, data.get("metadata") or {}
        ended = status in ENDED
        files = [data.get(name) for name in ("output_file_id", "error_file_id")]
        return RemoteJob(
            job_id=self._http.id_of(data),
            state="ended" if ended else "cancelling" if status == "cancelling" else "running",
            status=status,
            tag=metadata.get(TAG),
            requests=count_or_none(counts.get("total")),
            answered=count_or_none(counts.get("completed")),
            failed=count_or_none(counts.get("failed")),
            created_at=data.get("created_at"),
            expires_at=data.get("expires_at"),
            files=tuple(name for name in files if isinstance(name, str)) if ended else (),
            fault=self._fault(data) if status == "failed" else None,
        )

    def _fault(self, data: Mapping[str, Any]) -> JobFault:
        errors = data.get("errors")
        items = errors.get("data") if isinstance(errors, dict) else None
        items = [item for item in items or [] if isinstance(item, dict)]
        words = [self._http.words(item.get("message")) for item in items]
        lines = {
            number - 1: said
            for item, said in zip(items, words, strict=True)
            if (number := count_or_none(item.get("line")))
        }
        code = items[0].get("code") if items else None
        return JobFault(
            code=code if isinstance(code, str) else None,
            message="; ".join(dict.fromkeys(filter(None, words[:3]))) or "the provider gave no reason",
            lines=lines,
        )
