"""Tests of charts: date ranges, labels, and bars over whole hours and days."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from ainb.panels import charts
from ainb.usage.windows import ALL_TIME, LAST_DAY, LAST_WEEK, TODAY

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
NOW = dt.datetime(2026, 11, 27, 15, 20).astimezone().timestamp()


def index(*moments):
    return pd.DatetimeIndex(moments, name="at")


@pytest.mark.parametrize(
    ("moments", "step", "window", "text"),
    [
        (["2026-11-27"], DAY, ALL_TIME, "2026-11-27"),
        (["2026-11-20", "2026-11-21"], DAY, ALL_TIME, "2026-11-20 to 2026-11-21"),
        (["2026-11-25"], DAY, LAST_WEEK, "2026-11-21 to 2026-11-27"),
        (["2026-11-27 10:00"], HOUR, TODAY, "2026-11-27 00:00 to 16:00"),
        (["2026-11-27 10:00"], HOUR, LAST_DAY, "2026-11-26 16:00 to 2026-11-27 16:00"),
        (["2026-11-26 23:00"], HOUR, ALL_TIME, "2026-11-26 23:00 to 24:00"),
    ],
)
def test_a_chart_says_which_dates_it_covers(moments, step, window, text):
    assert charts.drawn(index(*moments), step, window.span(NOW)).text == text


def test_a_single_day_is_a_bar_over_its_day():
    figure = charts.line(
        pd.Series([3.0], index=index("2026-11-27")), step=DAY, title="Cost", label="US dollars"
    )
    (axes,) = figure.axes
    (bar,) = axes.patches

    assert bar.get_width() == pytest.approx(1.0)
    assert axes.convert_xunits(dt.datetime(2026, 11, 27)) == pytest.approx(bar.get_x())  # noqa: DTZ001 - no zone
    assert not axes.lines
    assert (axes.get_title(loc="left"), axes.get_ylabel(), axes.get_xlabel()) == (
        "Cost, 2026-11-27",
        "US dollars",
        "day",
    )


def test_an_hours_bar_covers_its_hour():
    frame = pd.DataFrame({"429 rate limit": [1, 2]}, index=index("2026-11-27 10:00", "2026-11-27 11:00"))
    figure = charts.stacks(frame, step=HOUR, title="Failed calls", label="calls per hour")
    (axes,) = figure.axes
    first, second = axes.patches

    assert first.get_width() == pytest.approx(1 / 24)
    assert first.get_x() + first.get_width() == pytest.approx(second.get_x())
    assert axes.get_xlabel() == "hour, local time"
    assert axes.get_xlim()[1] == pytest.approx(second.get_x() + second.get_width())


def test_a_sum_begins_at_nothing_and_is_reached_at_the_end_of_its_day():
    series = pd.Series([1.0, 3.0], index=index("2026-11-26", "2026-11-27"))
    (axes,) = charts.line(series, step=DAY).axes
    (line,) = axes.lines

    assert list(line.get_ydata()) == [0.0, 1.0, 3.0]
    assert axes.convert_xunits(line.get_xdata()[-1]) == pytest.approx(axes.get_xlim()[1])


def test_a_picture_keeps_its_place_on_the_page():
    chart = charts.chart(charts.empty("nothing"), "Nothing.", span="2026-11-27")

    assert f'width="{chart.width}" height="{chart.height}"' in chart.html()
    assert "Nothing. · 2026-11-27" in chart.html()
    assert "2026-11-27" not in chart.html(deterministic=True)
