"""Rebuilds calls from the request files of jobs, for rows that are no longer in the table."""

from __future__ import annotations

import contextlib
from array import array

import orjson

from ainb.batch.jobs.context import JobContext
from ainb.jobs import JobRecord, last_message
from ainb.messages import Call


class SentRequests:
    """The requests of a run's jobs as they were sent.

    Args:
        context: The store, and the calls of the run.
        run_id: The run.
    """

    def __init__(self, context: JobContext, run_id: str) -> None:
        self._context = context
        self._run_id = run_id
        self._offsets: tuple[str, array[int]] = ("", array("q"))

    def call(self, job: JobRecord, number: int, key: str) -> Call | None:
        """The call of a request; None when its line cannot be read."""
        with contextlib.suppress(OSError, ValueError):
            prompt = last_message(orjson.loads(self._line(job.job_uuid, number)))
            if prompt is not None:
                call = self._context.calls.make_from(prompt, run_id=self._run_id)
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
