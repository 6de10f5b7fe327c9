"""Formatting of values in the tables of ``%ai``; unknown is a dash, never 0."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ainb.panels.formatting import UNKNOWN, is_unknown

_KILO = 1_000.0
_MINUTE = 60.0


def is_known(value: Any) -> bool:
    """Whether a value is neither None nor NA."""
    return not is_unknown(value)


def as_text(value: Any) -> str:
    """Any value as text."""
    return str(value) if is_known(value) else UNKNOWN


def percent(value: Any) -> str:
    """A share of 1 as a percentage."""
    return f"{float(value):.0%}" if is_known(value) else UNKNOWN


def duration(value: Any) -> str:
    """A duration in seconds; in minutes from two minutes on."""
    if not is_known(value):
        return UNKNOWN
    seconds = float(value)
    return f"{seconds:.1f} s" if seconds < 2 * _MINUTE else f"{seconds / _MINUTE:.0f} min"


def byte_size(value: Any) -> str:
    """A number of bytes in decimal units."""
    if not is_known(value):
        return UNKNOWN
    amount, unit = float(value), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if amount < _KILO or unit == "GB":
            break
        amount /= _KILO
    return f"{amount:,.0f} {unit}" if unit == "B" else f"{amount:,.1f} {unit}"


def money(usd: Any, unpriced: Any = 0) -> str:
    """US dollars, with the number of calls without a price."""
    from ainb.usage.frames import totals

    return totals.money(usd, int(unpriced))


def local_time(value: Any) -> str:
    """A Timestamp in local time, to the second."""
    if not is_known(value):
        return UNKNOWN
    return f"{value.to_pydatetime().astimezone():%Y-%m-%d %H:%M:%S}"


def local_midnight(unix: float) -> datetime:
    """Local midnight at the start of the day, as a naive datetime; `unix` is in seconds since 1970."""
    now = datetime.fromtimestamp(unix, UTC).astimezone()
    return now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
