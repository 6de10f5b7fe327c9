"""Rebuilds calls from the request files of jobs, for rows that are no longer in the table."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Mapping
from typing import Any

import orjson

from ainb.batch.jobs.context import JobContext
from ainb.jobs import JobRecord
from ainb.messages import Call


class SentRequests:
    """The requests of a run's jobs as they were sent.

    Args:
        context: The store, and the calls of the run.
    """

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._offsets: tuple[str, array[int]] = ("", array("q"))

    def call(self, job: JobRecord, number: int, key: str) -> Call | None:
        """The call of a request; None when its line cannot be read."""
        with contextlib.suppress(OSError, ValueError):
            prompt = _last_message(orjson.loads(self._line(job.job_uuid, number)))
            if prompt is not None:
                call = self._context.calls.make_from(prompt, run_id=self._context.run_id)
                call.row_key = key
                return call
        return None

    def _line(self, job_uuid: str, number: int) -> bytes:
        with self._context.store.request_file(job_uuid).open("rb") as file:
            if self._offsets[0] != job_uuid:
                offsets = array("q", [0])
                for line in file:
                    offsets.append(offsets[-1] + len(line))
                self._offsets = job_uuid, offsets
            file.seek(self._offsets[1][number])
            return file.readline()


def _last_message(line: Mapping[str, Any]) -> str | None:
    """Text of the last message in a request line of either protocol, or None."""
    body = line.get("body") or line.get("params") or {}
    messages = body.get("messages") or [{}]
    content = messages[-1].get("content")
    if isinstance(content, list):
        content = "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else None
