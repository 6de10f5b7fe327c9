"""Sums of the log by local hour."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ainb.usage.columns import MICRO, NANO
from ainb.usage.filters import sql_condition
from ainb.usage.frames.calls import masked
from ainb.usage.frames.fetching import fetch_columns
from ainb.usage.log import checked
from ainb.usage.windows import Window

if TYPE_CHECKING:
    from ainb.usage.log import UsageLog

# The offset of every time zone is a multiple of 15 minutes, so each such slice lies within one local hour.
SLICE_US = 900 * MICRO


def local_hours(slices: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pd.DatetimeIndex:
    """Local hours, without a time zone, of slices of 15 minutes since 1970."""
    hours = {
        int(number): dt.datetime.fromtimestamp(int(number) * SLICE_US / MICRO, dt.UTC)
        .astimezone()
        .replace(minute=0, tzinfo=None)
        for number in np.unique(slices)
    }
    return pd.DatetimeIndex([hours[int(number)] for number in slices], dtype="datetime64[us]")


@checked
def calls_by_hour(log: UsageLog, window: Window) -> pd.DataFrame:
    """Cost by local hour.

    Returns:
        Frame indexed by the hour (no time zone), only hours with calls: `cost_usd` Float64 (NA when unknown),
        `unpriced` Int64.
    """
    with log.reading() as connection:
        condition, values = sql_condition(connection, since=window.since(log.now()), where={}, now=log.now())
        cursor = connection.execute(
            f"SELECT started_us / {SLICE_US}, ifnull(sum(cost_nano), -1), sum(cost_nano IS NULL) "  # noqa: S608 - bound values
            f"FROM calls WHERE {condition} GROUP BY 1",
            values,
        )
        slices, cost, unpriced = fetch_columns(cursor, [np.int64, np.int64, np.int64])
    frame = pd.DataFrame(
        {
            "cost_usd": masked(cost, cost < 0, "Float64", NANO),
            "unpriced": masked(unpriced, unpriced < 0, "Int64"),
        },
        index=local_hours(slices),
    )
    return frame.groupby(level=0).sum(min_count=1)
