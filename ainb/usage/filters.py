"""Conversion of `since` and column filters into SQL conditions."""

from __future__ import annotations

import datetime as dt
import math
import re
import sqlite3
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from ainb.errors import ConfigError
from ainb.redaction import encodable
from ainb.usage.columns import COLUMNS, MICRO, NANO, Column, check_names

Since = dt.datetime | dt.date | dt.timedelta | str | None
Where = Mapping[str, Any]
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_EARLIEST_US, _LATEST_US = -2_208_988_800 * MICRO, 221_845_392_000 * MICRO  # the years 1900 and 9000
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def read_since(since: Since, now: float) -> int | None:
    """Convert `since` to microseconds since 1970 UTC, or None.

    Args:
        since: A datetime (naive means local time), a date (its local midnight), a timedelta back from now, or
            a text: "90m", "24h", "7d", "2w" back from now, or an ISO date or time.
        now: Seconds since 1970.

    Raises:
        ConfigError: The value is none of these.
    """
    if since is None:
        return None
    if isinstance(since, str):
        ago = _AGO.fullmatch(since.strip())
        since = _ago(float(ago[1]) * _UNIT_SECONDS[ago[2]]) if ago else _iso(since)
    if not isinstance(since, dt.datetime) and isinstance(since, dt.date):
        since = dt.datetime.combine(since, dt.time())
    if isinstance(since, dt.timedelta):
        seconds = now - since.total_seconds()
    elif isinstance(since, dt.datetime):
        seconds = _timestamp(since)
    else:
        raise _refusal(since)
    return max(_EARLIEST_US, min(_LATEST_US, round(seconds * MICRO)))


def _refusal(since: object) -> ConfigError:
    return ConfigError(
        f"since takes a datetime, a timedelta or a text such as '24h' or '7d'; it is {since!r}"
    )


def _timestamp(moment: dt.datetime) -> float:
    try:
        return moment.timestamp()
    except (ValueError, OverflowError):  # the years 1 and 9999, where local time can be outside the calendar
        return math.copysign(_LATEST_US / MICRO, moment.year - 1970)


def _ago(seconds: float) -> dt.timedelta:
    try:
        return dt.timedelta(seconds=seconds)
    except OverflowError:
        return dt.timedelta.max


def _iso(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise _refusal(text) from None


def sql_condition(
    connection: sqlite3.Connection, *, since: Since, where: Where, now: float
) -> tuple[str, list[Any]]:
    """Build an SQL condition on the calls, and its bound values.

    Raises:
        ConfigError: A name is not a column, or `since` is not valid.
    """
    start = read_since(since, now)
    conditions, values = (["started_us >= ?"], [start]) if start is not None else (["TRUE"], [])
    check_names("the filter", where, COLUMNS)
    for name, wanted in where.items():
        column = COLUMNS[name]
        listed = isinstance(wanted, Iterable) and not isinstance(wanted, str | bytes)
        condition, bound = _one_of(connection, column, list(wanted) if listed else [wanted])
        conditions.append(condition)
        values += bound
    return " AND ".join(conditions), values


def _one_of(connection: sqlite3.Connection, column: Column, wanted: list[Any]) -> tuple[str, list[Any]]:
    known = [_stored(connection, column, value) for value in wanted if value is not None]
    condition = f"{column.stored} IN ({', '.join('?' * len(known))})"
    if len(known) < len(wanted):
        unknown = f"{column.stored} = 0" if column.kind == "word" else f"{column.stored} IS NULL"
        condition = f"({condition} OR {unknown})"
    return condition, known


def _stored(connection: sqlite3.Connection, column: Column, value: Any) -> Any:
    if column.kind == "word":
        found = connection.execute(
            "SELECT id FROM words WHERE word = ? AND id > 0", (encodable(str(value)),)
        ).fetchone()
        return found[0] if found else -1
    if column.kind == "time":
        return read_since(value, 0.0)
    if column.kind == "text":
        return encodable(str(value))
    unit = {"money": NANO, "seconds": MICRO}.get(column.kind, 1)
    return round(Decimal(str(float(value) if unit > 1 else int(value))) * unit)
