"""Charts: transparent figures, readable on white and on black, with a description. Uses matplotlib."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ainb.fork import new_lock
from ainb.panels.view import Chart

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
PIXELS_A_CSS_PIXEL = 2
# Narrow enough for its texts to be readable on a page of 480 pixels.
WIDTH_INCHES, HEIGHT_INCHES = 5.6, 2.3
INK = "#808080"
FONT_POINTS = 9.5
LEAST_STEPS = 7
LEGEND_COLUMNS = 3
Span = tuple[dt.datetime, dt.datetime]
# Each has a contrast of 3 : 1 or more with both white and the dark theme's #111.
COLOURS = ("#2f86d6", "#d1672f", "#3b9a5f", "#a766c9", "#b58900", "#c2577f", "#5f8a94", "#808080")
# Text layout in matplotlib uses shared caches that are not safe for concurrent threads.
_LOCK = new_lock()


@dataclass(frozen=True, slots=True)
class Drawn:
    """Period of a chart over time, in local time without a zone.

    Attributes:
        start: Start of the first hour or day.
        end: End of the last one.
        step: An hour or a day.
    """

    start: dt.datetime
    end: dt.datetime
    step: dt.timedelta

    @property
    def text(self) -> str:
        """Its dates, and for hours its times."""
        start, end = self.start, self.end
        if self.step >= dt.timedelta(days=1):
            final = end - self.step
            return f"{start:%Y-%m-%d}" if final <= start else f"{start:%Y-%m-%d} to {final:%Y-%m-%d}"
        if end.date() == start.date():
            return f"{start:%Y-%m-%d %H:%M} to {end:%H:%M}"
        if end == dt.datetime.combine(start.date(), dt.time()) + dt.timedelta(days=1):
            return f"{start:%Y-%m-%d %H:%M} to 24:00"
        return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"


def drawn(index: Any, step: dt.timedelta, span: Span | None = None) -> Drawn:
    """Period of a chart of these points.

    Args:
        index: DatetimeIndex of the points.
        step: Distance between two points.
        span: Start and end to include; None means those of the points.
    """
    first, last = index[0].to_pydatetime(), index[-1].to_pydatetime() + step
    start, end = span or (first, last)
    return Drawn(min(first, start), max(last, end), step)


def line(
    series: pd.Series,
    *,
    step: dt.timedelta,
    unit: str = "",
    span: Span | None = None,
    title: str = "",
    label: str = "",
) -> Figure:
    """Line chart of a cumulative sum; a single point is drawn as a bar.

    Args:
        series: Sums on a DatetimeIndex, each up to the end of its hour or day.
        step: Distance between two points.
        unit: Prefix of the numbers on the axis.
        span: As for `drawn`.
        title: Title before the dates of the chart.
        label: Label of the numbers, with their unit.
    """
    figure, axes = _blank()
    values = series.to_numpy(dtype=float)
    if len(series) == 1:
        width: Any = step
        axes.bar(series.index.to_numpy(), values, width=width, align="edge", color=COLOURS[0])
    else:
        # A sum is reached at the end of its hour or day; the line starts at 0.
        moments = [series.index[0], *(moment + step for moment in series.index)]
        values = np.array([0.0, *values])
        axes.plot(moments, values, color=COLOURS[0], linewidth=1.6)
        axes.fill_between(moments, values, color=COLOURS[0], alpha=0.12, linewidth=0)
    axes.set_ylim(bottom=0)
    _even_digits(axes, unit)
    _label(axes, drawn(series.index, step, span), title=title, label=label)
    return figure


def stacks(
    frame: pd.DataFrame, *, step: dt.timedelta, span: Span | None = None, title: str = "", label: str = ""
) -> Figure:
    """Stacked bars over time, one colour per column; each covers its hour or day.

    Args:
        frame: Counts on a DatetimeIndex.
        step: Distance between two bars.
        span: As for `drawn`.
        title: Title before the dates of the chart.
        label: Label of the counts.
    """
    figure, axes = _blank()
    moments = frame.index.to_numpy()
    width: Any = step
    bottom: Any = 0
    for name, colour in zip(frame.columns, COLOURS, strict=False):
        heights = frame[name].to_numpy(dtype=float)
        axes.bar(moments, heights, width=width, align="edge", bottom=bottom, color=colour, label=str(name))
        bottom = bottom + heights
    _legend(axes)
    _whole_numbers(axes)
    _label(axes, drawn(frame.index, step, span), title=title, label=label)
    return figure


def bars(frame: pd.DataFrame, *, label: str = "") -> Figure:
    """Horizontal stacked bars, one per row, one colour per column.

    Args:
        frame: Counts on an index of names.
        label: Label of the counts.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = _blank(height_inches=max(1.2, 0.5 + 0.28 * len(frame)))
    left: Any = 0
    places = list(range(len(frame)))
    for name, colour in zip(frame.columns, COLOURS, strict=False):
        widths = frame[name].to_numpy(dtype=float)
        axes.barh(places, widths, left=left, color=colour, label=str(name), height=0.7)
        left = left + widths
    axes.set_yticks(places, [_short(str(name)) for name in frame.index])
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(label, color=INK, fontsize=FONT_POINTS)
    _legend(axes)
    return figure


