"""Tests of the frames of calls, costs, errors and summaries."""

from __future__ import annotations

import datetime as dt
import io
import time
from decimal import Decimal

import pandas as pd
import pytest
from usage_calls import START, finished

from ainb.errors import BudgetExceededError, ConfigError, PermanentProviderError, TransientProviderError
from ainb.testing import FakeClock
from ainb.usage.columns import COLUMNS, DEFAULT_COLUMNS
from ainb.usage.frames import calls as frames
from ainb.usage.frames.summary import summary
from ainb.usage.frames.totals import costs, errors, money
from ainb.usage.log import store
from ainb.usage.log.log import Log


@pytest.fixture
def utc_plus_14(monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    store._day_of_slice.cache_clear()
    yield
    monkeypatch.undo()
    time.tzset()
    store._day_of_slice.cache_clear()


@pytest.fixture
def log(make_log):
    """Ten calls on two days, the last of which is today: seven paid, a hit, a failure, a refusal."""
    log = make_log(clock=FakeClock(START + 86_400 + 100))
    for number in range(6):
        log.listener(finished(number, ended_at=START + number, model=f"m{number % 2}"))
    later = START + 86_400
    log.listener(finished(6, ended_at=later, model="m1", cost=None))
    log.listener(
        finished(
            7, ended_at=later + 1, model="m1", cost="0", cached=True, saved_usd=Decimal("0.5"), attempts=0
        )
    )
    log.listener(
        finished(8, ended_at=later + 2, error=TransientProviderError("down", status_code=503, billed=True))
    )
    log.listener(finished(9, ended_at=later + 3, error=BudgetExceededError("no money"), attempts=0))
    return log


def test_the_frame_of_all_calls_has_the_promised_columns_and_dtypes(log):
    frame = frames.usage(log)

    assert frame.shape == (10, len(DEFAULT_COLUMNS))
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        name: COLUMNS[name].dtype for name in DEFAULT_COLUMNS
    }
    assert list(frame["call_id"]) == [f"call-{number}" for number in range(10)]
    assert frame["input_tokens"].isna().sum() == 2
    assert frame["cost_usd"].isna().sum() == 2
    assert frame.loc[7, "saved_usd"] == 0.5
    assert frame.loc[8, "http_status"] == 503
    assert frame["finish_reason"].isna().all()
    assert frame["started_at"].iloc[0] == pd.Timestamp(START - 0.5, unit="s", tz="UTC")


def dtypes(frame):
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def test_an_empty_log_gives_empty_frames_of_the_same_dtypes(make_log, log):
    empty = make_log(None)

    assert dtypes(frames.usage(empty)) == dtypes(frames.usage(log))
    for by in (None, "request_model", ["day", "status"]):
        assert dtypes(costs(empty, by)) == dtypes(costs(log, by))
        assert dtypes(errors(empty, by)) == dtypes(errors(log, by))
    assert costs(empty).iloc[0].tolist() == [0, 0, 0, 0.0, 0, 0.0, 0, 0, 0.0, 0]
    assert costs(empty, prompt_sha256="none").iloc[0].tolist() == [0, 0, 0, 0.0, 0, 0.0, 0, 0, 0.0, 0]
    assert summary(empty).loc["calls", "value"] == 0
    assert summary(empty).loc[["success_rate", "duration_p50_s"], "value"].isna().all()


def test_frames_survive_parquet_and_csv(log):
    frame = frames.usage(log)

    pd.testing.assert_frame_equal(
        pd.read_parquet(io.BytesIO(frame.to_parquet())), frame, check_categorical=False
    )
    back = pd.read_csv(
        io.StringIO(frame.to_csv(index=False)),
        dtype={name: dtype for name, dtype in frame.dtypes.items() if name != "started_at"},
        parse_dates=["started_at"],
    )
    back["started_at"] = back["started_at"].astype(frame["started_at"].dtype)
    pd.testing.assert_frame_equal(back, frame, check_categorical=False)


def test_columns_are_those_asked_for_in_their_order(log):
    assert list(frames.usage(log, columns=["status", "call_id"])) == ["status", "call_id"]
    assert frames.usage(log, columns=[]).shape == (10, 0)
    with pytest.raises(
        ConfigError, match="columns names no column of the log: 'modle'; columns are: call_id"
    ):
        frames.usage(log, columns=["modle"])


