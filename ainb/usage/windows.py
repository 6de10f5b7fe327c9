"""Time windows that end now, such as "today" and "last 7 days"."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

_HOURLY_DAYS = 2


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time that ends now.

    Attributes:
        name: Shown name, such as "last 7 days".
        days: How many local dates it covers, today included; None means all there are.
        hours: How many hours it covers, in place of days.
    """

    name: str
    days: int | None = None
    hours: float | None = None

    @property
    def hourly(self) -> bool:
        """Whether charts of the window have one point per hour."""
        return self.hours is not None or (self.days is not None and self.days <= _HOURLY_DAYS)

    @property
    def step(self) -> dt.timedelta:
        """Time between two points in charts: an hour or a day."""
        return dt.timedelta(hours=1) if self.hourly else dt.timedelta(days=1)

    def since(self, now: float) -> dt.date | dt.timedelta | None:
        """Start of the window, as the argument `since` of `costs`.

        Args:
            now: Seconds since 1970.
        """
        if self.hours is not None:
            return dt.timedelta(hours=self.hours)
        return None if self.days is None else local_day(now) - dt.timedelta(days=self.days - 1)

    def span(self, now: float) -> tuple[dt.datetime, dt.datetime] | None:
        """Start and end of the steps in local time without a zone; None if only the calls determine them.

        Args:
            now: Seconds since 1970.
        """
        since = self.since(now)
        if since is None:
            return None
        today = dt.datetime.fromtimestamp(now, dt.UTC).astimezone().replace(tzinfo=None)
        end = today.replace(minute=0, second=0, microsecond=0) if self.hourly else _midnight(today.date())
        start = end - since + self.step if isinstance(since, dt.timedelta) else _midnight(since)
        return start, end + self.step


TODAY = Window("today", days=1)
LAST_DAY = Window("last 24 hours", hours=24)
LAST_WEEK = Window("last 7 days", days=7)
LAST_MONTH = Window("last 30 days", days=30)
ALL_TIME = Window("all time")
WINDOWS = (TODAY, LAST_DAY, LAST_WEEK, LAST_MONTH, ALL_TIME)


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time())


def local_day(seconds: float) -> dt.date:
    """The local date at `seconds` since 1970."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone().date()
