"""`HttpBatches`: base class of batch APIs over HTTP, with jobs under one path, listed in pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson

from ainb.messages import Call, Reply, Request
from ainb.providers.batch_service import BatchLimits, RemoteJob, RequestResult
from ainb.providers.http import BatchHttp, Json, StoredResponse

MAX_PAGES = 20
SKEW_SECONDS = 120.0


class HttpBatches:
    """Base class of the batch API of one endpoint; protocols add the format of jobs and lines.

    Args:
        http: HTTP client of the endpoint.
        body: Builds the body of a request, the same as for a live call.
        read: Parses a stored response the same way as a live one.
    """

    limits: BatchLimits
    path: str
    cursor: str

    def __init__(
        self,
        http: BatchHttp,
        *,
        body: Callable[[Request], Json],
        read: Callable[[Call, StoredResponse], Reply],
    ) -> None:
        self._http = http
        self._body = body
        self._read = read

    async def find(self, *, tag: str, requests: int, created_after: float) -> list[RemoteJob]:
        """Jobs that may be the one created with `tag`; the service lists the newest first."""
        found = []
        async with aclosing(self._pages(self.path)) as items:
            async for item in items:
                job = self._job(item)
                if job.created_at is not None and job.created_at < created_after - SKEW_SECONDS:
                    break
                if self._may_be(job, tag, requests):
                    found.append(job)
        return found

    async def get(self, job_id: str) -> RemoteJob:
        """Current state of the job."""
        return self._job(await self._http.call(f"{self.path}/{job_id}"))

    async def cancel(self, job_id: str) -> None:
        """Request cancellation of the job."""
        await self._http.call(f"{self.path}/{job_id}/cancel", b"{}")

    async def download(self, job_id: str, name: str, path: Path) -> None:
        """Write a result file to `path`.

        It is read from the endpoint itself: a URL in the provider's response never receives the key.
        """
        await self._http.download(self._result_path(job_id, name), path)

    def read_line(self, line: bytes) -> RequestResult | None:
        """Parse one line of a result file; None when it is not valid."""
        try:
            data = orjson.loads(line)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(data, dict) or not isinstance(data.get("custom_id"), str):
            return None
        return self._result(data["custom_id"], data)

    def reply(self, call: Call, result: RequestResult) -> Reply:
        """The reply of a processed request."""
        stored = StoredResponse(
            self._http.target,
            status=result.status_code or 500,
            body=orjson.dumps(result.body),
            request_id=result.request_id,
        )
        return self._read(call, stored)

    async def _pages(self, path: str, **query: str) -> AsyncGenerator[Json]:
        query["limit"] = "100"
        for _ in range(MAX_PAGES):
            page = await self._http.call(path, query=query)
            items = [item for item in page.get("data") or [] if isinstance(item, dict)]
            for item in items:
                yield item
            if not page.get("has_more") or not items:
                return
            query[self.cursor] = str(items[-1].get("id"))

    def _may_be(self, job: RemoteJob, tag: str, requests: int) -> bool:
        raise NotImplementedError

    def _job(self, data: Mapping[str, Any]) -> RemoteJob:
        raise NotImplementedError

    def _result_path(self, job_id: str, name: str) -> str:
        raise NotImplementedError

    def _result(self, custom_id: str, data: Json) -> RequestResult | None:
        raise NotImplementedError