def test_calls_that_ended_out_of_order_are_shown_oldest_first(make_log):
    log = make_log()
    for number in (3, 1, 2):
        log.listener(finished(number, ended_at=START + number))

    assert list(frames.usage(log)["call_id"]) == ["call-1", "call-2", "call-3"]


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ({"status": "ok"}, 8),
        ({"status": ["error", "rejected"]}, 2),
        ({"http_status": 503}, 1),
        ({"http_status": None}, 9),
        ({"error_type": None}, 8),
        ({"error_type": [None, "BudgetExceededError"]}, 9),
        ({"cache_hit": True}, 1),
        ({"call_id": ["call-1", "call-2"]}, 2),
        ({"cost_usd": 0.001, "request_model": "m0"}, 3),
        ({"request_model": "nobody"}, 0),
        ({"status": []}, 0),
    ],
)
def test_rows_are_kept_by_value_list_of_values_or_unknown(log, where, kept):
    assert len(frames.usage(log, **where)) == kept


@pytest.mark.parametrize(
    ("since", "kept"),
    [
        ("2m", 4),
        ("7d", 10),
        (dt.timedelta(seconds=99), 2),
        (dt.datetime.fromtimestamp(START + 4, dt.UTC), 5),
        (dt.datetime.fromtimestamp(START + 4), 5),  # noqa: DTZ006 - a naive time is a local one
        (dt.datetime.fromtimestamp(START + 4, dt.UTC).isoformat(), 5),
        ("99999999999w", 10),
        ("2100-01-01", 0),
        (
            dt.datetime(1, 1, 1),  # noqa: DTZ001 - naive on purpose
            10,
        ),
        (
            dt.datetime(9999, 12, 31, 23),  # noqa: DTZ001 - naive on purpose
            0,
        ),
    ],
)
def test_since_takes_moments_spans_and_texts(log, since, kept):
    assert len(frames.usage(log, since=since)) == kept
    assert costs(log, since=since)["calls"].sum() == kept


@pytest.mark.parametrize("since", ["yesterday", "5 parsecs", 12])
def test_a_since_that_makes_no_sense_is_refused(log, since):
    with pytest.raises(ConfigError, match=r"^since takes a datetime"):
        frames.usage(log, since=since)


def test_costs_are_summed_by_model_and_day(log):
    frame = costs(log, ["request_model", "day"])

    assert list(frame) == [
        "calls", "input_tokens", "output_tokens", "cost_usd", "unpriced", "saved_usd",
        "cache_read_input_tokens", "cache_creation_input_tokens", "provider_saved_usd",
        "reasoning_output_tokens",
    ]  # fmt: skip
    assert frame.index.names == ["request_model", "day"]
    assert frame["calls"].sum() == 10
    assert frame.loc["m0", "cost_usd"].tolist() == [0.003]
    assert frame["unpriced"].sum() == 2
    assert frame.loc["m1", "saved_usd"].isna().tolist() == [True, False]
    assert costs(log, by="session_id").index.tolist() == [log.session_id]


def test_money_of_unpriced_calls_is_na_not_zero(log):
    frame = costs(log, "cost_source")

    assert frame["cost_usd"].isna().to_dict() == {"free": False, "table": False, "unpriced": True}


@pytest.mark.parametrize(
    "by",
    [
        "request_model",
        ["day", "status"],
        ["session_id", "cache_hit", "notebook"],
        [],
        "user",
        ["user", "day"],
        ["user", "request_model", "status", "cost_source", "coalesced", "replayed"],
    ],
)
@pytest.mark.parametrize("where", [{}, {"status": "ok"}, {"provider_name": ["openai"]}])
def test_daily_sums_and_a_scan_of_the_calls_agree(log, by, where, monkeypatch):
    quick = costs(log, by, **where)
    monkeypatch.setattr("ainb.usage.log.rollups.TABLES", {})

    pd.testing.assert_frame_equal(quick, costs(log, by, **where))


def test_since_a_local_midnight_is_answered_from_the_daily_sums(log, utc_plus_14, make_log, tmp_path):
    far = make_log(tmp_path / "far.sqlite3", clock=FakeClock(START + 86_400))
    # 11:00 and 09:00 UTC on one date are two local days at UTC+14.
    for number, hour in enumerate((9, 11)):
        far.listener(finished(number, ended_at=dt.datetime(2023, 11, 14, hour, tzinfo=dt.UTC).timestamp()))

    assert costs(far, "day").index.tolist() == [pd.Timestamp("2023-11-14"), pd.Timestamp("2023-11-15")]
    assert costs(far, "day", since=dt.date(2023, 11, 15))["calls"].tolist() == [1]
    assert costs(far, ["day", "prompt_sha256"], since=dt.date(2023, 11, 15))["calls"].tolist() == [1]


