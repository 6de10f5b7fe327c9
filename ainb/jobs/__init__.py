"""Batch jobs of providers: rows that are answered later, at half the price.

`state_machine` decides the next step of a job, `store` keeps jobs on disk, `driver` runs the steps through an
adapter's `BatchService`, `chunk` collects the requests of the next job, `results` matches result lines to
their requests, `delivery` takes each result through the pipeline, and `listing` makes the table of
``Session.batch_jobs``. `ainb.batch.jobs` handles the rows of a run.
"""

from ainb.jobs.chunk import Chunk
from ainb.jobs.delivery import Delivery, logged_calls, request_call_id
from ainb.jobs.driver import JobDriver
from ainb.jobs.listing import cancel_run, jobs_frame
from ainb.jobs.record import JobRecord, State
from ainb.jobs.state_machine import attached, merged, sends_nothing
from ainb.jobs.store import JobStore, PlannedRequest

__all__ = [
    "Chunk", "Delivery", "JobDriver", "JobRecord", "JobStore", "PlannedRequest", "State",
    "attached", "cancel_run", "jobs_frame", "logged_calls", "merged", "request_call_id", "sends_nothing",
]  # fmt: skip
