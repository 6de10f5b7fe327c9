"""Tests of tampered usage logs: calls are logged, and reports are frames of the right types."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

import pytest

import ainb
from ainb.usage.columns import STORED

VALUES = [
    None, "", "text", "3", b"bytes", -1, -(2**63), 2**63 - 1, 2**40, 99, 1e300, -2.5, float("inf"),
]  # fmt: skip
COLUMNS = ["day", *(column.stored for column in STORED)]
DTYPES = {
    "input_tokens": "Int64",
    "cost_usd": "Float64",
    "attempts": "Int16",
    "cache_hit": "bool",
    "status": "category",
}
SUMS = ("day", "status", "calls", "cost_nano", "unpriced", "notebook")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """A home with a few calls of several kinds, whose tables have no types and constraints."""
    home = tmp_path_factory.mktemp("pristine")
    with ainb.Session("scripted:echo", home=home, cache=None) as session:
        session.map([f"row {number}" for number in range(20)], "{value}")
        session.record(prompt="p", reply="r", model="gpt-4o", user="ann", tags={"a": "b"})
        session.record(prompt="p", model="gpt-4o", error=ValueError("no"))
    with contextlib.closing(sqlite3.connect(home / "usage.sqlite3")) as db, db:
        for name in ("calls", "words", "rollups"):
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({name})")]
            db.execute(f"CREATE TABLE new_{name} ({', '.join(columns)})")
            db.execute(f"INSERT INTO new_{name} SELECT * FROM {name}")  # noqa: S608 - names of this file
            db.execute(f"DROP TABLE {name}")
            db.execute(f"ALTER TABLE new_{name} RENAME TO {name}")
        db.execute("CREATE UNIQUE INDEX word ON words (word)")
        db.execute("CREATE INDEX calls_failed ON calls (started_us) WHERE error_type > 0")
    return home


def check(home):
    with ainb.Session("scripted:echo", home=home, cache=None) as session:
        assert session.ask("after").text == "after"
        assert list(session.map(["a", "b"], "{value}")["reply"]) == ["a", "b"]
        reports = [
            session.usage,
            session.costs,
            lambda: session.costs(by=["request_model", "status"]),
            lambda: session.costs(by=["day", "user"]),
            session.errors,
            lambda: session.errors(by="error_type"),
            session.summary,
            lambda: session.usage(columns=[column.name for column in STORED]),
        ]
        for report in reports:
            frame = report()
            found = {name: str(frame.dtypes[name]) for name in DTYPES.keys() & set(frame.columns)}
            assert found == {name: DTYPES[name] for name in found}
            frame.to_string()
        assert session.status() is not None


def change(home, statement, values):
    with (
        contextlib.closing(sqlite3.connect(home / "usage.sqlite3")) as db,
        contextlib.suppress(sqlite3.IntegrityError),
        db,
    ):
        db.executemany(statement, values)


@pytest.mark.parametrize("column", COLUMNS)
def test_values_of_any_kind_in_any_column_of_calls(tmp_path, pristine, column):
    home = shutil.copytree(pristine, tmp_path / "home")
    values = [(value, place + 2) for place, value in enumerate(VALUES)]
    change(home, f"UPDATE calls SET {column} = ? WHERE rowid = ?", values)  # noqa: S608 - a name of this file
    check(home)


@pytest.mark.slow
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", VALUES)
def test_any_value_in_any_column_of_a_call(tmp_path, pristine, column, value):
    home = shutil.copytree(pristine, tmp_path / "home")
    change(home, f"UPDATE calls SET {column} = ? WHERE rowid IN (2, 5)", [(value,)])  # noqa: S608 - as above
    check(home)


@pytest.mark.parametrize(
    ("table", "column"), [("words", "id"), ("words", "word"), *(("rollups", name) for name in SUMS)]
)
@pytest.mark.parametrize("value", [None, "text", b"bytes", -1, 2**30, 2**63 - 1, 1e300])
def test_any_value_in_words_and_sums(tmp_path, pristine, table, column, value):
    home = shutil.copytree(pristine, tmp_path / "home")
    change(home, f"UPDATE {table} SET {column} = ? WHERE rowid = 3", [(value,)])  # noqa: S608 - as above
    check(home)
