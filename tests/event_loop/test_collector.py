"""Tests of the garbage collector's threshold while batches and calls run."""

import gc

import pytest

import ainb
from ainb.event_loop.collector import (
    FEW_CALLS,
    LEAST_OBJECTS,
    MOST_OBJECTS,
    ROW_OBJECTS,
    CallsInFlight,
    Collector,
)


@pytest.fixture(autouse=True)
def _usual_threshold():
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_the_collector_is_rarer_while_a_batch_runs_and_as_before_afterwards() -> None:
    collector = Collector()
    with collector.rare(64):
        assert gc.get_threshold() == (ROW_OBJECTS * 64, 10, 10)
    assert gc.get_threshold() == (700, 10, 10)


def test_the_last_of_several_batches_puts_the_threshold_back_also_after_an_error() -> None:
    collector = Collector()
    with collector.rare(64):
        with pytest.raises(ZeroDivisionError), collector.rare(64):
            raise ZeroDivisionError
        assert gc.get_threshold()[0] == ROW_OBJECTS * 64
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("chosen", [0, 50_000])
def test_a_collector_that_is_off_or_rarer_already_stays_as_it_is(chosen: int) -> None:
    gc.set_threshold(chosen, 10, 10)
    with Collector().rare(64):
        assert gc.get_threshold() == (chosen, 10, 10)
    assert gc.get_threshold() == (chosen, 10, 10)


def test_a_threshold_that_the_user_sets_during_a_batch_stays() -> None:
    with Collector().rare(64):
        gc.set_threshold(5_000, 5, 5)
    assert gc.get_threshold() == (5_000, 5, 5)


def test_a_forked_child_has_the_usual_threshold_again() -> None:
    collector = Collector()
    with collector.rare(64):
        collector.put_back()
        assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize(
    ("rows", "objects"),
    [(1, LEAST_OBJECTS), (64, ROW_OBJECTS * 64), (1_024, ROW_OBJECTS * 1_024), (1e9, MOST_OBJECTS),
     (float("inf"), MOST_OBJECTS)],
)  # fmt: skip
def test_more_rows_in_flight_make_it_rarer_up_to_a_bound(rows: float, objects: int) -> None:
    with Collector().rare(rows):
        assert gc.get_threshold() == (objects, 10, 10)
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("inner_rows", [100, 1_000])
def test_of_batches_at_the_same_time_the_one_with_most_rows_counts(inner_rows: int) -> None:
    collector = Collector()
    with collector.rare(500):
        with collector.rare(inner_rows):
            assert gc.get_threshold()[0] == ROW_OBJECTS * max(500, inner_rows)
        assert gc.get_threshold()[0] == ROW_OBJECTS * 500
    assert gc.get_threshold() == (700, 10, 10)


def test_batches_that_end_in_another_order_than_they_began_put_it_back() -> None:
    collector = Collector()
    first, second = collector.rare(500), collector.rare(1_000)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_threshold()[0] == ROW_OBJECTS * 1_000
    second.__exit__(None, None, None)
    assert gc.get_threshold() == (700, 10, 10)


def test_a_threshold_that_the_user_sets_during_two_batches_stays() -> None:
    collector = Collector()
    with collector.rare(500):
        with collector.rare(1_000):
            gc.set_threshold(5_000, 5, 5)
        assert gc.get_threshold() == (5_000, 5, 5)
    assert gc.get_threshold() == (5_000, 5, 5)
    with collector.rare(64):
        assert gc.get_threshold() == (ROW_OBJECTS * 64, 5, 5)
    assert gc.get_threshold() == (5_000, 5, 5)


def test_a_batch_raises_it_by_the_concurrency_that_was_asked_for(tmp_path) -> None:
    seen = []

    def rows():
        for number in range(3):
            seen.append(gc.get_threshold()[0])
            yield number

    with ainb.Session("scripted:echo", home=tmp_path) as session:
        session.map(rows(), "{value}", concurrency=200)
    assert seen[-1] == ROW_OBJECTS * 200
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("count", [1, FEW_CALLS])
def test_a_few_calls_in_flight_leave_it_alone(count: int) -> None:
    calls = CallsInFlight(Collector())
    for _ in range(count):
        calls.begin()
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("count", [FEW_CALLS + 1, 100, 1_000, 5_000])
def test_many_calls_in_flight_make_it_rarer_until_the_last_has_ended(count: int) -> None:
    calls = CallsInFlight(Collector())
    for _ in range(count):
        calls.begin()
    assert min(MOST_OBJECTS, max(LEAST_OBJECTS, ROW_OBJECTS * count)) <= gc.get_threshold()[0]
    assert gc.get_threshold()[0] <= max(LEAST_OBJECTS, min(MOST_OBJECTS, 2 * ROW_OBJECTS * count))
    for _ in range(count - 1):
        calls.end()
    assert gc.get_threshold()[0] >= LEAST_OBJECTS
    calls.end()
    assert gc.get_threshold() == (700, 10, 10)


def test_single_calls_beside_a_batch_keep_what_the_batch_has_asked_for() -> None:
    collector = Collector()
    calls = CallsInFlight(collector)
    with collector.rare(1_000):
        for _ in range(50):
            calls.begin()
        for _ in range(50):
            calls.end()
        assert gc.get_threshold()[0] == ROW_OBJECTS * 1_000
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("model", ["scripted:echo", "scripted:no such script"])
def test_calls_that_a_session_sends_at_once_put_it_back(tmp_path, model: str) -> None:
    with ainb.Session(model, home=tmp_path) as session:
        jobs = [session.submit(f"call {number}") for number in range(200)]
        jobs[0].cancel()
        for job in jobs:
            job.wait(30)
        session.submit("last").wait(30)
    assert gc.get_threshold() == (700, 10, 10)
