"""Tests of attaching to running jobs: other kernels, interrupts, wait limits, cancellation, budgets."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import threading
import time
from decimal import Decimal

import pytest

import ainb
from ainb.jobs import Delivery, JobRecord, JobStore, PlannedRequest
from tests.jobs.batch_server import BatchServer, Behaviour
from tests.jobs.test_batch_api import BOTH, PROMPT, notices, spent_at, spent_in

STUCK = Behaviour(end="stuck")


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def let_end(server):
    """Let stuck jobs end at the next poll."""
    for job in server.jobs:
        job.behaviour = Behaviour()


@BOTH
def test_a_call_that_waits_no_longer_holds_the_rows_so_far_and_the_next_one_collects(
    make_session, texts, anthropic
):
    with BatchServer([STUCK]) as server:
        session = make_session(server, anthropic=anthropic)
        session.map(texts, PROMPT, limit=2)
        with pytest.raises(ainb.BatchPendingError, match=r"max_wait_seconds=0\.5") as caught:
            session.map(texts, PROMPT, batch_api=True, max_wait_seconds=0.5)
        frame = caught.value.frame

        assert isinstance(caught.value, TimeoutError)
        assert list(frame["status"]) == ["ok"] * 2 + ["cancelled"] * 18
        assert session.last_map is frame
        assert session.batch_jobs()["state"].tolist() == ["submitted"]
        let_end(server)
        again = session.map(texts, PROMPT, batch_api=True)

        assert (again["status"] == "ok").all()
        assert len(server.jobs) == 1
        assert spent_in(session) == spent_at(server)


@BOTH
def test_an_interrupt_leaves_the_job_running_and_says_so(make_session, texts, anthropic):
    with BatchServer([STUCK]) as server:
        session = make_session(server, anthropic=anthropic)

        def interrupt():
            wait_until(lambda: len(session.batch_jobs()) and session.batch_jobs()["state"][0] == "submitted")
            _thread.interrupt_main()

        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(
            ainb.BatchInterrupted, match=r"1 job with 20 rows still running at (openai|anthropic)"
        ):
            session.map(texts, PROMPT, batch_api=True)
        assert [job.lives for job in server.jobs] == [True]
        let_end(server)
        frame = session.map(texts, PROMPT, batch_api=True)

        assert (frame["status"] == "ok").all()
        assert len(server.jobs) == 1


@BOTH
def test_another_kernel_collects_what_the_first_has_left(make_session, texts, anthropic):
    with BatchServer([STUCK]) as server:
        first = make_session(server, anthropic=anthropic)
        with pytest.raises(ainb.BatchPendingError):
            first.map(texts, PROMPT, batch_api=True, max_wait_seconds=0.5)
        first.close()
        let_end(server)
        second = make_session(server, anthropic=anthropic)
        frame = second.map(texts, PROMPT, batch_api=True)

        assert (frame["status"] == "ok").all()
        assert len(server.jobs) == 1
        assert spent_in(second) == spent_at(server)


@BOTH
@pytest.mark.parametrize("journal", [True, False])
def test_two_kernels_on_one_home_submit_each_row_once(make_session, texts, anthropic, journal):
    with BatchServer([Behaviour(seconds=0.5)]) as server:
        sessions = [make_session(server, anthropic=anthropic) for _ in range(2)]
        jobs = [session.submit_map(texts, PROMPT, batch_api=True, journal=journal) for session in sessions]
        frames = [job.result(60) for job in jobs]

        assert all((frame["status"] == "ok").all() for frame in frames)
        assert set(server.submissions().values()) == {1}
        assert server.rows_submitted_twice() == []
        assert spent_in(sessions[0]) == spent_at(server)


@BOTH
def test_rows_that_another_run_has_under_way_are_taken_from_its_job(make_session, texts, anthropic):
    # The same prompts from another template are a different run with the same rows.
    with BatchServer([STUCK, Behaviour()]) as server:
        session = make_session(server, anthropic=anthropic)
        with pytest.raises(ainb.BatchPendingError):
            session.map(texts, "Echo {text}", batch_api=True, max_wait_seconds=0.5)
        let_end(server)
        rows = [{"word": "Echo", "text": text} for text in texts["text"]] + [{"word": "New", "text": "row"}]
        other = session.map(rows, "{word} {text}", batch_api=True)
        first = session.map(texts, "Echo {text}", batch_api=True)

        assert list(other["reply"]) == [f"Echo {text}" for text in texts["text"]] + ["New row"]
        assert (first["status"] == "ok").all()
        assert set(server.submissions().values()) == {1}
        assert spent_in(session) == spent_at(server)
        assert set(session.batch_jobs()["state"]) == {"merged"}


@BOTH
def test_rows_that_left_the_table_are_counted_all_the_same(make_session, texts, anthropic):
    with BatchServer([STUCK, Behaviour()]) as server:
        session = make_session(server, anthropic=anthropic)
        with pytest.raises(ainb.BatchPendingError):
            session.map(texts, PROMPT, batch_api=True, max_wait_seconds=0.5)
        let_end(server)
        frame = session.map(texts.head(5), PROMPT, batch_api=True)

        assert len(frame) == 5
        assert (frame["status"] == "ok").all()
        assert len(session.usage()) == 20
        assert spent_in(session) == spent_at(server)
        assert session.map(texts, PROMPT, batch_api=True)["cached"].all()


@BOTH
def test_cancelled_jobs_keep_what_they_answered(make_session, texts, anthropic):
    with BatchServer([Behaviour(end="stuck", cancelling_polls=3), Behaviour()]) as server:
        session = make_session(server, anthropic=anthropic)
        job = session.submit_map(texts, PROMPT, batch_api=True)
        wait_until(lambda: len(session.batch_jobs()) and session.batch_jobs()["state"][0] == "submitted")
        run_id = session.batch_jobs()["run_id"][0]
        session.cancel_batch_jobs(run_id)
        frame = job.result(60)

        assert list(frame["status"]) == ["ok", "error"] * 10
        assert frame["error_message"].dropna().str.contains("cancelled").all()
        assert spent_in(session) == spent_at(server) > 0
        again = session.map(texts, PROMPT, batch_api=True, retry_failed=True)
        assert (again["status"] == "ok").all()


@BOTH
def test_a_job_without_a_running_call_is_cancelled_too(make_session, texts, anthropic):
    with BatchServer([STUCK]) as server:
        session = make_session(server, anthropic=anthropic)
        with pytest.raises(ainb.BatchPendingError):
            session.map(texts, PROMPT, batch_api=True, max_wait_seconds=0.5)
        run_id = session.batch_jobs()["run_id"][0]
        shown = session.cancel_batch_jobs(run_id)

        assert shown["run_id"].tolist() == [run_id]
        assert server.jobs[0].status in {"cancelling", "cancelled"}
        frame = session.map(texts, PROMPT, batch_api=True)
        assert list(frame["status"]) == ["ok", "error"] * 10


@BOTH
def test_a_planned_job_that_another_kernel_drives_is_only_marked_as_cancelled(make_session, anthropic):
    with BatchServer([STUCK]) as server:
        session = make_session(server, anthropic=anthropic)
        names = {"provider": "anthropic" if anthropic else "openai", "model": "m", "account": "another"}
        job = JobRecord(
            job_uuid="u", run_id="r", endpoint=server.base_url, rows=1, requests=1, planned_at=1.0, **names
        )
        with contextlib.closing(JobStore(session.core.config.home_folder())) as store:
            store.plan(job, "identity", [PlannedRequest("custom", "key", "claim")])
            with store.lock_run("r"):
                shown = session.cancel_batch_jobs("r")

            assert shown["state"].tolist() == ["planned"]
            assert store.is_cancel_requested("u")
        assert not server.jobs


def test_cancelling_what_is_not_under_way_names_what_is(make_session, texts):
    with BatchServer([STUCK]) as server:
        session = make_session(server)
        with pytest.raises(ainb.ConfigError, match="no run has jobs under way"):
            session.cancel_batch_jobs("nothing")
        with pytest.raises(ainb.BatchPendingError):
            session.map(texts, PROMPT, batch_api=True, max_wait_seconds=0.5)
        with pytest.raises(ainb.ConfigError, match=session.batch_jobs()["run_id"][0]):
            session.cancel_batch_jobs("nothing")


@BOTH
def test_what_a_job_holds_stays_reserved_over_restarts_until_it_is_merged(make_session, texts, anthropic):
    budget = ainb.Budget(usd="0.01", per="day")
    with BatchServer([STUCK]) as server:
        first = make_session(server, anthropic=anthropic, budget=budget)
        with pytest.raises(ainb.BatchPendingError):
            first.map(texts, PROMPT, batch_api=True, max_wait_seconds=0.5, max_tokens=100)
        held = first.budget_status()[0].reserved_usd
        first.close()
        second = make_session(server, anthropic=anthropic, budget=budget)

        assert second.budget_status()[0].reserved_usd == held == 20 * Decimal("0.000415")
        with pytest.raises(
            ainb.DeadlineExceededError
        ):  # reserved money may be released, so a live call waits for it
            second.ask("x", max_tokens=1_200, timeout_seconds=0.5)
        let_end(server)
        second.map(texts, PROMPT, batch_api=True, max_tokens=100)
        status = second.budget_status()[0]

        assert status.reserved_usd == 0
        assert status.spent_usd == spent_at(server) == spent_in(second)


@BOTH
def test_an_outage_while_waiting_gives_one_notice(make_session, texts, events, anthropic):
    with BatchServer([STUCK]) as server:
        session = make_session(server, anthropic=anthropic)
        job = session.submit_map(texts, PROMPT, batch_api=True)
        wait_until(lambda: server.polls() > 1)
        server.down = True
        looks = len(server.requests)
        wait_until(lambda: len(server.requests) > looks + 4)
        server.down = False
        let_end(server)
        frame = job.result(60)

        assert (frame["status"] == "ok").all()
        assert len([text for text in notices(events) if "is polled again" in text]) == 1


@BOTH
def test_without_a_journal_the_same_call_attaches_all_the_same(make_session, texts, anthropic):
    with BatchServer([STUCK]) as server:
        session = make_session(server, anthropic=anthropic)
        for _ in range(2):
            with pytest.raises(ainb.BatchPendingError):
                session.map(texts, PROMPT, batch_api=True, journal=False, max_wait_seconds=0.5)
        let_end(server)
        frame = session.map(texts, PROMPT, batch_api=True, journal=False)

        assert (frame["status"] == "ok").all()
        assert len(server.jobs) == 1


def test_the_progress_shows_jobs_states_and_saving(make_session, texts):
    seen = []

    def watch(progress):
        seen.append(
            (
                progress.jobs_line,
                [(job.state, job.answered) for job in progress.jobs],
                progress.saved_nano_usd,
            )
        )

    with BatchServer([Behaviour(polls=2)]) as server:
        session = make_session(server)
        session.map(texts, PROMPT, batch_api=True, watcher=watch)

    lines = [line for line, _, _ in seen if line]
    assert lines[0].startswith("20 rows sent to openai in 1 job, 0 answered. You can interrupt or close")
    assert {state for _, jobs, _ in seen for state, _ in jobs} >= {"submitted", "fetched", "merged"}
    assert seen[-1][2] == 20 * 15_000


def test_files_of_jobs_are_for_their_owner_alone_and_go_when_merged(make_session, texts):
    with BatchServer([STUCK]) as server:
        session = make_session(server)
        with pytest.raises(ainb.BatchPendingError):
            session.map(texts, PROMPT, batch_api=True, max_wait_seconds=0.5)
        folder = session.core.config.home_folder() / "jobs"
        modes = {path.suffix: path.stat().st_mode & 0o777 for path in folder.iterdir()}
        assert folder.stat().st_mode & 0o777 == 0o700
        assert modes[".jsonl"] == 0o600
        assert set(modes.values()) == {0o600}
        let_end(server)
        session.map(texts, PROMPT, batch_api=True)

        assert [
            path.name
            for path in folder.iterdir()
            if path.suffix not in {".sqlite3", ".sqlite3-wal", ".sqlite3-shm"}
        ] == []


@BOTH
@pytest.mark.parametrize("looked_up", [1, 7, 20])
def test_a_row_that_another_kernel_pays_between_look_and_plan_is_not_paid_again(
    make_session, texts, anthropic, monkeypatch, looked_up
):
    # The other kernel completes its run after this one has looked up `looked_up` rows in the cache and before
    # it claims any.
    with BatchServer([Behaviour()]) as server:
        one, other = (make_session(server, anthropic=anthropic) for _ in range(2))
        original, seen = Delivery.screen, []

        async def screen(delivery, call):
            request = await original(delivery, call)
            seen.append(call)
            if len(seen) == looked_up:
                await asyncio.to_thread(other.map, texts, PROMPT, batch_api=True, journal=False)
            return request

        monkeypatch.setattr(Delivery, "screen", screen)
        frame = one.map(texts, PROMPT, batch_api=True, journal=False)

        assert (frame["status"] == "ok").all()
        assert set(server.submissions().values()) == {1}
        assert len(server.jobs) == 1
        assert spent_in(one) == spent_at(server)
        assert one.batch_jobs()["state"].tolist() == ["merged"]


@BOTH
def test_a_job_lets_go_of_its_rows_only_when_other_kernels_can_read_their_answers(
    make_session, texts, anthropic, monkeypatch
):
    monkeypatch.setattr("ainb.stores.disk.write_queue.GATHER_SECONDS", 2.0)
    with BatchServer([Behaviour()]) as server:
        one, other = (make_session(server, anthropic=anthropic) for _ in range(2))
        for session in (one, other):
            frame = session.map(texts, PROMPT, batch_api=True, journal=False)
            assert (frame["status"] == "ok").all()

        assert len(server.jobs) == 1
        assert spent_in(other) == spent_at(server)


@BOTH
@pytest.mark.parametrize("cache", ["use", "off", "refresh"])
def test_rows_that_are_sent_live_while_a_job_holds_them_give_one_notice(
    make_session, texts, events, anthropic, cache
):
    with BatchServer([STUCK]) as server:
        session = make_session(server, anthropic=anthropic)
        with pytest.raises(ainb.BatchPendingError):
            session.map(texts, PROMPT, batch_api=True, max_wait_seconds=0.3, cache=cache)
        (job_id,) = session.batch_jobs()["job_id"]
        before = len(notices(events))
        session.map(texts, PROMPT, cache=cache)

    (said,) = [text for text in notices(events)[before:] if "paid for twice" in text]
    assert job_id in said
    assert "batch_api=True" in said


@BOTH
def test_other_rows_and_answered_ones_give_no_notice(make_session, texts, events, anthropic):
    with BatchServer([Behaviour(), STUCK]) as server:
        session = make_session(server, anthropic=anthropic)
        session.map(texts, PROMPT, batch_api=True)
        with pytest.raises(ainb.BatchPendingError):
            session.map(texts, "Another: {text}", batch_api=True, max_wait_seconds=0.3)
        session.map(texts, PROMPT)
        session.map(texts, "A third: {text}")

    assert not [text for text in notices(events) if "paid for twice" in text]
