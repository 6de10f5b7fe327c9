"""Columns packed into one integer come out as they went in, and tell groups apart as the columns do."""

from __future__ import annotations

import contextlib
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usage_calls import START, finished

from ainb.testing import FakeClock
from ainb.usage.columns import COLUMNS
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
