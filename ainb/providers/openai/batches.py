"""OpenAI's Batch API, also offered by Azure, Groq and other services: input file, batch, result files.

Source: OpenAI API reference, "Batch" and "Files"; openai-python e43b4224 for the types.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson

from ainb.messages import Request
from ainb.providers.batch_service import BatchLimits, JobFault, RemoteJob, RequestResult
from ainb.providers.http import (
    TRANSFER_SECONDS,
    BatchHttp,
    Json,
    count_or_none,
    encode_body,
    form,
    mapping,
    word_or_none,
)
from ainb.providers.remote.batches import HttpBatches

TAG = "ainb_job"
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
ENDPOINT = "/v1/chat/completions"
AZURE_ENDPOINT = "/chat/completions"
AZURE_LIMITS = BatchLimits(requests=100_000, size_bytes=200_000_000)
OPENAI_LIMITS = BatchLimits(requests=50_000, size_bytes=200_000_000)


class OpenAIBatches(HttpBatches):
    """The batch API of one endpoint; `azure`: whether it is Azure, whose paths and limits differ."""

    uploads = True
    path = "/batches"
    cursor = "after"

    def __init__(self, http: BatchHttp, *, azure: bool, **how: Any) -> None:
        super().__init__(http, **how)
        self._path = AZURE_ENDPOINT if azure else ENDPOINT
        self.limits = AZURE_LIMITS if azure else OPENAI_LIMITS

    def line(self, custom_id: str, request: Request) -> bytes:
        """One request as a line of the file."""
        body = encode_body(self._body(request))
        head = orjson.dumps({"custom_id": custom_id, "method": "POST", "url": self._path})
        return head[:-1] + b',"body":' + body + b"}"

    async def upload(self, path: Path, *, name: str) -> str:
        """Upload the file; the provider deletes it after 30 days."""
        data = form(path, name=name, purpose="batch")
        answer = await self._http.call("/files", data, own_type=True, seconds=TRANSFER_SECONDS)
        return self._http.id_of(answer)

    async def find_upload(self, name: str) -> str | None:
        """Id of the newest file of that name, or None."""
        async with aclosing(self._pages("/files", purpose="batch")) as items:
            async for item in items:
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
        return self._job(await self._http.call("/batches", orjson.dumps(wish)))

    def _may_be(self, job: RemoteJob, tag: str, requests: int) -> bool:
        return job.tag == tag

    def _result_path(self, job_id: str, name: str) -> str:
        return f"/files/{name}/content"

    def _result(self, custom_id: str, data: Json) -> RequestResult | None:
        response, error = data.get("response"), mapping(data.get("error"))
        # `response: null`: the request was not processed (expired, cancelled, or failed otherwise).
        processed, status = isinstance(response, dict), mapping(response).get("status_code")
        return RequestResult(
            custom_id=custom_id,
            status_code=None if not processed else status if isinstance(status, int) else 500,
            body=mapping(response).get("body"),
            code=word_or_none(error.get("code")),
            message=self._http.words(error.get("message")) or None,
            request_id=word_or_none(mapping(response).get("request_id")),
        )

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
        items = [item for item in mapping(data.get("errors")).get("data") or [] if isinstance(item, dict)]
        words = [self._http.words(item.get("message")) for item in items]
        lines = {
            number - 1: said
            for item, said in zip(items, words, strict=True)
            if (number := count_or_none(item.get("line")))
        }
        return JobFault(
            code=word_or_none(items[0].get("code")) if items else None,
            message="; ".join(dict.fromkeys(filter(None, words[:3]))) or "the provider gave no reason",
            lines=lines,
        )