def empty(description: str) -> Figure:
    """A figure without data: its description as text."""
    figure, axes = _blank(height_inches=0.6)
    axes.set_axis_off()
    axes.text(0, 0.5, description, transform=axes.transAxes, va="center", color=INK, parse_math=False)
    return figure


def chart(figure: Figure, description: str, *, span: str = "") -> Chart:
    """A figure as an image with its description; `span` is the text of its dates."""
    return Chart(
        png=_png(figure, DPI * PIXELS_A_CSS_PIXEL),
        description=description,
        width=round(figure.get_figwidth() * DPI),
        height=round(figure.get_figheight() * DPI),
        span=span,
    )


def _png(figure: Figure, dpi: int) -> bytes:
    buffer = io.BytesIO()
    with _LOCK:
        figure.savefig(buffer, format="png", dpi=dpi, transparent=True)
    return buffer.getvalue()


@cache
def _figure_class() -> type[Figure]:
    from matplotlib.figure import Figure

    class PanelFigure(Figure):
        """A figure that a notebook displays without pyplot."""

        def _repr_png_(self) -> bytes:
            return _png(self, DPI)

    return PanelFigure


def _blank(*, height_inches: float = HEIGHT_INCHES) -> tuple[Figure, Axes]:
    """A figure without pyplot, with explicit styles: the user's figures and settings are not changed."""
    figure = _figure_class()(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
    axes = figure.add_subplot()
    figure.patch.set_alpha(0.0)
    axes.patch.set_alpha(0.0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(INK)
    axes.tick_params(length=3, colors=INK, labelsize=FONT_POINTS)
    axes.grid(visible=True, axis="y", color=INK, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _label(axes: Axes, covered: Drawn, *, title: str, label: str) -> None:
    """Add dates, labels of the axes, and the title."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    # With few points each bar would be as wide as the whole chart.
    axes.set_xlim(min(covered.start, covered.end - covered.step * LEAST_STEPS), covered.end)  # type: ignore[arg-type]  # dates are units
    look: Any = {"color": INK, "fontsize": FONT_POINTS}
    axes.set_xlabel("hour, local time" if covered.step < dt.timedelta(days=1) else "day", **look)
    axes.set_ylabel(label, **look)
    text = ", ".join(filter(None, (title, covered.text)))
    axes.set_title(text, loc="left", pad=_title_pad(axes), parse_math=False, **look)


def _title_pad(axes: Axes) -> float:
    """Points between axes and title, where the legend is placed."""
    legend = axes.get_legend()
    rows = 0 if legend is None else -(-len(legend.get_texts()) // LEGEND_COLUMNS)
    return 6.0 + rows * FONT_POINTS * 1.6


def _even_digits(axes: Axes, unit: str) -> None:
    """Format all ticks with the decimals of the longest; amounts of money have none or at least two."""
    from matplotlib.ticker import MaxNLocator

    locator = MaxNLocator(nbins=4, steps=[1, 2, 5, 10])
    axes.yaxis.set_major_locator(locator)
    ticks = [Decimal(f"{tick:.10g}") for tick in locator.tick_values(*axes.get_ylim())]
    digits = max(-int(tick.normalize().as_tuple().exponent) for tick in ticks)
    digits = max(digits, 2) if digits > 0 and unit else max(digits, 0)
    axes.yaxis.set_major_formatter(lambda value, _place: f"{unit}{value:,.{digits}f}")


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))


def _legend(axes: Axes) -> None:
    legend = axes.legend(
        frameon=False,
        labelcolor=INK,
        fontsize=FONT_POINTS,
        ncols=LEGEND_COLUMNS,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0,
        handlelength=1,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _short(name: str, letters: int = 32) -> str:
    # Without dollar signs, which would start a formula.
    return (name if len(name) <= letters else name[: letters - 1] + "…").replace("$", r"\$")
