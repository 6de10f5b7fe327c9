"""Rollups: daily sums, updated in the transaction that adds the calls, so that they always equal a scan."""

from __future__ import annotations

import sqlite3

KEYS = (
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

_KEYS_SQL = ", ".join(KEYS)
_ADD = f"""
INSERT INTO rollups ({_KEYS_SQL}, calls, unpriced, {", ".join(_SUMS)})
SELECT {_KEYS_SQL}, count(*), sum(cost_nano IS NULL), {", ".join(f"sum({name})" for name in _SUMS)}
FROM calls WHERE {{which}} GROUP BY {_KEYS_SQL}
ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, unpriced = unpriced + excluded.unpriced,
{", ".join(f"{name} = coalesce({name} + excluded.{name}, {name}, excluded.{name})" for name in _SUMS)}
"""  # noqa: S608 - made of the names above
ADD_NEW = _ADD.format(which="id > ?")
_ADD_DAYS = _ADD.format(which="started_us < ? AND day IN (SELECT day FROM pruned_days)")

# SQL of the sums over each table; without any calls they are 0, not NULL.
FROM_ROLLUPS = {
    "calls": "ifnull(sum(calls), 0)",
    "unpriced": "ifnull(sum(unpriced), 0)",
    **{name: f"CASE WHEN sum(calls) > 0 THEN sum({name}) ELSE 0 END" for name in _SUMS},
}
FROM_CALLS = {
    "calls": "count(*)",
    "unpriced": "ifnull(sum(cost_nano IS NULL), 0)",
    **{name: f"CASE WHEN count(*) > 0 THEN sum({name}) ELSE 0 END" for name in _SUMS},
}


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
    connection.execute("BEGIN IMMEDIATE")
    try:
        deleted = _mark(connection, oldest_us=oldest_us, max_rows=max_rows, limit=limit)
        if deleted:
            _delete_marked(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
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
    connection.execute("DELETE FROM rollups WHERE day IN (SELECT day FROM pruned_days)")
    last_day = connection.execute("SELECT max(day) FROM pruned_days").fetchone()[0]
    # A local day ends at most 14 hours from the UTC day, so calls more than two days later need no scan.
    connection.execute(_ADD_DAYS, ((last_day + 2) * _DAY_US,))
