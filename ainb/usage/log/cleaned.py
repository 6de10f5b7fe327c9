"""Reports on a damaged log, made from a checked copy in memory.

Checking every field of a million calls would double the time of a report. So a report reads the file first,
and a checked copy only when that fails.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from ainb.errors import AinbError, ConfigError
from ainb.stores.sqlite import insert_rows, transaction
from ainb.usage.columns import STORED, Column
from ainb.usage.log.packing import MOST_WORDS
from ainb.usage.log.rollups import add_new
from ainb.usage.log.store import open_log

if TYPE_CHECKING:
    from ainb.usage.log.log import UsageLog

P = ParamSpec("P")
R = TypeVar("R")

# Errors that values of a wrong kind cause in a report.
_FAULTS = (AinbError, TypeError, ValueError, ArithmeticError, LookupError, MemoryError)
_MOST = {"Int16": 32_767, "Int64": 2**40}
_MOST_MONEY = 10**15  # a million USD in nano-dollars
_MOST_MICROSECONDS = 253_402_300_799_000_000  # the year 9999
_MOST_DAY = 2_932_896
_IS_WORD = (
    f"SELECT id FROM words WHERE typeof(id) = 'integer' AND id BETWEEN 1 AND {MOST_WORDS} "  # noqa: S608 - fixed text
    "AND typeof(word) = 'text' AND word <> ''"
)


def checked(report: Callable[Concatenate[UsageLog, P], R]) -> Callable[Concatenate[UsageLog, P], R]:
    """Decorate a report so that it uses a checked copy when the log cannot be read; bad values are NA."""

    @functools.wraps(report)
    def make(log: UsageLog, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return report(log, *args, **kwargs)
        except ConfigError:  # an invalid argument
            raise
        except _FAULTS:
            return report(cast("UsageLog", _Checked(log)), *args, **kwargs)

    return make


class _Checked:
    """A log whose rows are read from a checked copy."""

    def __init__(self, log: UsageLog) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to the copy."""
        with contextlib.closing(open_log(None)) as copy:
            with self._log.reading() as source:
                _copy_calls(source, copy)
            self._log.warn(
                "the usage log holds values that ainb does not write; they are unknown (NA) in reports"
            )
            yield copy


def _copy_calls(source: sqlite3.Connection, copy: sqlite3.Connection) -> None:
    words = source.execute(f"SELECT id, word FROM words WHERE id IN ({_IS_WORD})").fetchall()  # noqa: S608 - fixed text
    names = ["day", *(column.stored for column in STORED)]
    values = [_within("day", 0, _MOST_DAY, "0"), *map(_value, STORED)]
    calls = source.execute(f"SELECT {', '.join(values)} FROM calls").fetchall()  # noqa: S608 - names of STORED
    with transaction(copy):
        copy.execute("DELETE FROM words WHERE id > 0")
        insert_rows(copy, "INSERT OR REPLACE INTO words (id, word)", words)
        insert_rows(copy, f"INSERT INTO calls ({', '.join(names)})", calls)
        add_new(copy, 0)


def _value(column: Column) -> str:
    """SQL of a stored value, with a value of a wrong kind replaced by the column's unknown value."""
    name, kind = column.stored, column.kind
    if kind == "text":
        return f"CASE WHEN typeof({name}) = 'text' THEN {name} ELSE {_unknown_text(column)} END"
    if kind == "word":
        return f"CASE WHEN typeof({name}) = 'integer' AND {name} IN ({_IS_WORD}) THEN {name} ELSE 0 END"
    if kind == "flag":
        return _within(name, 0, 1, "0")
    if kind == "time":
        return _within(name, 0, _MOST_MICROSECONDS, "0")
    if kind == "money":  # savings of a provider's cache may be below 0
        return _within(name, -_MOST_MONEY, _MOST_MONEY, "NULL")
    return _within(name, 0, _MOST.get(column.dtype, _MOST_MICROSECONDS), "NULL")


def _unknown_text(column: Column) -> str:
    return "''" if column.name == "call_id" else "NULL"


def _within(name: str, least: int, most: int, otherwise: str) -> str:
    return (
        f"CASE WHEN typeof({name}) = 'integer' AND {name} BETWEEN {least} AND {most} "
        f"THEN {name} ELSE {otherwise} END"
    )
