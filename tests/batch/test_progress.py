"""Tests of the counts of a batch: outcomes that add up to the rows, and the projected cost."""

from __future__ import annotations

import itertools

import pytest

import ainb
from ainb.batch.progress import Progress
from ainb.batch.results.row_result import RowResult

STATUSES = ("ok", "error", "rejected")
ENDS = [*itertools.product(STATUSES, [True, False])]


def result(status: str, *, cost: int | None = 0, cached: bool = False) -> RowResult:
    failed = None if status == "ok" else "TransientProviderError"
    return RowResult(status=status, error_type=failed, cost_nano_usd=cost, cached=cached)


@pytest.mark.parametrize("ends", [*itertools.combinations_with_replacement(ENDS, 3)])
def test_answered_failed_and_unsent_rows_add_up_to_those_that_ended(ends):
    progress = Progress(total=3)
    for position, (status, resumed) in enumerate(ends):
        progress.count(position, result(status), resumed=resumed)

    assert progress.succeeded == sum(status == "ok" for status, _ in ends)
    assert progress.succeeded + progress.failed + progress.rejected == progress.done == 3
    assert progress.resumed == sum(resumed for _, resumed in ends)
    assert progress.resumed_answers == sum(resumed and status == "ok" for status, resumed in ends)


def test_costs_of_an_earlier_run_are_not_counted_again():
    progress = Progress(total=2)
    progress.count(0, result("ok", cost=5), resumed=True)
    progress.count(1, result("error", cost=7), resumed=True)

    assert progress.cost_nano_usd == 0
    assert progress.unpriced == 0


@pytest.mark.parametrize(
    ("rows", "projected"),
    [
        pytest.param([], None, id="nothing has ended"),
        pytest.param([("error", 0, False)], None, id="only failures without a cost"),
        pytest.param([("rejected", None, False)], None, id="only unsent rows"),
        pytest.param([("ok", 10, True)], None, id="only rows of an earlier run"),
        pytest.param([("ok", None, False)], None, id="a cost is unknown"),
        pytest.param([("ok", 0, False)], 0, id="free"),
        pytest.param([("ok", 10, False)], 100, id="one of ten"),
        pytest.param([("ok", 10, True)] * 5 + [("ok", 10, False)], 50, id="half by an earlier run"),
        pytest.param([("error", 7, True)] * 5 + [("ok", 10, False)], 50, id="half failed in an earlier run"),
        pytest.param([("ok", 10, False)] * 3 + [("error", 0, False)], 75, id="failures without a cost"),
        pytest.param([("error", 10, False)], 100, id="a failure that cost money"),
        pytest.param([("ok", 10, False)] * 10, 100, id="all of them"),
    ],
)
def test_the_projected_cost_is_that_of_this_run(rows, projected):
    progress = Progress(total=10)
    for position, (status, cost, resumed) in enumerate(rows):
        progress.count(position, result(status, cost=cost), resumed=resumed)

    assert progress.projected_nano_usd == projected


@pytest.mark.parametrize("retry_failed", [False, True])
def test_a_run_that_continues_one_with_failures_counts_each_row_once(tmp_path, retry_failed):
    seen: list[Progress] = []
    stops = [20]

    def half(item: str) -> str:
        if int(item) in stops:
            stops.clear()
            raise KeyboardInterrupt
        if int(item) % 2:
            raise ValueError("odd")
        return "yes"

    items = [str(number) for number in range(40)]
    with ainb.Session(home=tmp_path, cache=None, circuit=None) as session:
        with pytest.raises(KeyboardInterrupt):
            session.map(items, half, concurrency=1)
        session.map(items, half, watcher=seen.append, concurrency=1, retry_failed=retry_failed)

    last = seen[-1]
    assert last.resumed == (10 if retry_failed else 20)
    assert (last.succeeded, last.failed, last.done) == (20, 20, 40)
