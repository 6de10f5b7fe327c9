"""Many rows in few statements.

SQLite gives the interpreter's lock up for every statement that it steps through and must win it back each time; beside a busy
event loop that is up to 5 ms a row (`sys.getswitchinterval`), and ``executemany`` steps once a row. A statement of many rows
steps once for all of them, and the event loop runs on meanwhile.
"""

from __future__ import annotations

import functools
import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

# Few sizes, so that the connection keeps their prepared statements; powers of two, so that any number takes few statements.
SIZES = (128, 64, 32, 16, 8, 4, 2, 1)


def insert_rows(
    connection: sqlite3.Connection, head: str, rows: Sequence[Sequence[Any]], *, tail: str = ""
) -> None:
    """Insert rows of one width; inside a transaction of the caller's.

    Args:
        connection: Where to.
        head: The statement up to VALUES: ``INSERT INTO table (column, …)``.
        rows: A value for each column.
        tail: What follows the values, such as ON CONFLICT.

    Raises:
        sqlite3.Error: A row or the file does not allow it; rows before it may stand in the transaction.
    """
    if not rows:
        return
    width = len(rows[0])
    most = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // width
    left: Iterable[Sequence[Any]] = iter(rows)
    count = len(rows)
    for size in SIZES:
        if size > most:
            continue
        statement = _statement(head, width, size, tail)
        while count >= size:
            values = list(itertools.chain.from_iterable(itertools.islice(left, size)))
            connection.execute(statement, values)
            count -= size


def insert_few(connection: sqlite3.Connection, head: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert up to 128 rows of at most 8 values in one statement: a transaction by itself, without BEGIN and COMMIT.

    Args:
        connection: Where to; in no transaction.
        head: As for `insert_rows`.
        rows: At least one.

    Raises:
        sqlite3.Error: Nothing was inserted.
    """
    values = list(itertools.chain.from_iterable(rows))
    connection.execute(_statement(head, len(rows[0]), len(rows), ""), values)


@functools.lru_cache(maxsize=256)
def _statement(head: str, width: int, size: int, tail: str) -> str:
    row = f"({', '.join('?' * width)})"
    return f"{head} VALUES {', '.join([row] * size)} {tail}"
