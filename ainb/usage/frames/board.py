"""Current state as frames: providers with circuit, queue, limits and durations; budgets; the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ainb.usage.columns import MICRO
from ainb.usage.frames.fetching import TEXT_DTYPE, fetch_columns
from ainb.usage.log import checked

if TYPE_CHECKING:
    from ainb.usage.log import UsageLog

    StateRows = Sequence[Mapping[str, Any]]

RECENT_CALLS = 2_000
PROVIDER_COLUMNS: Mapping[str, Any] = {
    "circuit": TEXT_DTYPE,
    "probe_in_s": "Float64",
    "paused_s": "Float64",
    "waiting": "Int64",
    "in_flight": "Int64",
    "concurrency": "Int64",
    "requests_level": "Float64",
    "requests_capacity": "Float64",
    "tokens_level": "Float64",
    "tokens_capacity": "Float64",
}


def providers_now(log: UsageLog, rows: StateRows) -> pd.DataFrame:
    """Circuit, queue, limits and durations of every model that was called.

    Args:
        log: The usage log.
        rows: Rows from `Session.state`.

    Returns:
        Frame indexed by `model` (``provider:model``), in order of first use: `circuit` str, `probe_in_s`
        Float64 (seconds until an open circuit is probed), `paused_s` Float64 (seconds until a paused queue
        continues), `waiting`, `in_flight`, `concurrency` Int64, `requests_level`, `requests_capacity`,
        `tokens_level`, `tokens_capacity` Float64 (NA where not limited), `next_try_s` Float64 (the longer of
        the two waits; NA if there is none), `p50_s`, `p95_s` Float64: durations of answered calls among the
        newest 2,000 of the log, NA if there are none.
    """
    merged = _merged(rows)
    speed = duration_percentiles(log)
    frame = pd.DataFrame(
        {
            name: pd.array([row.get(name) for row in merged.values()], dtype=dtype)
            for name, dtype in PROVIDER_COLUMNS.items()
        },
        index=pd.Index(list(merged), dtype=TEXT_DTYPE, name="model"),
    )
    frame["next_try_s"] = frame[["probe_in_s", "paused_s"]].max(axis=1).where(lambda waits: waits > 0)
    return frame.join(speed)


def model_now(rows: StateRows, model: str) -> Mapping[str, Any]:
    """State of one model: its row of `Session.state`; empty when it has not been called yet."""
    return _merged(rows).get(model, {})


@checked
def duration_percentiles(log: UsageLog) -> pd.DataFrame:
    """Durations of answered calls among the newest 2,000.

    Returns:
        Frame indexed by ``provider:model``: `p50_s` and `p95_s` Float64.
    """
    with log.reading() as connection:
        cursor = connection.execute(
            "SELECT p.word || ':' || m.word, duration_us FROM calls JOIN words p ON p.id = provider_name "
            "JOIN words m ON m.id = request_model JOIN words s ON s.id = status "
            "WHERE calls.id > (SELECT max(id) FROM calls) - ? AND s.word = 'ok' "
            "AND NOT (cache_hit OR coalesced OR replayed) AND duration_us IS NOT NULL",
            (RECENT_CALLS,),
        )
        models, durations = fetch_columns(cursor, [object, np.int64])
    seconds = pd.Series(
        durations / MICRO, index=pd.Index(models, dtype=TEXT_DTYPE, name="model"), dtype="Float64"
    )
    groups = seconds.groupby(level=0)
    return pd.DataFrame({"p50_s": groups.quantile(0.5), "p95_s": groups.quantile(0.95)})


def budgets(rows: StateRows) -> pd.DataFrame:
    """Every budget in force.

    Returns:
        Frame indexed by `budget` ("day", "session", "user ann", …): `limit_usd`, `spent_usd`, `reserved_usd`,
        `left_usd` Float64.
    """
    found = [row for row in rows if row.get("part") == "budget"]
    # The name of a day's budget ends in its date, which is always today.
    names = [_budget_name(str(row["name"]).split()) for row in found]
    columns = ("limit_usd", "spent_usd", "reserved_usd", "left_usd")
    return pd.DataFrame(
        {name: pd.array([_number(row.get(name)) for row in found], dtype="Float64") for name in columns},
        index=pd.Index(names, dtype=TEXT_DTYPE, name="budget"),
    )


def cache_now(rows: StateRows) -> Mapping[str, Any]:
    """The cache's row of `Session.state` (`hits`, `misses`, `entries`, …); empty when it is off."""
    return next((row for row in rows if row.get("part") == "cache"), {})


@checked
def newest_call(log: UsageLog) -> int:
    """Id of the newest row of the log, which increases with every call; 0 without rows."""
    with log.reading() as connection:
        return int(connection.execute("SELECT ifnull(max(id), 0) FROM calls").fetchone()[0])


def _merged(rows: StateRows) -> dict[str, dict[str, Any]]:
    """Rows by model: circuits are kept by endpoint and limits by account, but shown by model."""
    merged: dict[str, dict[str, Any]] = {str(row["name"]): {} for row in rows if row.get("part") == "model"}
    # If a model has several circuits, one that is not closed is shown.
    for row in sorted(rows, key=lambda row: row.get("circuit") not in {None, "closed"}):
        if row.get("part") == "model":
            merged[str(row["name"])].update(row)
    return merged


def _budget_name(words: list[str]) -> str:
    scope, who = words[1] if len(words) > 1 else "", " ".join(words[2:])
    return scope if scope == "day" else f"{scope} {who}".strip()


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