def test_an_unknown_by_is_refused_with_the_columns_there_are(log):
    with pytest.raises(
        ConfigError, match="by names no column of the log: 'modell'; columns are: day"
    ) as caught:
        costs(log, ["modell"])
    assert isinstance(caught.value, ValueError)
    with pytest.raises(ConfigError, match="the filter names no column"):
        costs(log, nmae="x")


def test_errors_are_a_row_a_failed_call_or_grouped(log):
    log.listener(finished(10, error=PermanentProviderError("bad key", status_code=401)))
    log.listener(
        finished(11, error=PermanentProviderError("bad key again", status_code=401), ended_at=START + 90_000)
    )
    log.listener(finished(12, error=KeyboardInterrupt()))

    assert set(errors(log)["call_id"]) == {"call-8", "call-9", "call-10", "call-11"}
    grouped = errors(log, by=["error_type", "http_status"])
    assert grouped["calls"].tolist() == [2, 1, 1]
    assert grouped["last_message"].iloc[0] == "bad key again"
    assert str(grouped["last_at"].dtype) == "datetime64[us, UTC]"
    assert len(errors(log, status="rejected")) == 1
    assert len(errors(log, since="2m")) == 3


def test_the_summary_counts_rates_durations_money_and_errors(log):
    frame = summary(log, days=7)
    value = frame["value"]

    assert value[["calls", "ok", "error", "rejected", "cancelled"]].tolist() == [10, 8, 1, 1, 0]
    assert value["success_rate"] == pytest.approx(0.8)
    assert (value["duration_p50_s"], value["duration_p95_s"]) == (0.5, 0.5)
    assert value["cost_usd"] == pytest.approx(0.006)
    assert (value["unpriced"], value["saved_usd"]) == (2, 0.5)
    assert (value["active_days"], value["calls_per_day"]) == (2, 5)
    assert value["input_tokens_per_call"] == pytest.approx(8)
    assert frame.loc["cost_usd_per_day", "unit"] == "USD"
    assert list(frame.index[-2:]) == ["error: BudgetExceededError", "error: TransientProviderError 503"]
    assert summary(log, hours=1).loc["calls", "value"] == 4
    assert summary(log, hours=1, request_model="m1").loc["calls", "value"] == 2


@pytest.mark.parametrize(
    "span", [{"hours": 0}, {"days": -1}, {"hours": 1, "days": 1}, {"days": float("nan")}]
)
def test_a_span_that_makes_no_sense_is_refused(log, span):
    with pytest.raises(ConfigError, match=r"^summary takes"):
        summary(log, **span)


def test_prompts_and_replies_are_columns_when_the_log_keeps_them(make_log):
    log = make_log(options=Log(content=True))
    log.listener(finished(prompt="what?"))

    assert "prompt" not in frames.usage(log)
    assert frames.usage(log, columns=["prompt", "reply"]).to_numpy().tolist() == [["user: what?", "hi"]]


@pytest.mark.parametrize(
    ("total", "unpriced", "text"),
    [
        (Decimal("1.234"), 0, "$1.23"),
        (Decimal("1.234"), 4, ">= $1.23 (4 calls unpriced)"),
        (0.0042, 1, ">= $0.0042 (1 call unpriced)"),
        (0.00000123, 0, "$0.0000012"),
        (0, 0, "$0.00"),
        (12345.6, 0, "$12,345.60"),
        (pd.NA, 3, "unknown (3 calls unpriced)"),
        (None, 0, "unknown"),
        (0.5, 0, "$0.50"),
    ],
)
def test_a_sum_of_money_says_what_it_leaves_out(total, unpriced, text):
    assert money(total, unpriced) == text


@pytest.mark.parametrize("named", [{"hours": "x"}, {"days": "2"}])
def test_a_summary_of_no_number_of_hours_is_refused(log, named):
    with pytest.raises(ConfigError, match="takes a number above 0; it is '"):
        summary(log, **named)
