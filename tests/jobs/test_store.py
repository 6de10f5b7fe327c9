"""Tests of the job store: records, exclusive claims of rows, files of requests and results."""

from __future__ import annotations

import sqlite3

import pytest

from ainb.errors import AinbError
from ainb.jobs.chunk import Chunk
from ainb.jobs.record import JobRecord, State
from ainb.jobs.store import JobStore, PlannedRequest
from ainb.providers.batch_service import BatchLimits


def job(uuid="u1", **changes):
    names = {"run_id": "r", "provider": "openai", "model": "m", "endpoint": "e", "account": "a"}
    return JobRecord(job_uuid=uuid, rows=0, requests=0, planned_at=1_000.0, **{**names, **changes})


def requests(*keys, run="x"):
    return [
        PlannedRequest(custom_id=f"{run}-{key}", row_key=key, claim=f"claim {key}", estimate_pico_usd=3)
        for key in keys
    ]


@pytest.fixture
def store(tmp_path):
    made = JobStore(tmp_path)
    yield made
    made.close()


def test_a_record_is_read_as_it_was_written(store, tmp_path):
    written, _ = store.plan(
        job(fault_lines={3: "bad"}, not_ours=("a", "b"), files=("f",), holds=(("day", "2026-11-27", "0.5"),)),
        "identity",
        requests("a", "b"),
    )
    other = JobStore(tmp_path)

    assert other.jobs() == [written]
    assert written.requests == written.rows == 2
    assert other.requests("u1") == requests("a", "b")
    assert other.open_run("identity") == "r"
    other.close()


def test_a_row_is_in_one_open_job_alone(store):
    store.plan(job("u1"), "i", requests("a", "b"))
    second, places = store.plan(job("u2"), "i", requests("b", "c", run="y"))

    assert places == [1]
    assert [item.row_key for item in store.requests("u2")] == ["c"]
    assert store.holder("claim b") == ("u1", "x-b")
    third, places = store.plan(job("u3"), "i", requests("a", "c"))
    assert (third.requests, places) == (0, [])
    assert store.job("u3") is None
    assert second.requests == 1


def test_a_merged_job_lets_go_of_its_rows_and_files(store):
    import dataclasses

    planned, _ = store.plan(job(), "i", requests("a"))
    store.request_file("u1").write_bytes(b"{}\n")
    store.result_file("u1", 0).write_bytes(b"{}\n")
    store.save(dataclasses.replace(planned, state=State.MERGED))

    assert store.holder("claim a") is None
    assert not store.request_file("u1").exists()
    assert not store.result_file("u1", 0).exists()
    assert store.open_run("i") is None
    assert [item.state for item in store.jobs()] == [State.MERGED]
    assert store.jobs(is_open=True) == []


def test_a_run_is_driven_by_one_kernel_at_a_time(store, tmp_path):
    other = JobStore(tmp_path)
    with store.lock_run("r") as first:
        with other.lock_run("r") as second, other.lock_run("another") as another:
            assert (first, second, another) == (True, False, True)
        with other.lock_run("r") as second:
            assert not second
    with other.lock_run("r") as again:
        assert again
    other.close()


def test_a_file_that_is_no_store_and_one_of_a_newer_ainb_are_refused(tmp_path):
    (tmp_path / "jobs").mkdir(mode=0o700)
    (tmp_path / "jobs" / "jobs.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(AinbError, match="file of batch jobs cannot be used"):
        JobStore(tmp_path)

    newer = tmp_path / "newer"
    JobStore(newer).close()
    with sqlite3.connect(newer / "jobs" / "jobs.sqlite3") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(AinbError, match="newer ainb"):
        JobStore(newer)


@pytest.mark.parametrize("places", [[0, 1, 2, 3], [0, 3], [1], [2, 3]])
def test_a_chunk_keeps_the_lines_at_the_places_that_it_is_told(tmp_path, places):
    lines = [b"first", b"second is longer", b"3", b"fourth"]
    chunk = Chunk(tmp_path / "spool", BatchLimits(requests=4, size_bytes=1_000))
    for number, line in enumerate(lines):
        assert chunk.fits(line)
        chunk.add(requests(str(number))[0], line)
    assert not chunk.fits(b"x")
    chunk.finish(places, tmp_path / "done")
    chunk.discard()

    assert (tmp_path / "done").read_bytes().splitlines() == [lines[place] for place in places]
    assert not (tmp_path / "spool").exists()
