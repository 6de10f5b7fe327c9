"""Store of the number of calls in flight that the last batch of a provider, model and account reached."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from ainb.fork import new_lock
from ainb.stores.small_file import read_small, write_small

FILE_NAME: Final = "reached.json"
VERSION: Final = 1
KEEP_SECONDS: Final = 7 * 86_400.0
MAX_RECORDS: Final = 500
MOST: Final = 100_000
# A record dated further in the future was written with a wrong clock and would never expire.
CLOCK_STEP_SECONDS: Final = 86_400.0


class Reached:
    """Calls in flight reached, kept in the session and, for a week, in the home; thread-safe.

    A fault of the file never fails a call: what cannot be read or written is kept in the session only.

    Args:
        path: File in the home; None keeps everything in the session.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = new_lock()
        self._known: dict[str, tuple[int, float]] = {}

    @classmethod
    def of_home(cls, home: Path | None) -> Reached:
        """The store of a home; without a home, one for the session alone."""
        return cls(None if home is None else home / FILE_NAME)

    def find(self, scope: tuple[str, ...], now: float) -> int | None:
        """Calls in flight at the end of the last batch; None where unknown or older than a week.

        Args:
            scope: Provider, model and account.
            now: Wall-clock seconds since 1970.
        """
        name = _digest(scope)
        with self._lock:
            if name not in self._known and self._path is not None:
                self._known = {**_read(self._path, now), **self._known}
            found = self._known.get(name)
        return found[0] if found is not None and _is_fresh(found[1], now) else None

    def keep(self, scope: tuple[str, ...], in_flight: int, now: float) -> None:
        """Store the number of calls in flight at the end of a batch."""
        record = (max(1, min(in_flight, MOST)), now)
        with self._lock:
            if self._path is not None:
                # Other kernels of this home may have written in the meantime.
                self._known = {**self._known, **_read(self._path, now)}
            self._known[_digest(scope)] = record
            if self._path is not None:
                _write(self._path, self._known, now)


def _digest(scope: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(scope).encode()).hexdigest()[:20]


def _is_fresh(at: float, now: float) -> bool:
    return now - KEEP_SECONDS < at <= now + CLOCK_STEP_SECONDS


def _read(path: Path, now: float) -> dict[str, tuple[int, float]]:
    """The records in the form that `_write` writes; others are dropped, since the file may be edited."""
    records = read_small(path, "places", VERSION)
    if not isinstance(records, dict) or len(records) > MAX_RECORDS:
        return {}
    return {
        name: (record["in_flight"], float(record["at"]))
        for name, record in records.items()
        if _is_record(record) and _is_fresh(record["at"], now)
    }


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict):
        return False
    in_flight, at = record.get("in_flight"), record.get("at")
    return type(in_flight) is int and 1 <= in_flight <= MOST and type(at) in {int, float}


def _write(path: Path, known: dict[str, tuple[int, float]], now: float) -> None:
    fresh = sorted(
        (item for item in known.items() if _is_fresh(item[1][1], now)), key=lambda item: item[1][1]
    )
    places = {name: {"in_flight": number, "at": at} for name, (number, at) in fresh[-MAX_RECORDS:]}
    write_small(path, "places", VERSION, places)
