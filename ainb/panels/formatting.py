"""Formatting of numbers, money and times in panels; None and NA are unknown, never 0."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from ainb.panels.markup import Cell, Tone

UNKNOWN = "\N{EN DASH}"
_NANO = Decimal(1_000_000_000)
_COMPACT_FROM = 10_000
_MINUTE_S, _HOUR_S = 60, 3_600


def is_unknown(value: Any) -> bool:
    """Whether it is None, NA or NaN."""
    import pandas as pd

    return value is None or bool(pd.isna(value))


def count(value: Any) -> str:
    """A whole number with commas."""
    return UNKNOWN if is_unknown(value) else f"{int(value):,}"


def compact(value: Any) -> str:
    """A number short enough for a table: 9,999, 31 k, 1.9 M."""
    if is_unknown(value):
        return UNKNOWN
    number = float(value)
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= max(size, _COMPACT_FROM):
            digits = 1 if number < 10 * size else 0
            return f"{number / size:,.{digits}f} {unit}"
    return f"{number:,.0f}"


def percent(share: Any) -> str:
    """A fraction as a percentage; 0 % and 100 % only when exact."""
    if is_unknown(share):
        return UNKNOWN
    number = float(share)
    if number in {0.0, 1.0}:
        return f"{number:.0%}".replace("%", " %")
    return f"{min(max(number, 0.001), 0.999):.1%}".replace("%", " %")


def whole_percent(share: Any) -> str:
    """A fraction in whole per cent; empty when unknown."""
    if is_unknown(share):
        return ""
    return "<1 %" if 0 < share < 0.01 else f"{float(share) * 100:.0f} %"  # noqa: PLR2004 - one per cent


def dollars(usd: Any, unpriced: Any = 0) -> str:
    """Money: "$1.84"; "≥ $1.84" when a part is unknown; "unknown" when all of it is."""
    from ainb.usage.frames.totals import money

    missing = 0 if is_unknown(unpriced) else int(unpriced)
    if is_unknown(usd) or (missing and not usd):
        return "unknown" if missing else UNKNOWN
    # A sum of floats may have rounding errors in its last digits.
    amount = Decimal(str(round(float(usd), 9)))
    return f"≥ {money(amount)}" if missing else money(amount)


def priced_dollars(usd: Any, unpriced: Any = 0) -> str:
    """Money for a headline: cost of the calls with a price, "$0.00" without such calls."""
    return dollars(0) if is_unknown(usd) or not usd else dollars(usd, unpriced)


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def nano_dollars(nano: int) -> str:
    """Money given in 1e-9 USD."""
    return dollars(Decimal(nano) / _NANO)


def seconds(value: Any) -> str:
    """A duration: "0.9 s", "40 s", "3 min", "2 h 5 min"."""
    if is_unknown(value):
        return UNKNOWN
    number = float(value)
    if number < _MINUTE_S:
        digits = 0 if number >= 10 else 1 if number >= 0.1 else 3  # noqa: PLR2004 - two significant digits
        return f"{number:.{digits}f} s"
    if number < _HOUR_S:
        return f"{number / _MINUTE_S:.0f} min"
    hours, rest = divmod(round(number / _MINUTE_S), 60)
    return f"{hours:,} h {rest} min" if rest else f"{hours:,} h"


def elapsed(value: float) -> str:
    """Time since a start, which grows with every second: "44 s", "3 min 05 s", "2 h 05 min"."""
    whole = int(value)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02} s"
    return f"{whole // _HOUR_S:,} h {whole % _HOUR_S // _MINUTE_S:02} min"


def rate(rows_per_s: float) -> str:
    """Rows per second, or per minute where they are few."""
    if rows_per_s >= 1 or not rows_per_s:
        return f"{rows_per_s:,.1f} rows/s"
    return f"{rows_per_s * _MINUTE_S:,.1f} rows/min"


def time_of_day(unix: float) -> str:
    """A moment in local time, to the second; `unix` is in seconds since 1970."""
    return f"{dt.datetime.fromtimestamp(unix, dt.UTC).astimezone():%H:%M:%S}"


def local_time(moment: Any, now: float) -> str:
    """A point in time in local time; with its date if it is not today.

    Args:
        moment: A datetime with a time zone.
        now: Seconds since 1970.
    """
    if is_unknown(moment):
        return UNKNOWN
    local = dt.datetime.fromtimestamp(moment.timestamp(), dt.UTC).astimezone()
    today = dt.datetime.fromtimestamp(now, dt.UTC).astimezone().date()
    return f"{local:%H:%M}" if local.date() == today else f"{local:%Y-%m-%d %H:%M}"


def remaining(level: Any, capacity: Any) -> str:
    """Remaining part of a limit: "71 of 83"; "no limit" without one."""
    if is_unknown(level) or is_unknown(capacity):
        return "no limit"
    return f"{compact(int(float(level)))} of {compact(int(float(capacity)))}"


def provider(state: Any, next_try_s: Any = None) -> Cell:
    """Whether calls are sent to a provider, from the state of its circuit and its queue.

    Args:
        state: State of the circuit; None or NA means unknown.
        next_try_s: Seconds until the next call is sent, for an open circuit or a paused queue; None means
            now.
    """
    detail = "" if is_unknown(state) else f"circuit {str(state).replace('-', ' ')}"
    if not is_unknown(next_try_s) and next_try_s > 0:
        return Cell(text=f"paused, next try in {seconds(next_try_s)}", tone="bad", detail=detail)
    if is_unknown(state):
        return Cell(text=UNKNOWN)
    texts: dict[str, tuple[str, Tone]] = {
        "closed": ("OK", "good"),
        "open": ("paused, next try now", "bad"),
        "half-open": ("trying again", "warn"),
        "forced-open": ("paused by you", "bad"),
        "disabled": ("OK", "quiet"),
    }
    text, tone = texts.get(str(state), (str(state), "quiet"))
    return Cell(text=text, tone=tone, detail=detail)
