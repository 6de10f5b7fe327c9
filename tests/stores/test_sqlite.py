"""Tests of bulk inserts into SQLite: order, batch sizes, transactions."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from ainb.stores.sqlite import SIZES, insert_few, insert_rows


@pytest.fixture
def connection():
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        opened.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
        yield opened


@pytest.mark.parametrize("count", [0, 1, SIZES[1] - 1, SIZES[1], SIZES[0] + SIZES[1] + 3, 3 * SIZES[0]])
def test_every_row_is_there_in_order(connection, count):
    rows = [(number, f"row {number}") for number in range(count)]
    insert_rows(connection, "INSERT INTO t (a, b)", rows)
    assert connection.execute("SELECT a, b FROM t ORDER BY rowid").fetchall() == rows


def test_a_library_that_takes_few_values_gets_them_in_smaller_pieces(connection):
    connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 40)
    insert_rows(connection, "INSERT INTO t (a, b)", [(number, "x") for number in range(300)])
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (300,)


def test_what_follows_the_values_counts(connection):
    for text in ("old", "new"):
        insert_rows(
            connection,
            "INSERT INTO t (a, b)",
            [(number, text) for number in range(20)],
            tail="ON CONFLICT (a) DO UPDATE SET b = excluded.b",
        )
    assert connection.execute("SELECT DISTINCT b, count(*) FROM t").fetchall() == [("new", 20)]


def test_a_few_rows_go_in_by_one_statement_that_is_committed_by_itself(connection):
    seen = []
    connection.set_trace_callback(seen.append)
    insert_few(connection, "INSERT INTO t (a, b)", [(number, "x") for number in range(37)])
    connection.set_trace_callback(None)
    assert len(seen) == 1
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (37,)


def test_of_a_few_rows_none_is_kept_when_one_is_refused(connection):
    with pytest.raises(sqlite3.IntegrityError):
        insert_few(connection, "INSERT INTO t (a, b)", [(1, "x"), (2, "x"), (1, "again")])
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
