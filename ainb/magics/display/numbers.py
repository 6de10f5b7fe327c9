"""Numbers as the tables of ``%ai`` show them; what is unknown is a dash, never 0."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

UNKNOWN = "\N{EN DASH}"
_KILO = 1_000.0
_MINUTE = 60.0


def is_known(value: Any) -> bool:
    """Whether a value of a frame or of a dict is there."""
    import pandas as pd

    return value is not None and not pd.isna(value)


def word(value: Any) -> str:
    """A text."""
    return str(value) if is_known(value) else UNKNOWN


def count(value: Any) -> str:
    """A whole number."""
    return f"{int(value):,}" if is_known(value) else UNKNOWN


def share(value: Any) -> str:
    """A part of the whole, in per cent."""
    return f"{float(value):.0%}" if is_known(value) else UNKNOWN


def duration(value: Any) -> str:
    """Seconds, or minutes from two of them on."""
    if not is_known(value):
        return UNKNOWN
    seconds = float(value)
    return f"{seconds:.1f} s" if seconds < 2 * _MINUTE else f"{seconds / _MINUTE:.0f} min"


def size(value: Any) -> str:
    """Bytes in decimal units."""
    if not is_known(value):
        return UNKNOWN
    amount, unit = float(value), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if amount < _KILO or unit == "GB":
            break
        amount /= _KILO
    return f"{amount:,.0f} {unit}" if unit == "B" else f"{amount:,.1f} {unit}"


def moment(value: Any) -> str:
    """A Timestamp in this machine's zone, to the second."""
    if not is_known(value):
        return UNKNOWN
    return f"{value.to_pydatetime().astimezone():%Y-%m-%d %H:%M:%S}"


def today(unix: float) -> datetime:
    """The local midnight that began the day of a wall-clock second."""
    now = datetime.fromtimestamp(unix, UTC).astimezone()
    return now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
