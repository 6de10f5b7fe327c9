"""Tests of the frames behind panels: spending, failures, models, batches."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pytest
from usage_calls import START, finished

from ainb.errors import BudgetExceededError, PermanentProviderError, TransientProviderError
from ainb.testing import FakeClock
from ainb.usage.frames import board, failures, spending
from ainb.usage.frames.batches import outcomes
from ainb.usage.windows import ALL_TIME, LAST_DAY, LAST_WEEK, TODAY, WINDOWS

DAY = 86_400


@pytest.fixture
def log(make_log):
    """Three calls of yesterday; a hit, a free call, an unpriced call and four failures of today."""
    log = make_log(clock=FakeClock(START + DAY + 100))
    tell = log.listener
    for number in range(3):
        tell(finished(number, ended_at=START + number, model=f"m{number % 2}"))
    later = START + DAY
    tell(finished(3, ended_at=later, model="m0", cost="0", cached=True, saved_usd=Decimal("0.5"), attempts=0))
    tell(finished(4, ended_at=later + 1, model="small", cost="0", free=True))
    tell(finished(5, ended_at=later + 2, model="unpriced", cost=None, attempts=3))
    tell(finished(6, ended_at=later + 3, error=TransientProviderError("slow down", status_code=429)))
    tell(finished(7, ended_at=later + 4, error=TransientProviderError("slow down again", status_code=429)))
    tell(finished(8, ended_at=later + 5, error=PermanentProviderError("bad key", status_code=401)))
    tell(finished(9, ended_at=later + 6, error=BudgetExceededError("no money"), attempts=0))
    return log


def test_what_was_spent_today_here_and_in_all(log):
    frame = spending.spent(log)

    assert list(frame.index) == ["today", "this session", "all time"]
    assert list(frame["calls"]) == [7, 10, 10]
    assert frame["cost_usd"].tolist() == pytest.approx([0.0, 0.003, 0.003])
    assert list(frame["unpriced"]) == [1, 1, 1]
    assert list(frame["ok"]) == [3, 6, 6]
    assert frame["ok_share"]["today"] == pytest.approx(3 / 7)
    assert frame["saved_usd"]["today"] == pytest.approx(0.5)


def test_a_notebook_counts_its_cells_of_all_sessions_and_the_unnamed_calls_of_this_one(make_log, tmp_path):
    path = tmp_path / "shared.sqlite3"
    earlier, log = make_log(path), make_log(path)
    mine, other = {"notebook": "mine.ipynb"}, {"notebook": "other.ipynb"}
    earlier.listener(finished(0, options=mine))
    earlier.listener(finished(1))
    log.listener(finished(2, options=mine))
    log.listener(finished(3))
    log.listener(finished(4, options=other))

    assert spending.spent(log, notebook="mine.ipynb")["calls"]["this notebook"] == 3
    assert spending.spent(log)["calls"]["this session"] == 3


def test_an_empty_log_has_spent_nothing(make_log):
    frame = spending.spent(make_log())

    assert list(frame["calls"]) == [0, 0, 0]
    assert list(frame["cost_usd"]) == [0.0, 0.0, 0.0]
    assert frame["ok_share"].isna().all()
    assert frame["saved_usd"].isna().all()


def test_models_are_named_as_typed_and_the_dearest_comes_first(log):
    frame = spending.cost_by(log, window=LAST_WEEK)

    assert frame.index.name == "model"
    assert list(frame.index[:2]) == ["openai:m0", "openai:m1"]
    assert frame["share"]["openai:m0"] == pytest.approx(2 / 3)
    assert frame["free"].to_dict()["openai:small"]
    assert not frame["free"]["openai:unpriced"]
    assert not frame["free"]["openai:m0"]
    assert pd.isna(frame["cost_usd"]["openai:unpriced"])


def test_shares_of_nothing_are_unknown(make_log):
    log = make_log()
    log.listener(finished(0, cost="0", free=True))
    log.listener(finished(1, cost=None))

    assert spending.cost_by(log, window=ALL_TIME)["share"].isna().all()


@pytest.mark.parametrize("by", spending.GROUPS)
@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.name)
def test_every_cut_of_every_window_adds_up_to_the_same(log, by, window):
    frame = spending.cost_by(log, by, window=window)
    total = spending.total(frame)
    points = spending.cumulative_cost(log, window=window)

    assert total["calls"] == (
        7 if window is TODAY else 10 if window in {LAST_WEEK, ALL_TIME} else total["calls"]
    )
    assert points["total_usd"].iloc[-1] == pytest.approx(float(total["cost_usd"]))
    assert points["unpriced"].sum() == total["unpriced"]


def test_days_stand_newest_first_and_unnamed_notebooks_in_words(log):
    days = spending.cost_by(log, "day", window=ALL_TIME)
    notebooks = spending.cost_by(log, "notebook", window=ALL_TIME)

    assert days.index.is_monotonic_decreasing
    assert len(days) == 2
    assert list(notebooks.index) == [spending.UNNAMED]


def test_money_over_time_has_no_gaps(make_log):
    log = make_log(clock=FakeClock(START + 3 * DAY))
    log.listener(finished(0, ended_at=START))
    log.listener(finished(1, ended_at=START + 3 * DAY - 1, cost=None))

    days = spending.cumulative_cost(log, window=ALL_TIME)
    hours = spending.cumulative_cost(log, window=LAST_DAY)

    assert len(days) == 4
    assert days["total_usd"].tolist() == pytest.approx([0.001] * 4)
    assert list(days["unpriced"]) == [0, 0, 0, 1]
    assert len(hours) == 1
    assert hours["total_usd"].tolist() == [0.0]


def test_only_models_that_answered_are_asked_a_price_for(log):
    assert spending.unpriced_models(log, window=ALL_TIME) == ["openai:unpriced"]


def test_kinds_have_names_that_people_know_and_say_what_to_do(log):
    frame = failures.kinds(log, window=LAST_DAY)

    assert frame["calls"].to_dict() == {"429 rate limit": 2, "401 key": 1, "budget": 1}
    assert frame.index[0] == "429 rate limit"
    assert frame["last_message"]["429 rate limit"] == "slow down again"
    assert frame["advice"].str.len().min() > 10
    assert frame["where"].isna().all()


@pytest.mark.parametrize(
    ("by", "place"), [("kind and provider", "openai"), ("kind and model", "openai:gpt-5-mini")]
)
def test_kinds_can_be_split_by_place(log, by, place):
    frame = failures.kinds(log, by, window=LAST_DAY)

    assert set(frame["where"]) == {place}
    assert frame["calls"].sum() == 4


@pytest.mark.parametrize(
    ("error_type", "status", "name"),
    [
        ("TransientProviderError", 429, "429 rate limit"),
        ("TransientProviderError", 503, "503 server fault"),
        ("TransientProviderError", None, "no answer"),
        ("PermanentProviderError", 404, "404 unknown model"),
        ("PermanentProviderError", 418, "418 other"),
        ("InvalidReplyError", 200, "reply does not match the schema"),
        ("ValueError", None, "ValueError"),
        (None, None, "other"),
    ],
)
def test_every_failure_is_described(error_type, status, name):
    shown, advice = failures.describe(error_type, status)

    assert shown == name
    assert advice


def test_failures_over_time_count_every_hour_or_day(log):
    hours = failures.over_time(log, window=LAST_DAY)
    days = failures.over_time(log, window=ALL_TIME)

    assert hours.sum().to_dict() == {"429 rate limit": 2, "401 key": 1, "budget": 1}
    assert days.shape == (1, 3)
    assert str(days.index.dtype) == "datetime64[us]"


def test_many_kinds_share_the_last_column(make_log):
    log = make_log()
    for number in range(10):
        error = type(f"Fault{number}", (Exception,), {})("broken")
        log.listener(finished(number, error=error))

    frame = failures.over_time(log, window=ALL_TIME, most=3)

    assert frame.shape[1] == 4
    assert frame["other kinds"].sum() == 7


def test_the_latest_failures_come_newest_first(log):
    frame = failures.latest(log, window=ALL_TIME, count=3)

    assert list(frame["error_message"]) == ["no money", "bad key", "slow down again"]
    assert list(frame["kind"]) == ["budget", "401 key", "429 rate limit"]


def test_calls_that_took_another_attempt_are_counted(log):
    assert failures.retried(log, window=LAST_DAY) == 1


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.name)
def test_an_empty_log_gives_empty_frames(make_log, window):
    log = make_log()

    assert len(spending.cost_by(log, window=window)) == 0
    assert len(spending.cumulative_cost(log, window=window)) == 0
    assert len(failures.kinds(log, window=window)) == 0
    assert len(failures.over_time(log, window=window)) == 0
    assert len(failures.latest(log, window=window)) == 0
    assert failures.retried(log, window=window) == 0
    assert len(board.duration_percentiles(log)) == 0
    assert board.newest_call(log) == 0


STATE = [
    {"part": "model", "name": "openai:m", "endpoint": "a#1", "circuit": "open", "probe_in_s": 12.0},
    {"part": "model", "name": "openai:m", "endpoint": "b", "circuit": "closed", "probe_in_s": None},
    {
        "part": "model",
        "name": "openai:m",
        "endpoint": "a",
        "waiting": 2,
        "in_flight": 8,
        "requests_level": 71.5,
        "requests_capacity": 83.3,
    },
    {"part": "model", "name": "local:s", "endpoint": "x", "circuit": "closed", "waiting": 0},
    {"part": "cache", "name": "cache", "hits": 3, "misses": 1},
    {
        "part": "budget",
        "name": "budget day 2026-11-23",
        "limit_usd": Decimal(5),
        "spent_usd": Decimal(1),
        "reserved_usd": Decimal(0),
        "left_usd": Decimal(4),
    },
    {
        "part": "budget",
        "name": "budget user ann",
        "limit_usd": Decimal(2),
        "spent_usd": None,
        "reserved_usd": None,
        "left_usd": None,
    },
]


def test_a_model_is_one_row_with_its_worst_circuit(make_log):
    frame = board.providers_now(make_log(), STATE)

    assert list(frame.index) == ["openai:m", "local:s"]
    assert frame["circuit"].to_dict() == {"openai:m": "open", "local:s": "closed"}
    assert frame["probe_in_s"]["openai:m"] == 12.0
    assert frame["waiting"].tolist() == [2, 0]
    assert pd.isna(frame["tokens_level"]["openai:m"])
    assert frame["p50_s"].isna().all()
    assert board.model_now(STATE, "openai:m")["in_flight"] == 8
    assert board.model_now(STATE, "openai:other") == {}


def test_speeds_are_those_of_answered_calls(log):
    frame = board.duration_percentiles(log)

    assert "openai:m0" in frame.index
    assert frame["p50_s"].dropna().tolist() == pytest.approx([0.5] * len(frame))
    assert "openai:gpt-5-mini" not in frame.index


def test_budgets_and_the_cache_are_found_among_the_rows():
    frame = board.budgets(STATE)

    assert list(frame.index) == ["day", "user ann"]
    assert frame["left_usd"]["day"] == 4.0
    assert pd.isna(frame["spent_usd"]["user ann"])
    assert board.cache_now(STATE)["hits"] == 3
    assert board.cache_now([]) == {}


def test_batches_say_how_their_rows_ended():
    runs = pd.DataFrame({"title": ["b", "a"], "done": [10, 5], "failed": [3, 0]})

    frame = outcomes(runs, count=1)

    assert frame.to_dict("index") == {"b": {"answered": 7, "failed": 3}}


def test_a_log_of_a_newer_ainb_says_so(make_log, tmp_path):
    import sqlite3

    path = tmp_path / "newer.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    (tmp_path / "broken.sqlite3").write_text("this is no database, but long enough to look like one" * 100)

    assert "a newer ainb wrote" in (make_log(path).unreadable_reason() or "")
    assert "cannot be read" in (make_log(tmp_path / "broken.sqlite3").unreadable_reason() or "")
    assert make_log(tmp_path / "none.sqlite3").unreadable_reason() is None
    assert make_log(None).unreadable_reason() is None
