"""Spans of time that end now, as people name them, and sums over the hours of one."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ainb.usage.columns import MICRO, NANO
from ainb.usage.filters import read_where
from ainb.usage.frames.calls import fetch_columns, masked

if TYPE_CHECKING:
    from ainb.usage.log.log import UsageLog

# Every zone's offset is a multiple of 15 minutes, so such a slice lies within one local hour.
SLICE_US = 900 * MICRO
_HOURLY_DAYS = 2


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time that ends now.

    Attributes:
        name: As people say it, such as "last 7 days".
        days: How many local dates it covers, today included; None means all there are.
        hours: How many hours it covers, in place of days.
    """

    name: str
    days: int | None = None
    hours: float | None = None

    @property
    def hourly(self) -> bool:
        """Whether it is so short that it is drawn by the hour."""
        return self.hours is not None or (self.days is not None and self.days <= _HOURLY_DAYS)

    @property
    def step(self) -> dt.timedelta:
        """What it is drawn by: an hour or a day."""
        return dt.timedelta(hours=1) if self.hourly else dt.timedelta(days=1)

    def since(self, now: float) -> dt.date | dt.timedelta | None:
        """Where it begins, as `costs` takes it.

        Args:
            now: Seconds since 1970.
        """
        if self.hours is not None:
            return dt.timedelta(hours=self.hours)
        return None if self.days is None else local_day(now) - dt.timedelta(days=self.days - 1)


TODAY = Window("today", days=1)
LAST_DAY = Window("last 24 hours", hours=24)
LAST_WEEK = Window("last 7 days", days=7)
LAST_MONTH = Window("last 30 days", days=30)
ALL_TIME = Window("all time")
WINDOWS = (TODAY, LAST_DAY, LAST_WEEK, LAST_MONTH, ALL_TIME)


def local_day(seconds: float) -> dt.date:
    """The local date at `seconds` since 1970."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone().date()


def local_hours(slices: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pd.DatetimeIndex:
    """Local hours, without a zone, of slices of 15 minutes since 1970."""
    hours = {
        int(number): dt.datetime.fromtimestamp(int(number) * SLICE_US / MICRO, dt.UTC)
        .astimezone()
        .replace(minute=0, tzinfo=None)
        for number in np.unique(slices)
    }
    return pd.DatetimeIndex([hours[int(number)] for number in slices], dtype="datetime64[us]")


def calls_by_hour(log: UsageLog, window: Window) -> pd.DataFrame:
    """Money by local hour.

    Returns:
        Frame indexed by the hour (no zone), only hours with calls: `cost_usd` Float64 (NA when unknown), `unpriced` Int64.
    """
    with log.reading() as connection:
        condition, values = read_where(connection, since=window.since(log.now()), where={}, now=log.now())
        cursor = connection.execute(
            f"SELECT started_us / {SLICE_US}, ifnull(sum(cost_nano), -1), sum(cost_nano IS NULL) FROM calls WHERE {condition} GROUP BY 1",  # noqa: S608 - numbers and bound values
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
