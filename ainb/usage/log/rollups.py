"""Rollups: daily sums, updated in the transaction that adds the calls, so that they always equal a scan."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from ainb.stores.sqlite import transaction

_KEYS = (
    "day",
    "operation_name",
    "provider_name",
    "request_model",
    "response_model",
    "status",
    "error_type",
    "cost_source",
    "cache_hit",
    "coalesced",
    "stale",
    "replayed",
    "notebook",
    "session_id",
)
# A table of its own: with the user, the first table would grow by the number of users in a session. Status,
# cost source and flags distinguish billed calls from free ones.
_USER_KEYS = (
    "day",
    "user",
    "provider_name",
    "request_model",
    "status",
    "cost_source",
    "cache_hit",
    "coalesced",
    "replayed",
)
# Tables of daily sums, and the columns by which each is grouped.
TABLES: Mapping[str, tuple[str, ...]] = {"rollups": _KEYS, "user_rollups": _USER_KEYS}
_SUMS = (
    "input_tokens",
    "output_tokens",
    "cost_nano",
    "saved_nano",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "provider_saved_nano",
    "reasoning_output_tokens",
)
_DAY_US = 86_400_000_000


def _add(table: str, which: str) -> str:
    keys = ", ".join(TABLES[table])
    return f"""
INSERT INTO {table} ({keys}, calls, unpriced, {", ".join(_SUMS)})
SELECT {keys}, count(*), sum(cost_nano IS NULL), {", ".join(f"sum({name})" for name in _SUMS)}
FROM calls WHERE {which} GROUP BY {keys}
ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, unpriced = unpriced + excluded.unpriced,
{", ".join(f"{name} = coalesce({name} + excluded.{name}, {name}, excluded.{name})" for name in _SUMS)}
"""  # noqa: S608 - made of the names above


_ADD_NEW = tuple(_add(table, "id > ?") for table in TABLES)
_ADD_DAYS = tuple(_add(table, "started_us < ? AND day IN (SELECT day FROM pruned_days)") for table in TABLES)

# SQL of the sums over each table; without any calls they are 0, not NULL.
FROM_SUMS = {
    "calls": "ifnull(sum(calls), 0)",
    "unpriced": "ifnull(sum(unpriced), 0)",
    **{name: f"CASE WHEN sum(calls) > 0 THEN sum({name}) ELSE 0 END" for name in _SUMS},
}
FROM_CALLS = {
    "calls": "count(*)",
    "unpriced": "ifnull(sum(cost_nano IS NULL), 0)",
    **{name: f"CASE WHEN count(*) > 0 THEN sum({name}) ELSE 0 END" for name in _SUMS},
}


def add_new(connection: sqlite3.Connection, last_id: int) -> None:
    """Add the calls with a higher id than `last_id` to the sums."""
    for statement in _ADD_NEW:
        connection.execute(statement, (last_id,))


def table_of_sums(columns: Iterable[str]) -> str | None:
    """The first table of daily sums that has all of these columns; None when only the calls have them."""
    wanted = set(columns)
    return next((table for table, keys in TABLES.items() if wanted <= set(keys)), None)


def prune(connection: sqlite3.Connection, *, oldest_us: int | None, max_rows: int | None, limit: int) -> int:
    """Delete the oldest calls and subtract them from the sums, in one transaction.

    Args:
        connection: An open log.
        oldest_us: Calls that started before this time, in microseconds since 1970, are deleted; None keeps
            any age.
        max_rows: Calls beyond this number are deleted, first added first; None keeps any number.
        limit: Most calls to delete at once, so that other writers do not wait long.

    Returns:
        Number of deleted calls.
    """
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS pruned (id INTEGER PRIMARY KEY)")
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS pruned_days (day INTEGER PRIMARY KEY)")
    with transaction(connection):
        deleted = _mark(connection, oldest_us=oldest_us, max_rows=max_rows, limit=limit)
        if deleted:
            _delete_marked(connection)
    return deleted


def _mark(connection: sqlite3.Connection, *, oldest_us: int | None, max_rows: int | None, limit: int) -> int:
    connection.execute("DELETE FROM pruned")
    if oldest_us is not None:
        connection.execute(
            "INSERT INTO pruned SELECT id FROM calls WHERE started_us < ? LIMIT ?", (oldest_us, limit)
        )
    first, last = connection.execute(
        "SELECT (SELECT min(id) FROM calls), (SELECT max(id) FROM calls)"
    ).fetchone()
    # Ids increase, so their range bounds the number of rows, and counting is rarely needed.
    if max_rows is not None and first is not None and last - first + 1 > max_rows:
        surplus = connection.execute("SELECT count(*) FROM calls").fetchone()[0] - max_rows
        connection.execute(
            "INSERT OR IGNORE INTO pruned SELECT id FROM calls ORDER BY id LIMIT ?",
            (max(0, min(surplus, limit)),),
        )
    return int(connection.execute("SELECT count(*) FROM pruned").fetchone()[0])


def _delete_marked(connection: sqlite3.Connection) -> None:
    marked = "id IN (SELECT id FROM pruned)"
    connection.execute("DELETE FROM pruned_days")
    connection.execute(f"INSERT INTO pruned_days SELECT DISTINCT day FROM calls WHERE {marked}")  # noqa: S608 - fixed text
    connection.execute(f"DELETE FROM calls WHERE {marked}")  # noqa: S608 - fixed text
    last_day = connection.execute("SELECT max(day) FROM pruned_days").fetchone()[0]
    for table, add_days in zip(TABLES, _ADD_DAYS, strict=True):
        connection.execute(f"DELETE FROM {table} WHERE day IN (SELECT day FROM pruned_days)")  # noqa: S608 - fixed text
        # A local day ends at most 14 hours from the UTC day, so calls more than two days later need no scan.
        connection.execute(add_days, ((last_day + 2) * _DAY_US,))
