"""Panel data of a comparison: intervals on one scale, shares of the confusion matrix, the pair to show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ainb.plain import is_missing

if TYPE_CHECKING:
    import pandas as pd

    from ainb.compare.result import Comparison

STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5)
LEAST_STEPS = 4


class Bar(NamedTuple):
    """An interval on a scale from 0 to 1."""

    low: float
    value: float
    high: float


class Scale(NamedTuple):
    """Intervals of one table on one scale.

    Attributes:
        start: Value at the left end.
        end: Value at the right end.
        bars: Interval of each row; None when the value or its interval is unknown.
    """

    start: float
    end: float
    bars: list[Bar | None]


def common_scale(frame: pd.DataFrame) -> Scale:
    """Accuracies or mean errors with their intervals, on the narrowest scale with round ends."""
    numbers = "mae" in frame
    names = ("mae_low", "mae", "mae_high") if numbers else ("low", "accuracy", "high")
    rows = [[_number(value) for value in row] for row in frame[list(names)].itertuples(index=False)]
    known = [value for row in rows for value in row if not math.isnan(value)]
    if not known:
        return Scale(0.0, 1.0, [None] * len(rows))
    start, end = _round_ends(min(known), max(known), most=math.inf if numbers else 1.0)
    bars = [
        None
        if any(map(math.isnan, row))
        else Bar(*((min(max(value, start), end) - start) / (end - start) for value in row))
        for row in rows
    ]
    return Scale(start, end, bars)


def _round_ends(low: float, high: float, *, most: float) -> tuple[float, float]:
    size = 10 ** math.floor(math.log10(high)) if high > 1 else 1.0
    step = size * next((step for step in STEPS if high - low <= LEAST_STEPS * step * size), 1.0)
    # A rounding error must not widen the scale by a whole step.
    start, end = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return max(0.0, start), max(min(end, most), start + step)


def narrowed(confusion: pd.DataFrame, most: int) -> pd.DataFrame:
    """The matrix; above `most` labels in all, answers outside the classes are summed as "other answers"."""
    classes, outcomes = len(confusion), 2
    others = confusion.iloc[:, classes:-outcomes]
    if confusion.shape[1] - outcomes <= most:
        return confusion
    narrow = confusion.drop(columns=others.columns)
    narrow.insert(classes, "other answers", others.sum(axis=1), allow_duplicates=True)
    return narrow


def row_shares(confusion: pd.DataFrame) -> np.ndarray:
    """Each count divided by its row's sum, 0 to 1; 0 in a row without counts."""
    counts = confusion.to_numpy(dtype=float)
    totals = counts.sum(axis=1, keepdims=True)
    shares: np.ndarray = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    return shares


def pair_to_show(result: Comparison) -> tuple[int, int] | None:
    """Positions of the variants whose disagreements are shown: the first and the winner, else the second."""
    if len(result.answers_by_variant) == 1:
        return None
    return 0, result.conclusion.winner or 1


def _number(value: Any) -> float:
    return math.nan if is_missing(value) else float(value)
