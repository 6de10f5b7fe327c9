"""Cohen's kappa from a table of counts, with a bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Literal

import numpy as np

from ainb.compare.metrics.random_stream import fixed_stream
from ainb.compare.metrics.statistics import Interval, Z, wilson

Weights = Literal["linear", "quadratic"]
RESAMPLES = 2_000
_MAX_CELLS_AT_ONCE = 4_000_000


def disagreement(size: int, weights: Weights | None = None, *, unanswered: int = 0) -> np.ndarray:
    """Disagreement weights of all pairs of labels.

    Args:
        size: Number of labels, in their order.
        weights: None counts every disagreement as 1; "linear" and "quadratic" weight it by the distance.
        unanswered: Number of categories after the labels that mean "no answer"; their weight is 1 for every
            label.

    Returns:
        Float array of shape (size + unanswered, size + unanswered), 0 to 1, 0 on the diagonal.

    Source: J. Cohen, Psychological Bulletin 70 (1968) 213-220.
    """
    places = np.arange(size)
    distance = np.abs(places[:, None] - places[None, :]) / max(1, size - 1)
    inner = {"linear": distance, "quadratic": distance**2}.get(weights or "", (distance > 0).astype(float))
    table = np.ones((size + unanswered, size + unanswered))
    table[:size, :size] = inner
    np.fill_diagonal(table, 0.0)
    return table


def kappa(counts: np.ndarray, weights: np.ndarray) -> float:
    """Cohen's kappa: agreement beyond what the two margins give by chance.

    Args:
        counts: Array of shape (k, k), rows by the first rater's label, columns by the second's.
        weights: Result of `disagreement`.

    Returns:
        1 for full agreement, 0 for chance, below 0 for less than chance; NaN where it is undefined: no rows,
        or one label for all rows of both.

    Source: J. Cohen, Educational and Psychological Measurement 20 (1960) 37-46; the same as
    ``sklearn.metrics.cohen_kappa_score``.
    """
    n = float(counts.sum())
    if n == 0:
        return math.nan
    expected = float(counts.sum(axis=1) @ weights @ counts.sum(axis=0)) / n
    return math.nan if expected == 0 else 1 - float((weights * counts).sum()) / expected


def kappa_interval(counts: np.ndarray, weights: np.ndarray, *, seed: int = 0) -> Interval:
    """Bootstrap interval of kappa (BCa: corrected for bias and skewness) over 2,000 resamples of the rows.

    Resamples in which kappa is undefined are left out. If all rows agree, no resample differs and the
    interval would have no width: its lower limit is then computed from the Wilson limit of the share of
    agreement, with the chance agreement as observed.

    Coverage in 2,000 simulated tables each: 93 to 97 % with at least 300 rows and 20 % in the rarest class,
    95 to 99 % with 30 and 100 rows of two equal classes, and 86 to 99 % with 10 rows in the rarer class
    (`tests/compare/test_simulations.py`).

    Args:
        counts: As for `kappa`.
        weights: As for `kappa`.
        seed: Seed of the resamples; the same seed and counts give the same interval.

    Source: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 14; the same
    method as ``scipy.stats.bootstrap(…, method="BCa")``.
    """
    if math.isnan(kappa(counts, weights)):
        return Interval(math.nan, math.nan)
    n = int(counts.sum())
    if float((weights * counts).sum()) == 0:
        expected = float(counts.sum(axis=1) @ weights @ counts.sum(axis=0)) / n**2
        return Interval(max(-1.0, 1 - (1 - wilson(n, n).low) / expected), 1.0)
    found = np.concatenate(list(_resampled(counts, weights, fixed_stream(seed))))
    found = found[~np.isnan(found)]
    # Plain percentiles held a quadratic kappa of 0.9 in 92.8 % of simulated tables, BCa limits in 94.7 %.
    low, high = np.quantile(found, _quantiles(found, counts, weights))
    return Interval(float(low), float(high))


def _quantiles(found: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> list[float]:
    """Quantiles of the resamples for the limits: 2.5 % and 97.5 %, corrected for bias and acceleration."""
    normal = NormalDist()
    observed = kappa(counts, weights)
    # Ties count half, because kappa of few rows has few distinct values.
    same = np.isclose(found, observed, rtol=0, atol=1e-12)
    below = float(((found < observed) & ~same).mean() + same.mean() / 2)
    bias = normal.inv_cdf(min(max(below, 1 / (2 * len(found))), 1 - 1 / (2 * len(found))))
    acceleration = _acceleration(counts, weights)
    limits = []
    for z in (-Z, Z):
        moved = bias + z
        limits.append(normal.cdf(bias + moved / max(1 - acceleration * moved, 1e-6)))
    return limits


def _acceleration(counts: np.ndarray, weights: np.ndarray) -> float:
    """A sixth of the skewness of the jackknife; rows of one cell all have the same jackknife value."""
    rows, columns = np.nonzero(counts)
    held = counts[rows, columns].astype(float)
    n = float(counts.sum())
    if n < 2:  # noqa: PLR2004 - a jackknife needs two rows
        return 0.0
    by_row, by_column = counts.sum(axis=1).astype(float), counts.sum(axis=0).astype(float)
    total = float((weights * counts).sum())
    chance = float(by_row @ weights @ by_column)
    less = chance - (weights @ by_column)[rows] - (by_row @ weights)[columns] + weights[rows, columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(less > 0, 1 - (total - weights[rows, columns]) * (n - 1) / less, math.nan)
    known = ~np.isnan(left)
    away = np.average(left[known], weights=held[known]) - left[known]
    spread = float((held[known] * away**2).sum())
    return 0.0 if spread == 0 else float((held[known] * away**3).sum()) / (6 * spread**1.5)


def _resampled(counts: np.ndarray, weights: np.ndarray, rng: np.random.RandomState) -> Iterator[np.ndarray]:
    """Kappa of each resample.

    Resampling rows is a multinomial draw over the cells; only cells with rows are drawn.
    """
    n = int(counts.sum())
    rows, columns = np.nonzero(counts)
    # In an order that is symmetric in the raters, so that swapping them does not change the interval.
    order = np.lexsort(
        (rows > columns, np.maximum(rows, columns), np.minimum(rows, columns), counts[rows, columns])
    )
    rows, columns = rows[order], columns[order]
    shares = counts[rows, columns] / n
    weight = weights[rows, columns]
    size = len(counts)
    to_row, to_column = np.eye(size)[rows], np.eye(size)[columns]
    at_once = max(1, min(RESAMPLES, _MAX_CELLS_AT_ONCE // max(len(rows), size)))
    for start in range(0, RESAMPLES, at_once):
        drawn = rng.multinomial(n, shares, size=min(at_once, RESAMPLES - start)).astype(float)
        expected = np.einsum("bi,ij,bj->b", drawn @ to_row, weights, drawn @ to_column, optimize=True) / n
        with np.errstate(divide="ignore", invalid="ignore"):
            yield np.where(expected > 0, 1 - (drawn @ weight) / expected, math.nan)
