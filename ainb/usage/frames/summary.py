"""Summary of a time span: rates, durations, tokens, cost, the most common errors."""

from __future__ import annotations

import datetime as dt
import sqlite3
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd

from ainb.errors import ConfigError
from ainb.usage.columns import MICRO, NANO
from ainb.usage.filters import sql_condition
from ainb.usage.frames.fetching import TEXT_DTYPE
from ainb.usage.log import checked
from ainb.usage.rows import Status

if TYPE_CHECKING:
    from ainb.usage.log import UsageLog

TOP_ERRORS = 5
_STATUSES: tuple[str, ...] = get_args(Status)
_WORD = "(SELECT id FROM words WHERE word = '{}')"

Measures = list[tuple[str, float | None, str]]


@checked
def summary(
    log: UsageLog, /, *, hours: float | None = None, days: float | None = None, **where: Any
) -> pd.DataFrame:
    """Summarize the calls of the last hours or days.

    Args:
        log: The usage log.
        hours: Length of the span, which ends now; None, with `days` None too, means 24.
        days: Length in days, in place of `hours`.
        where: Column to value or list of values, as for `usage`.

    Returns:
        Frame with one row per measure, indexed by `measure`: `value` Float64 (NA when unknown), `unit` str.
        Counts of calls by status; `success_rate` is the share of ok calls in those not cancelled;
        `duration_p50_s` and `duration_p95_s` are over calls that a provider answered; tokens and money with
        their averages per call and per `active_days` (local dates with at least one call); then the most
        common errors, as ``error: TYPE`` or ``error: TYPE STATUS``, most frequent first.

    Raises:
        ConfigError: The span is not above 0, both are given, or `where` is not valid.
    """
    since = _span(hours, days)
    with log.reading() as connection:
        condition, values = sql_condition(connection, since=since, where=where, now=log.now())
        measures = _count(connection, condition, values)
        measures += _percentiles(connection, condition, values)
        measures += _common_errors(connection, condition, values)
    return pd.DataFrame(
        {
            "value": pd.array([value for _, value, _ in measures], dtype="Float64"),
            "unit": pd.array([unit for _, _, unit in measures], dtype=TEXT_DTYPE),
        },
        index=pd.Index([name for name, _, _ in measures], dtype=TEXT_DTYPE, name="measure"),
    )


def _span(hours: float | None, days: float | None) -> dt.timedelta:
    if hours is not None and days is not None:
        raise ConfigError(
            f"summary takes hours or days, not both; it was given hours={hours!r} and days={days!r}"
        )
    for name, value in (("hours", hours), ("days", days)):
        if not isinstance(value, int | float | None):
            raise ConfigError(f"{name} takes a number above 0; it is {value!r}")
    span = (24.0 if hours is None else hours) if days is None else days * 24.0
    if not 0 < span < 24.0 * 365 * 1000:
        raise ConfigError(f"summary takes a span above 0 and below 1000 years; it is {span:g} hours")
    return dt.timedelta(hours=span)


def _count(connection: sqlite3.Connection, condition: str, values: list[Any]) -> Measures:
    picked = {
        "calls": "count(*)",
        **{status: f"ifnull(sum(status = {_WORD.format(status)}), 0)" for status in _STATUSES},
        "cache_hits": "ifnull(sum(cache_hit OR coalesced), 0)",
        "input_tokens": "sum(input_tokens)",
        "output_tokens": "sum(output_tokens)",
        "cost_nano": "sum(cost_nano)",
        "unpriced": "ifnull(sum(cost_nano IS NULL), 0)",
        "saved_nano": "sum(saved_nano)",
        "queue_wait_us": "avg(queue_wait_us)",
        "active_days": "count(DISTINCT day)",
    }
    query = f"SELECT {', '.join(picked.values())} FROM calls WHERE {condition}"  # noqa: S608 - checked names
    found = dict(zip(picked, connection.execute(query, values).fetchone(), strict=True))
    calls, days = found["calls"], found["active_days"]
    totals: Measures = [
        ("input_tokens", found["input_tokens"], "tokens"),
        ("output_tokens", found["output_tokens"], "tokens"),
        ("cost_usd", _over(found["cost_nano"], NANO), "USD"),
        ("saved_usd", _over(found["saved_nano"], NANO), "USD"),
    ]
    return [
        *((name, found[name], "calls") for name in ("calls", *_STATUSES)),
        ("success_rate", _over(found["ok"], calls - found["cancelled"]), "share"),
        ("cache_hits", found["cache_hits"], "calls"),
        *totals,
        ("unpriced", found["unpriced"], "calls"),
        *((f"{name}_per_call", _over(value, calls), unit) for name, value, unit in totals),
        ("active_days", days, "days"),
        ("calls_per_day", _over(calls, days), "calls"),
        *((f"{name}_per_day", _over(value, days), unit) for name, value, unit in totals),
        ("queue_wait_mean_s", _over(found["queue_wait_us"], MICRO), "s"),
    ]


def _over(value: float | None, divisor: float) -> float | None:
    return None if value is None or not divisor else value / divisor


def _percentiles(connection: sqlite3.Connection, condition: str, values: list[Any]) -> Measures:
    """Exact percentiles of the durations: a column of integers is small even for a million calls."""
    answered = f"status = {_WORD.format('ok')} AND NOT (cache_hit OR coalesced)"
    query = f"SELECT duration_us FROM calls WHERE {condition} AND {answered} AND duration_us IS NOT NULL"  # noqa: S608 - checked names
    durations = np.fromiter((us for (us,) in connection.execute(query, values)), dtype=np.int64)
    shares = (("duration_p50_s", 50), ("duration_p95_s", 95))
    if not len(durations):
        return [(name, None, "s") for name, _ in shares]
    points = np.percentile(durations, [share for _, share in shares]) / MICRO
    return [(name, float(point), "s") for (name, _), point in zip(shares, points, strict=True)]


def _common_errors(connection: sqlite3.Connection, condition: str, values: list[Any]) -> Measures:
    query = f"""
        SELECT (SELECT word FROM words WHERE id = error_type), http_status, count(*) AS calls
        FROM calls WHERE error_type > 0 AND status <> ifnull({_WORD.format("cancelled")}, -1) AND {condition}
        GROUP BY error_type, http_status ORDER BY calls DESC, 1, 2 LIMIT {TOP_ERRORS}
    """  # noqa: S608 - checked names, bound values
    found = connection.execute(query, values).fetchall()
    return [
        (f"error: {kind}" + (f" {status}" if status else ""), calls, "calls") for kind, status, calls in found
    ]
