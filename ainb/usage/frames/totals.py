"""Totals of the log, computed by SQLite: cost and failures, grouped by any columns."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from ainb.plain import counted
from ainb.usage import log as usage_log
from ainb.usage.columns import COLUMNS, LABEL_COLUMNS, MICRO, NANO, check_names
from ainb.usage.filters import Since, Where, read_since, sql_condition
from ainb.usage.frames.calls import day_index, failures, local_midnight_us, masked
from ainb.usage.frames.fetching import TEXT_DTYPE, fetch_columns
from ainb.usage.log import checked, pack

if TYPE_CHECKING:
    from ainb.usage.log import UsageLog

    Array = np.ndarray[Any, np.dtype[Any]]

# Columns of `costs`: numbers of calls, and sums of the log's columns.
SUMS = (
    "calls",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "unpriced",
    "saved_usd",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "provider_saved_usd",
    "reasoning_output_tokens",
)


@checked
def costs(
    log: UsageLog, /, by: str | Sequence[str] | None = None, *, since: Since = None, **where: Any
) -> pd.DataFrame:
    """Sum tokens and money of finished calls.

    Args:
        log: The usage log.
        by: Columns to group by; "day" is the local date of `started_at`. None sums all calls into one row.
        since: Calls that started at this moment or later, as for `usage`; None means all.
        where: Column to value or list of values, as for `usage`.

    Returns:
        Frame of shape (n_groups, 10) indexed by `by`, sorted: `calls` Int64, `input_tokens` and
        `output_tokens` Int64 (NA when unknown for every call), `cost_usd` Float64 in US dollars (NA when
        every call is unpriced), `unpriced` Int64, `saved_usd` Float64 (cost avoided by hits of ainb's cache;
        NA when unknown for every call), `cache_read_input_tokens` and `cache_creation_input_tokens`
        Int64 (input that providers read from and wrote to their own prompt caches; NA when unknown),
        `provider_saved_usd` Float64 (savings of these reads, less the extra cost of the writes; NA when
        unknown), `reasoning_output_tokens` Int64 (the part of the output that was reasoning; NA when
        unknown). `cost_usd` sums the priced calls only; `money` shows how many are unpriced.

    Raises:
        ConfigError: `by`, `where` or `since` is not valid; the message lists the columns.

    Source: OpenTelemetry GenAI semantic conventions v1.41 for the token names.
    """
    names = _names(by)
    with log.reading() as connection:
        table, sums, start = _table(names, where, since, log.now())
        condition, values = sql_condition(connection, since=None, where=where, now=log.now())
        if start is not None:
            field = "started_us" if table == "calls" else "day"
            condition, values = f"{condition} AND {field} >= ?", [*values, start]
        picked = [sums[COLUMNS[name].stored if name in COLUMNS else name] for name in SUMS]
        query = _grouped(connection, names, picked, table, condition)
        keys, columns = _read_groups(connection, query, values, names, len(picked))
    frame = pd.DataFrame(
        {
            name: _dollars(column) if name.endswith("_usd") else _whole(column)
            for name, column in zip(SUMS, columns, strict=True)
        }
    )
    return _indexed(frame, keys, names)


@checked
def errors(
    log: UsageLog, /, by: str | Sequence[str] | None = None, *, since: Since = None, **where: Any
) -> pd.DataFrame:
    """Failed calls, or their number by group.

    Args:
        log: The usage log.
        by: Columns to group by; None gives one row per failed call.
        since: Calls that started at this moment or later, as for `usage`; None means all.
        where: Column to value or list of values, as for `usage`.

    Returns:
        Without `by` the frame of `failures`. With it a frame of shape (n_groups, 3) indexed by `by`, most
        frequent first: `calls` Int64, `last_at` datetime64[us, UTC] (start of the latest), `last_message`
        str.

    Raises:
        ConfigError: `by`, `where` or `since` is not valid.
    """
    if by is None:
        return failures(log, since=since, **where)
    names = _names(by)
    where = {"status": ["error", "rejected"], **where}
    with log.reading() as connection:
        condition, values = sql_condition(connection, since=since, where=where, now=log.now())
        # With max(), SQLite takes bare columns from the row of the maximum.
        picked = ["count(*)", "max(started_us)", "error_message"]
        query = _grouped(connection, names, picked, "calls", f"error_type > 0 AND {condition}")
        keys, columns = _read_groups(connection, query, values, names, len(picked))
    frame = pd.DataFrame(
        {
            "calls": _whole(columns[0]),
            "last_at": pd.DatetimeIndex(columns[1].astype("int64").view("M8[us]")).tz_localize("UTC"),
            "last_message": pd.array(columns[2], dtype=TEXT_DTYPE),
        }
    )
    return _indexed(frame, keys, names).sort_values("calls", ascending=False, kind="stable")


def money(total_usd: Decimal | float | None, unpriced: int = 0) -> str:
    """An amount of money as text, with the number of unpriced calls.

    Args:
        total_usd: US dollars; None or NA when unknown.
        unpriced: Number of calls that it leaves out.

    Returns:
        "$1.23"; with unpriced calls ">= $1.23 (4 calls unpriced)"; "unknown (4 calls unpriced)" when nothing
        is known.
    """
    note = f" ({counted(unpriced, 'call')} unpriced)" if unpriced else ""
    if pd.isna(cast(Any, total_usd)):
        return f"unknown{note}"
    amount = Decimal(str(total_usd))
    if amount == 0 or abs(amount) >= 1:
        text = f"${amount:,.2f}"
    else:  # two significant digits, however small
        text = f"${amount:.{max(2, 1 - amount.adjusted())}f}"
    return f"{'>= ' if unpriced else ''}{text}{note}"


def _names(by: str | Sequence[str] | None) -> tuple[str, ...]:
    return check_names("by", [by] if isinstance(by, str) else by or (), LABEL_COLUMNS)


def _table(
    names: Sequence[str], where: Where, since: Since, now: float
) -> tuple[str, dict[str, str], int | None]:
    """Table to query (daily sums if they suffice, else calls), its sums, and the start in its unit."""
    start = read_since(since, now)
    table = usage_log.table_of_sums([*names, *where])
    if table is not None:
        if start is None:
            return table, usage_log.FROM_SUMS, None
        if start == local_midnight_us(dt.datetime.fromtimestamp(start / MICRO, dt.UTC)):
            moment = dt.datetime.fromtimestamp(start / MICRO, dt.UTC).astimezone()
            return table, usage_log.FROM_SUMS, moment.toordinal() - dt.date(1970, 1, 1).toordinal()
    return "calls", usage_log.FROM_CALLS, start


def _grouped(
    connection: sqlite3.Connection, names: Sequence[str], picked: Sequence[str], table: str, condition: str
) -> str:
    keys = ["day" if name == "day" else COLUMNS[name].stored for name in names]
    packs = pack(connection, [COLUMNS[name] for name in names if name != "day"])
    packed = {column.stored for item in packs for column in item.columns}
    # All calls of a group have the same packed number, and so the same value in each packed column.
    apart = [*(item.expression for item in packs), *(key for key in keys if key not in packed)]
    group = f"GROUP BY {', '.join(apart)}" if keys else ""
    return f"SELECT {', '.join([*keys, *picked])} FROM {table} WHERE {condition} {group}"  # noqa: S608 - checked names, bound values


def _read_groups(
    connection: sqlite3.Connection, query: str, values: list[Any], names: Sequence[str], picked: int
) -> tuple[list[Any], list[Array]]:
    columns = fetch_columns(connection.execute(query, values), [object] * (len(names) + picked))
    keys = [_read_key(connection, name, column) for name, column in zip(names, columns, strict=False)]
    return keys, columns[len(names) :]


def _read_key(connection: sqlite3.Connection, name: str, column: Array) -> Any:
    if name == "day":
        return day_index(column)
    kind = COLUMNS[name].kind
    if kind == "flag":
        return column.astype(bool)
    if kind == "count":
        return _whole(column)
    if kind == "word":
        find = "SELECT nullif(word, '') FROM words WHERE id = ?"
        column = np.array(
            [connection.execute(find, (number,)).fetchone()[0] for number in column], dtype=object
        )
    return pd.array(column, dtype=TEXT_DTYPE)


def _indexed(frame: pd.DataFrame, keys: list[Any], names: Sequence[str]) -> pd.DataFrame:
    if not names:
        return frame
    if len(names) == 1:
        frame.index = pd.Index(keys[0], name=names[0])
    else:
        frame.index = pd.MultiIndex.from_arrays(keys, names=list(names))
    return frame.sort_index()


def _known(column: Array) -> tuple[Array, Array]:
    unknown = np.array([value is None for value in column], dtype=bool)
    return np.where(unknown, 0, column).astype(np.int64), unknown


def _whole(column: Array) -> Any:
    return masked(*_known(column), "Int64")


def _dollars(column: Array) -> Any:
    return masked(*_known(column), "Float64", NANO)
