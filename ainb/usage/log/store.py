"""SQLite store of the log: opening it and adding rows."""

from __future__ import annotations

import datetime as dt
import functools
import operator
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from ainb.messages import is_reply_cost
from ainb.redaction import encodable
from ainb.stores.files import make_private
from ainb.stores.sqlite import insert_rows, transaction
from ainb.usage.columns import MICRO, NANO, STORED, Kind
from ainb.usage.log.rollups import add_new
from ainb.usage.log.schema import known_version, migrate
from ainb.usage.rows import Row

BUSY_MILLISECONDS = 2000
MAX_WORDS = 50_000
_MAX_INTEGER = 2**63 - 1
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_DAY_SLICE_US = 900 * MICRO


def open_log(path: Path | None) -> sqlite3.Connection:
    """Open the log for writing, creating or migrating it if needed; None opens one in memory.

    Folder and file are private to the user (0700, 0600) when they are created here.

    Raises:
        NewerLogError: A newer ainb wrote it.
        sqlite3.Error, OSError: It cannot be opened or written.
    """
    if path is not None:
        make_private(path)
    connection = connect(":memory:" if path is None else str(path))
    try:
        known_version(connection)  # before any write: a newer ainb's file must not be changed
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def connect(place: str) -> sqlite3.Connection:
    """A connection without implicit transactions, usable from several threads under a lock."""
    return sqlite3.connect(
        place, timeout=BUSY_MILLISECONDS / 1000, isolation_level=None, check_same_thread=False
    )


class WordIds(dict[str | None, int]):
    """Cached ids of the words table; cleared after a rollback, which may have removed new ids.

    A look-up inserts a new word into the table; it must be inside a transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__({None: 0})
        self._connection = connection

    def __missing__(self, word: str | None) -> int:
        if len(self) > MAX_WORDS:
            self.forget()
        execute = self._connection.execute
        execute("INSERT OR IGNORE INTO words (word) VALUES (?)", (word,))
        number = self[word] = int(execute("SELECT id FROM words WHERE word = ?", (word,)).fetchone()[0])
        return number

    def forget(self) -> None:
        """Clear the cache."""
        self.clear()
        self[None] = 0


class LogStore:
    """An open log that rows are added to.

    Args:
        connection: As `open_log` gives it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._words = WordIds(connection)
        changes: dict[Kind, Callable[[Any], Any]] = {
            "time": microseconds_since_1970,
            "word": self._words.__getitem__,
            "money": nano_dollars,
            "seconds": _microseconds,
        }
        order = [Row._fields.index(column.name) for column in STORED]
        self._reorder = operator.itemgetter(*order)
        self._changes = [
            (place + 1, changes[column.kind]) for place, column in enumerate(STORED) if column.kind in changes
        ]

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows and their daily sums in one transaction.

        Raises:
            sqlite3.Error: Nothing was added.
        """
        connection = self.connection
        try:
            with transaction(connection):
                last = connection.execute("SELECT max(id) FROM calls").fetchone()[0] or 0
                insert_rows(connection, _INSERT, [self._encode(row) for row in rows])
                add_new(connection, last)
        except BaseException:
            self._words.forget()
            raise

    def add_what_fits(self, rows: Iterable[Row]) -> int:
        """Add rows one by one, replacing values that SQLite cannot store.

        Returns:
            Number of rows that still could not be added.

        Raises:
            sqlite3.Error: The log cannot be written.
        """
        lost = 0
        for row in rows:
            try:
                self.add([Row._make(map(_storable, row))])
            except (TypeError, ValueError, ArithmeticError):
                lost += 1
        return lost

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def _encode(self, row: Row) -> Sequence[Any]:
        values = [0, *self._reorder(row)]
        for place, change in self._changes:
            values[place] = change(values[place])
        values[0] = local_day(values[1])
        return values


_INSERT = f"INSERT INTO calls (day, {', '.join(column.stored for column in STORED)})"


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Decimal):
        # Savings of a provider's cache may be negative.
        return value if value.is_finite() and is_reply_cost(abs(value)) else None
    if isinstance(value, int | float) and not abs(value) <= _MAX_INTEGER // MICRO:
        return None
    return value


def microseconds_since_1970(moment: dt.datetime) -> int:
    """Convert a time to whole microseconds since 1970-01-01 UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def nano_dollars(dollars: Decimal | None) -> int | None:
    """Convert USD to whole nanodollars (1e-9 USD), rounded half to even; sums are exact up to $9 billion."""
    return None if dollars is None else round(dollars * NANO)


def _microseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * MICRO)


def local_day(us: int) -> int:
    """Days from 1970-01-01 to the local date of a time in microseconds since 1970 UTC."""
    # Every time zone's offset is a multiple of 15 minutes, so the date is constant within such a slice.
    return _day_of_slice(us // _DAY_SLICE_US)


@functools.lru_cache(maxsize=256)
def _day_of_slice(number: int) -> int:
    moment = dt.datetime.fromtimestamp(number * _DAY_SLICE_US / MICRO, dt.UTC)
    return moment.astimezone().toordinal() - _EPOCH_ORDINAL
