"""Tests of tampered journals: every field is checked, so a batch runs and its frame has the right types."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pandas as pd
import pytest

import ainb

ROWS = [{"n": number} for number in range(6)]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}, "t": {"type": "string"}}}
VALUES = [
    None, "", "text", "\ud800", b"bytes", 0, -1, 1, 2**63 - 1, -(2**63), 1e300, float("inf"), True, 3.5,
    [], {}, [1], {"a": 1}, {"n": "x"}, {"n": 2**70}, "ok", "error", "cancelled", [[[]]],
]  # fmt: skip
NAMES = [
    "status", "reply", "fields", "error_type", "error_message", "attempts", "cached", "cost_nano_usd",
    "input_tokens", "output_tokens", "duration_s", "http_status", "reasoning_tokens",
]  # fmt: skip
DTYPES = {"n": "Int64", "t": "string", "reply": "string", "attempts": "Int16", "input_tokens": "Int64"}


@pytest.fixture
def answered(session):
    """A journal without STRICT that has an unfinished run of six answered rows, and a function to resume
    it."""
    asked = []

    def answer(item):
        asked.append(item)
        return json.dumps({"n": item["n"], "t": "x"})

    def run():
        asked.clear()
        return session.map(ROWS, answer, schema=SCHEMA), len(asked)

    run()
    path = session.config.home_folder() / "journal.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as journal, journal:
        for name in ("runs", "rows"):
            columns = [row[1] for row in journal.execute(f"PRAGMA table_info({name})")]
            journal.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
            journal.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
            journal.execute(f"INSERT INTO {name} SELECT * FROM old_{name}")  # noqa: S608 - names of this file
            journal.execute(f"DROP TABLE old_{name}")
        journal.execute("CREATE UNIQUE INDEX rows_key ON rows (run_id, row_key)")
        journal.execute("CREATE UNIQUE INDEX runs_key ON runs (run_id)")
    return path, run


def change(path, statement, *values):
    with contextlib.closing(sqlite3.connect(path)) as journal, journal:
        journal.execute("UPDATE runs SET finished_at = NULL")
        journal.execute(statement, values)


def check(frame):
    assert {name: str(frame.dtypes[name]) for name in DTYPES} == DTYPES
    assert set(frame["status"]) <= {"ok", "error"}
    assert (frame["n"][frame["status"] == "ok"].dropna() >= 0).all()
    frame.to_parquet(path=None)


@pytest.mark.parametrize("name", NAMES)
def test_any_value_in_any_field_of_a_result(answered, name):
    path, run = answered
    with contextlib.closing(sqlite3.connect(path)) as journal:
        (whole,) = journal.execute("SELECT outcome FROM rows LIMIT 1").fetchone()
    for value in VALUES:
        if isinstance(value, bytes):
            continue
        outcome = json.loads(whole)
        outcome[NAMES.index(name)] = value
        change(path, "UPDATE rows SET outcome = ?", json.dumps(outcome))

        frame, asked = run()

        check(frame)
        assert asked in {0, len(ROWS)}


@pytest.mark.parametrize(
    "outcome",
    [None, 3, 3.5, b"", b"\xff", "", "{}", "[]", "[1]", "nul", "[" * 100_000, '["ok"]', "1e999", "\x00", '"' + "x" * 10**6],  # noqa: E501
)  # fmt: skip
def test_anything_in_place_of_a_result(answered, outcome):
    path, run = answered
    change(path, "UPDATE rows SET outcome = ?", outcome)

    frame, asked = run()

    check(frame)
    assert asked == len(ROWS)
    assert list(frame["n"]) == list(range(len(ROWS)))


@pytest.mark.parametrize(
    "column", ["run_id", "identity", "title", "model", "started_at", "finished_at", "row_count"]
)
@pytest.mark.parametrize("value", [None, "", "text", b"bytes", -1, 2**63 - 1, 1e300, float("inf"), -1e300])
def test_any_value_in_any_column_of_a_run(session, answered, column, value):
    path, run = answered
    change(path, f"UPDATE runs SET {column} = ?", value)  # noqa: S608 - a name of this file

    runs = session.runs()
    frame, _ = run()

    assert {str(runs.dtypes[name]) for name in ("rows", "done", "failed")} == {"Int64"}
    assert str(runs.dtypes["started_at"]) == "datetime64[us, UTC]"
    check(frame)
    assert list(frame["n"]) == list(range(len(ROWS)))


@pytest.mark.parametrize("column", ["run_id", "row_key", "status", "cost_nano_usd"])
@pytest.mark.parametrize("value", [None, "", "text", b"bytes", -1, 2**63 - 1, 1e300, float("inf")])
def test_any_value_in_any_column_of_a_row(session, answered, column, value):
    path, run = answered
    first = "WHERE row_key = (SELECT row_key FROM rows LIMIT 1)"
    with contextlib.suppress(sqlite3.IntegrityError):
        change(path, f"UPDATE rows SET {column} = ? {first}", value)  # noqa: S608 - a name of this file

    assert isinstance(session.runs(), pd.DataFrame)
    frame, asked = run()

    check(frame)
    assert asked <= len(ROWS)


def test_the_file_of_a_stranger_with_other_tables_is_no_reason_to_lose_the_batch(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(home / "journal.sqlite3")) as journal, journal:
        journal.execute("CREATE TABLE rows (other)")
        journal.execute("CREATE VIEW runs AS SELECT 1 AS run_id")
    with ainb.Session("scripted:echo", home=home) as session:
        assert list(session.map(["a"], "{value}")["reply"]) == ["a"]
