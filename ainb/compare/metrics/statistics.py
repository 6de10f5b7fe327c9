"""Intervals and tests for proportions and means. Pure functions over counts; numpy only.

Every interval is a 95 % interval and every p value is two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Z = 1.959963984540054  # 97.5 % quantile of the standard normal distribution
ALPHA = 0.05
_BISECTIONS = 60  # halves [0, 1] down to 1e-18


class Interval(NamedTuple):
    """A 95 % interval; both limits are NaN without rows."""

    low: float
    high: float


UNKNOWN = Interval(math.nan, math.nan)


def wilson(successes: int, n: int) -> Interval:
    """Wilson score interval of a proportion, without continuity correction.

    Args:
        successes: Number of right rows.
        n: Number of rows; 0 gives NaN limits.

    Source: E. B. Wilson, JASA 22 (1927) 209-212; the same as
    ``scipy.stats.binomtest(…).proportion_ci(method="wilson")``.
    """
    if n == 0:
        return UNKNOWN
    share, z2 = successes / n, Z * Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At the ends the formula gives 0 and 1 exactly; floating point does not.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high)


def clopper_pearson(successes: int, n: int) -> Interval:
    """Exact (Clopper-Pearson) interval of a proportion.

    Args:
        successes: Number of successes.
        n: Number of rows; 0 gives NaN limits.

    Source: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404-413.
    """
    if n == 0:
        return UNKNOWN
    tail = ALPHA / 2
    low = 0.0
    if successes > 0:
        low = _root(lambda share: tail - binomial_tail(n - successes, n, 1 - share))
    high = 1.0
    if successes < n:
        high = _root(lambda share: binomial_tail(successes, n, share) - tail)
    return Interval(low, high)


def binomial_tail(k: int, n: int, share: float) -> float:
    """Probability of at most `k` successes in `n` trials that succeed with probability `share`."""
    if k < 0 or share >= 1:
        return float(k >= n)
    if k >= n or share <= 0:
        return 1.0
    # log C(n, i) as a running sum of log((n - i + 1) / i): exact enough at any n, and no large integers.
    steps = np.arange(1, k + 1, dtype=float)
    logs = np.concatenate([[0.0], np.cumsum(np.log((n - steps + 1) / steps))])
    terms = np.arange(k + 1)
    exponents = logs + terms * math.log(share) + (n - terms) * math.log1p(-share)
    peak = float(exponents.max())
    return min(1.0, math.exp(peak) * float(np.exp(exponents - peak).sum()))


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact McNemar test: p value of the hypothesis that two variants are right equally often.

    Args:
        only_first: Rows on which only the first is right.
        only_second: Rows on which only the second is right.

    Returns:
        Two-sided p value; 1 without discordant rows.

    Source: Q. McNemar, Psychometrika 12 (1947) 153-157, with the binomial distribution in place of
    chi-squared; the same as ``statsmodels.stats.contingency_tables.mcnemar(…, exact=True)``.
    """
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    return min(1.0, 2 * binomial_tail(min(only_first, only_second), discordant, 0.5))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for multiple comparisons by Holm's step-down method, in the given order.

    Source: S. Holm, Scandinavian Journal of Statistics 6 (1979) 65-70; the same as
    ``statsmodels.stats.multitest.multipletests(…, method="holm")``.
    """
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda item: p_values[item])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def paired_difference(only_first: int, only_second: int, n: int) -> Interval:
    """Interval of the second's accuracy minus the first's, on the same rows.

    Exact, conditional on the number of discordant rows: it excludes 0 exactly when `mcnemar` is below 5 %.

    Args:
        only_first: Rows on which only the first is right.
        only_second: Rows on which only the second is right.
        n: Number of rows; 0 gives NaN limits.

    Source: the Clopper-Pearson interval of ``only_second / (only_first + only_second)``, scaled; P. Armitage,
    G. Berry and J. N. S. Matthews, Statistical Methods in Medical Research (4th ed. 2002), section 4.5.
    """
    if n == 0:
        return UNKNOWN
    discordant = only_first + only_second
    if discordant == 0:
        # Without discordant rows there is nothing to condition on: the Wilson limit of their share (0 of n)
        # bounds the difference.
        bound = wilson(0, n).high
        return Interval(-bound, bound)
    share = clopper_pearson(only_second, discordant)
    return Interval(*((2 * limit - 1) * discordant / n for limit in share))


def mean_interval(values: np.ndarray) -> Interval:
    """Normal interval of a mean.

    Args:
        values: Float array of shape (n,); fewer than two give NaN limits.

    Source: the central limit theorem; see ``statsmodels.stats.weightstats.zconfint``.
    """
    if len(values) < 2:  # noqa: PLR2004 - one value has no variance
        return UNKNOWN
    mean, half = float(values.mean()), Z * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Interval(mean - half, mean + half)


def _root(falling: Callable[[float], float]) -> float:
    """Root of a decreasing function on [0, 1]."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
