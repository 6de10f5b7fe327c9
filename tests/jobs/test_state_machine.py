"""Tests of the state machine of jobs: every order of answers and crashes ends with exactly one job."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.jobs import state_machine as machine
from ainb.jobs.record import JobRecord, State, Step
from ainb.providers.batch_service import JobFault, RemoteJob

NOW = 1_800_000_000.0


def record(**changes):
    job = JobRecord(
        job_uuid="u",
        run_id="r",
        provider="openai",
        model="m",
        endpoint="e",
        account="a",
        rows=3,
        requests=3,
        planned_at=NOW,
    )
    return replace(job, **changes)


def remote(**changes):
    return RemoteJob(**{"job_id": "b1", "state": "running", "status": "in_progress", **changes})


def test_the_first_wait_grows_to_twenty_times_itself_and_at_most_five_minutes():
    waits = [machine.poll_wait(record(polls=polls)) for polls in range(12)]
    assert waits[0] == 15
    assert waits == sorted(waits)
    assert waits[-1] == 300
    assert machine.poll_wait(record(polls=50, poll_seconds=0.02)) == 0.4
    assert machine.poll_wait(record(polls=10**9, poll_seconds=600)) == 600


def test_a_planned_job_is_uploaded_created_polled_fetched_and_merged():
    job = record()
    assert machine.next_step(job, NOW) is Step.UPLOAD
    assert machine.next_step(job, NOW, uploads=False) is Step.CREATE
    job = machine.uploaded(machine.intend_upload(job), "file-1")
    assert machine.next_step(job, NOW) is Step.CREATE
    job = machine.created(machine.intend_create(job, NOW), remote(), NOW)
    assert machine.next_step(job, NOW) is None
    assert machine.next_step(job, NOW + 15) is Step.POLL
    job = machine.polled(job, remote(state="ended", status="completed", files=("f",)), NOW + 15)
    assert machine.next_step(job, NOW + 15) is Step.FETCH
    job = machine.fetched(job)
    assert machine.next_step(job, NOW + 15) is Step.MERGE
    job = machine.merged(job, answered=3, failed=0, cost_pico_usd=7)
    assert machine.next_step(job, NOW + 99) is None
    assert not job.is_open


def test_after_an_intent_the_thing_is_looked_for_first():
    assert machine.next_step(machine.intend_upload(record()), NOW) is Step.FIND_UPLOAD
    submitting = machine.intend_create(machine.uploaded(record(), "f"), NOW)
    assert machine.next_step(submitting, NOW) is Step.FIND
    assert machine.next_step(machine.not_found(submitting, NOW + 1), NOW + 16) is Step.FIND
    assert machine.next_step(machine.not_found(submitting, NOW + 61), NOW + 61) is Step.CREATE


def test_a_full_queue_goes_back_to_the_same_file_and_forgets_the_failed_job():
    job = machine.created(machine.intend_create(machine.uploaded(record(), "f"), NOW), remote(), NOW)
    fault = JobFault(code="token_limit_exceeded", message="Enqueued token limit reached")
    job = machine.polled(job, remote(state="ended", status="failed", fault=fault), NOW)

    assert (job.state, job.input_id, job.job_id, job.not_ours) == (State.UPLOADED, "f", None, ("b1",))
    assert machine.next_step(job, NOW) is None
    assert machine.next_step(job, NOW + 300) is Step.CREATE


def test_a_clock_that_was_set_back_delays_nothing_for_long():
    job = record(state=State.SUBMITTED, job_id="b1", next_at=NOW + 15)
    assert machine.next_step(job, NOW) is None
    assert machine.next_step(job, NOW - 86_400) is Step.POLL


def test_another_call_looks_at_once_and_waits_as_it_asks_for():
    job = record(state=State.SUBMITTED, job_id="b1", next_at=NOW + 290, polls=9)
    again = machine.attached(job, 2.0)
    assert machine.next_step(again, NOW) is Step.POLL
    assert again.poll_seconds == 2.0


class Provider:
    """A provider whose requests may succeed or fail, with or without a response."""

    def __init__(self, rng):
        self.rng = rng
        self.alive = []
        self.made = 0

    def create(self):
        if self.rng.random() < 0.7:
            self.made += 1
            self.alive.append(f"b{self.made}")
            return self.alive[-1]
        return None

    def poll(self, job, now):
        known = {"job_id": job.job_id}
        if self.rng.random() < 0.2:
            self.alive.remove(job.job_id)
            fault = JobFault(code="token_limit_exceeded", message="full")
            return machine.polled(job, remote(**known, state="ended", status="failed", fault=fault), now)
        state = "ended" if self.rng.random() < 0.3 else "running"
        return machine.polled(job, remote(**known, state=state), now)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_no_schedule_of_answers_and_crashes_creates_a_second_job(seed):
    rng = random.Random(seed)
    provider, job, now = Provider(rng), record(), NOW
    for _ in range(400):
        now = max(now, job.next_at)
        step = machine.next_step(job, now)
        crash = rng.random() < 0.3  # the process dies after the intent was recorded, or after the action
        if step is Step.UPLOAD:
            job = machine.intend_upload(job)
            job = job if crash else machine.uploaded(job, "file")
        elif step is Step.FIND_UPLOAD:
            job = machine.uploaded(job, "file") if rng.random() < 0.5 else machine.upload_missing(job)
        elif step is Step.CREATE:
            assert not provider.alive
            job = machine.intend_create(job, now)
            made = provider.create()
            if made and not crash:
                job = machine.created(job, remote(job_id=made), now)
            elif not made and not crash:
                job = machine.not_created(job, now) if rng.random() < 0.5 else machine.postponed(job, now)
        elif step is Step.FIND:
            found = [name for name in provider.alive if name not in job.not_ours]
            job = machine.created(job, remote(job_id=found[0]), now) if found else machine.not_found(job, now)
        elif step is Step.POLL:
            job = machine.postponed(job, now) if crash else provider.poll(job, now)
        elif step is Step.FETCH:
            job = machine.postponed(job, now) if crash else machine.fetched(job)
        elif step is Step.MERGE:
            break
    assert job.state is State.FETCHED
    assert len(provider.alive) == 1
