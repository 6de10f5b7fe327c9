"""Tests of packed columns: columns are packed into one integer without loss, and groups stay distinct."""

from __future__ import annotations

import contextlib
import sqlite3

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usage_calls import START, finished

from ainb.testing import FakeClock
from ainb.usage.columns import COLUMNS, DEFAULT_COLUMNS
from ainb.usage.frames import calls as frames
from ainb.usage.frames.totals import costs, errors
from ainb.usage.log.packing import MOST_WORDS, pack
from ainb.usage.log.reading import open_for_reading

SMALL = [column for column in COLUMNS.values() if column.kind in {"word", "flag"}]


@settings(deadline=None, max_examples=50)
@given(
    last=st.integers(0, MOST_WORDS),
    columns=st.lists(st.sampled_from(SMALL), min_size=1, unique_by=lambda column: column.name),
    data=st.data(),
)
def test_what_is_packed_comes_out_as_it_went_in(last, columns, data):
    number = st.integers(0, last)
    row = st.tuples(*(st.booleans() if column.kind == "flag" else number for column in columns))
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE words (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO words VALUES (?)", (last,))
        connection.execute(f"CREATE TABLE calls ({', '.join(column.stored for column in columns)})")
        places = ", ".join("?" * len(columns))
        connection.executemany(f"INSERT INTO calls VALUES ({places})", rows)  # noqa: S608 - question marks

        packs = pack(connection, [COLUMNS["duration_s"], *columns])
        query = f"SELECT {', '.join(item.expression for item in packs)} FROM calls"  # noqa: S608 - names of COLUMNS
        fetched = zip(*connection.execute(query), strict=True)

    found = {}
    for item, values in zip(packs, fetched, strict=True):
        found |= item.unpack(np.array(values, dtype=np.int64))
    assert {name: list(array) for name, array in found.items()} == {
        column.name: list(values) for column, values in zip(columns, zip(*rows, strict=True), strict=True)
    }


def test_counts_of_any_size_are_in_frames(log):
    expected = frames.usage(log)
    big = {
        "input_tokens": [0, 1, 2**31 - 2, 2**31 - 1, 2**31, 2**39],
        "http_status": [32_766, 32_767],
        "rows": [2**33],
    }
    with contextlib.closing(sqlite3.connect(log._path)) as connection, connection:
        for name, numbers in big.items():
            for place, number in enumerate(numbers):
                connection.execute(f"UPDATE calls SET {name} = ? WHERE id = ?", (number, place + 1))  # noqa: S608

    found = frames.usage(log)

    for name, numbers in big.items():
        assert found[name].tolist()[: len(numbers)] == numbers
        expected[name] = found[name]
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("ended", ["in order", "in reverse", "mixed"])
@pytest.mark.parametrize("storage", ["auto", "python", "pyarrow"])
def test_frames_are_the_same_however_calls_ended_and_texts_are_kept(make_log, ended, storage):
    numbers = {
        "in order": range(30),
        "in reverse": range(29, -1, -1),
        "mixed": [n * 7 % 30 for n in range(30)],
    }
    log = make_log(clock=FakeClock(START + 100))
    for number in numbers[ended]:
        error = OSError(f"down {number}") if number % 5 == 0 else None
        log.listener(finished(number, ended_at=START + number, model=f"m{number}", error=error))

    with pd.option_context("mode.string_storage", storage):
        frame = frames.usage(log)

    assert frame["call_id"].tolist() == [f"call-{number}" for number in range(30)]
    assert frame["request_model"].tolist() == [f"m{number}" for number in range(30)]
    assert frame["error_message"].isna().tolist() == [number % 5 != 0 for number in range(30)]
    assert frame["error_message"].dropna().tolist() == [f"down {number}" for number in range(0, 30, 5)]
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        name: COLUMNS[name].dtype for name in DEFAULT_COLUMNS
    }


@pytest.mark.parametrize("saved", [None, -(10**12), -1, 0, 1, 10**12])
def test_what_a_cache_of_a_provider_saved_may_be_below_zero(log, saved):
    log.flush()
    with contextlib.closing(sqlite3.connect(log._path)) as connection, connection:
        connection.execute("UPDATE calls SET provider_saved_nano = ? WHERE id = 3", (saved,))

    found = frames.usage(log)["provider_saved_usd"]

    assert found.isna().sum() == 40 - (saved is not None)
    assert found.dropna().tolist() == ([] if saved is None else [saved / 1e9])


@pytest.fixture
def log(make_log):
    log = make_log(clock=FakeClock(START + 100))
    for number in range(40):
        error = OSError("down") if number % 5 == 0 else None
        options = {"user": f"u{number % 4}"}
        log.listener(
            finished(number, ended_at=START + number, model=f"m{number % 3}", error=error, options=options)
        )
    return log


def test_groups_by_packed_and_by_other_columns_are_those_of_pandas(log):
    by = ["user", "http_status", "request_model", "cache_hit", "attempts", "day"]

    found = costs(log, by)["calls"].tolist()

    table = frames.usage(log).assign(day=lambda frame: frame["started_at"].dt.date)
    expected = table.groupby(by, dropna=False, observed=True).size().sort_index()
    assert sorted(found) == sorted(expected)
    assert len(found) == 12
    assert errors(log, ["user", "request_model"])["calls"].sum() == 8


def test_a_column_that_is_named_twice_is_there_once(log):
    assert list(frames.usage(log, columns=["user", "call_id", "user"])) == ["user", "call_id"]


def test_all_queries_of_a_report_see_the_log_of_one_moment(log, tmp_path):
    log.flush()
    path = log._path
    with contextlib.closing(open_for_reading(path, [])) as reading:
        before = reading.execute("SELECT max(id) FROM words").fetchone()
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("INSERT INTO words (word) VALUES ('a new one')")
            other.commit()

        assert reading.execute("SELECT max(id) FROM words").fetchone() == before
