"""Rows of the log as DataFrames: one row per call, with dtypes that survive Parquet.

Columns are fetched as arrays, never row by row; a repeated text is fetched as its word number.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ainb.usage.columns import COLUMNS, DEFAULT_COLUMNS, MICRO, NANO, Column, check_names
from ainb.usage.filters import Since, Where, sql_condition
from ainb.usage.frames.fetching import TEXT_DTYPE, fetch_columns
from ainb.usage.log import checked, pack

if TYPE_CHECKING:
    from ainb.usage.log import UsageLog

    Array = np.ndarray[Any, np.dtype[Any]]

# Only these can be below 0; in all other columns of numbers -1 represents NULL while they are fetched.
_SIGNED = frozenset({"provider_saved_usd"})
_LEAST = -(2**63)
_STARTED = ""
_ERROR_COLUMNS = (
    "started_at",
    "call_id",
    "operation_name",
    "provider_name",
    "request_model",
    "status",
    "error_type",
    "http_status",
    "error_message",
    "attempts",
    "duration_s",
    "request_id",
    "notebook",
    "cell_id",
    "batch_id",
    "row_key",
)


@checked
def usage(
    log: UsageLog, /, *, since: Since = None, columns: Iterable[str] | None = None, **where: Any
) -> pd.DataFrame:
    """All calls of all sessions of the home, oldest first, including those of this process just finished.

    Args:
        log: The usage log.
        since: Calls that started at this moment or later: a datetime (naive means local time), a timedelta
            back from now, or a text such as "90m", "24h", "7d". None means all.
        columns: Names of columns, in this order; None means all but ``prompt`` and ``reply``, which the log
            contains only with the option `log_content`.
        where: Column to value, or to a list of values; None matches unknown ones.

    Returns:
        Frame of shape (n_calls, n_columns) with a RangeIndex. Dtypes: texts ``str``, names and states
        ``category``, tokens ``Int64``, ``attempts`` and ``http_status`` ``Int16``, money in US dollars and
        times in seconds ``Float64``, flags ``bool``, ``started_at`` ``datetime64[us, UTC]``. Unknown is NA,
        never 0.

    Raises:
        ConfigError: `columns`, `where` or `since` is not valid; the message lists the valid values.
    """
    names = DEFAULT_COLUMNS if columns is None else check_names("columns", columns, COLUMNS)
    return _fetch(log, names, since=since, where=where)


@checked
def failures(log: UsageLog, /, *, since: Since = None, **where: Any) -> pd.DataFrame:
    """Failed calls, oldest first: status "error" and "rejected", not "cancelled".

    Args:
        log: The usage log.
        since: As for `usage`.
        where: As for `usage`.

    Returns:
        Frame of shape (n_failed, 16) with a RangeIndex; columns and dtypes as in `usage`.

    Raises:
        ConfigError: `where` or `since` is not valid.
    """
    return _fetch(
        log, _ERROR_COLUMNS, since=since, where={"status": ["error", "rejected"], **where}, failed=True
    )


def _fetch(
    log: UsageLog, names: Sequence[str], *, since: Since, where: Where, failed: bool = False
) -> pd.DataFrame:
    columns = [COLUMNS[name] for name in dict.fromkeys(names)]
    with log.reading() as connection:
        condition, values = sql_condition(connection, since=since, where=where, now=log.now())
        # The partial index of failures is used only when the query contains the index's condition.
        condition = f"error_type > 0 AND {condition}" if failed else condition
        raw = _fetch_raw(connection, columns, condition, values)
        read_words = _word_reader(connection)
        # Popped, so that fetched and converted columns are not all in memory at once.
        length = len(raw[_STARTED])
        arrays = {column.name: _to_array(column, raw.pop(column.name), read_words) for column in columns}
    return pd.DataFrame(arrays, index=pd.RangeIndex(length), copy=False)


def _fetch_raw(
    connection: sqlite3.Connection, columns: Sequence[Column], condition: str, values: list[Any]
) -> dict[str, Any]:
    """Every column by name as stored in the log, and the start times as _STARTED; oldest first."""
    packs = pack(connection, columns)
    alone = [column for column in columns if column.kind not in {"word", "flag", "time"}]
    selected = ["started_us", *(item.expression for item in packs), *map(_expression, alone)]
    query = f"SELECT {', '.join(selected)} FROM calls WHERE {condition} ORDER BY id"  # noqa: S608 - names of COLUMNS, values are bound
    dtypes = [np.int64] * (1 + len(packs)) + [
        TEXT_DTYPE if column.kind == "text" else np.int64 for column in alone
    ]
    started, *fetched = _oldest_first(fetch_columns(connection.execute(query, values), dtypes))
    raw = {_STARTED: started} | {column.name: started for column in columns if column.kind == "time"}
    for item, numbers in zip(packs, fetched, strict=False):
        raw |= item.unpack(numbers)
    raw |= {column.name: array for column, array in zip(alone, fetched[len(packs) :], strict=True)}
    return raw


def _oldest_first(fetched: list[Any]) -> list[Any]:
    """The arrays sorted by the first one: rows are stored in the order in which calls ended."""
    started = fetched[0]
    if not (started[1:] < started[:-1]).any():
        return fetched
    order = np.argsort(started, kind="stable")
    return [array.take(order) for array in fetched]


def _expression(column: Column) -> str:
    if column.kind == "text":
        return column.stored
    return f"ifnull({column.stored}, {_LEAST if column.name in _SIGNED else -1})"


def _word_reader(connection: sqlite3.Connection) -> Callable[[Array], tuple[Array, Array]]:
    """Make the function that turns word numbers into codes (-1 unknown) and the sorted words."""

    def read(numbers: Array) -> tuple[Array, Array]:
        used = np.flatnonzero(np.bincount(numbers)) if len(numbers) else np.empty(0, np.int64)
        used = used[used > 0]
        texts = [
            connection.execute("SELECT word FROM words WHERE id = ?", (int(number),)).fetchone()[0]
            for number in used
        ]
        order = np.argsort(np.array(texts, dtype=object), kind="stable")
        codes = np.full(int(used[-1]) + 1 if len(used) else 1, -1, dtype=np.int32)
        codes[used[order]] = np.arange(len(used))
        return codes[numbers], np.array(texts, dtype=object)[order]

    return read


def _to_array(column: Column, raw: Any, read_words: Callable[[Array], tuple[Array, Array]]) -> Any:
    kind = column.kind
    if kind in {"flag", "text"}:
        return raw
    if kind == "time":
        return pd.DatetimeIndex(raw.view("M8[us]")).tz_localize("UTC").array
    if kind == "word":
        codes, words = read_words(raw)
        categories = pd.Categorical.from_codes(codes, categories=pd.Index(words, dtype=TEXT_DTYPE))
        return (
            categories
            if column.dtype == "category"
            else pd.array(words, dtype=TEXT_DTYPE).take(codes, allow_fill=True)
        )
    unknown = raw == _LEAST if column.name in _SIGNED else raw < 0
    return masked(raw, unknown, column.dtype, {"money": NANO, "seconds": MICRO}.get(kind))


def masked(raw: Array, unknown: Array, dtype: str, unit: int | None = None) -> Any:
    """A nullable array of `raw`, divided by `unit` if given, with NA where `unknown` is True."""
    if unit is not None:
        values = raw / unit
        values[unknown] = 1.0  # the raw value under NA must not disturb sums of the raw values
        return pd.arrays.FloatingArray(values, unknown)
    return pd.arrays.IntegerArray(raw.astype(dtype.lower()), unknown)


def day_index(days: Iterable[int]) -> pd.DatetimeIndex:
    """Local dates, given in days since 1970-01-01, as midnights without a zone."""
    return pd.DatetimeIndex(np.array(list(days), dtype="M8[D]").astype("M8[us]"))


def local_midnight_us(moment: dt.datetime) -> int:
    """Start of the local day of `moment`, in microseconds since 1970 UTC."""
    start = moment.astimezone().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return round(start.astimezone().timestamp() * MICRO)
