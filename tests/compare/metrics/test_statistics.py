"""Tests of confidence intervals and significance tests against scipy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.compare.metrics.statistics import (
    binomial_tail,
    clopper_pearson,
    holm,
    mcnemar,
    mean_interval,
    paired_difference,
    wilson,
)
from tests.lazy import Lazy

stats = Lazy("scipy.stats")
statsmodels = Lazy("statsmodels.stats.api")

COUNTS = [
    (0, 1), (1, 1), (0, 30), (30, 30), (1, 30), (29, 30), (7, 13), (50, 100), (81, 263), (999, 1000), (12_345, 100_000),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(("successes", "n"), COUNTS)
def test_wilson_is_scipys(successes, n):
    expected = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")

    assert wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), COUNTS)
def test_clopper_pearson_is_scipys(successes, n):
    expected = stats.binomtest(successes, n).proportion_ci(0.95, method="exact")

    assert clopper_pearson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("interval", [wilson(0, 0), clopper_pearson(0, 0), paired_difference(0, 0, 0)])
def test_without_rows_there_is_no_interval(interval):
    assert all(map(math.isnan, interval))


def test_wilson_intervals_of_0_and_all_end_at_0_and_1():
    assert wilson(0, 7).low == 0.0
    assert wilson(7, 7).high == 1.0


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 400), st.data(), st.floats(0.001, 0.999))
def test_the_binomial_tail_is_scipys(n, data, share):
    k = data.draw(st.integers(-1, n))

    assert binomial_tail(k, n, share) == pytest.approx(stats.binom.cdf(k, n, share), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("only_first", "only_second"),
    [(0, 0), (0, 1), (1, 1), (5, 5), (0, 6), (6, 0), (3, 14), (25, 40), (500, 601), (40_000, 41_000)],
)
def test_mcnemar_is_statsmodels(only_first, only_second):
    expected = statsmodels.mcnemar([[10, only_first], [only_second, 10]], exact=True).pvalue

    assert mcnemar(only_first, only_second) == pytest.approx(expected, rel=1e-8, abs=1e-12)
    assert mcnemar(only_second, only_first) == mcnemar(only_first, only_second)


@pytest.mark.parametrize("several", [1, 2, 3, 12])
@pytest.mark.parametrize("scale", [1, 0.02])
def test_holm_is_statsmodels(several, scale):
    p_values = [*(np.random.default_rng(several).random(several) * scale), scale, scale]  # with ties
    expected = statsmodels.multipletests(p_values, method="holm")[1]

    assert holm(p_values) == pytest.approx(list(expected), abs=1e-12)


def test_holm_of_no_p_values_is_empty():
    assert holm([]) == []


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_the_interval_of_the_difference_leaves_out_zero_exactly_where_the_test_rejects(
    only_first, only_second
):
    n = only_first + only_second + 20
    low, high = paired_difference(only_first, only_second, n)

    assert low <= (only_second - only_first) / n <= high
    assert (low > 0 or high < 0) == (mcnemar(only_first, only_second) < 0.05)
    assert paired_difference(only_second, only_first, n) == pytest.approx((-high, -low), abs=1e-12)


def test_two_that_are_right_on_the_same_rows_may_still_differ_by_a_little():
    low, high = paired_difference(0, 0, 300)

    assert -0.013 < low < 0 < high < 0.013


def test_the_interval_of_a_mean_is_statsmodels():
    values = np.random.default_rng(3).exponential(2.0, 250)

    assert mean_interval(values) == pytest.approx(statsmodels.zconfint(values), abs=1e-9)
    assert all(map(math.isnan, mean_interval(values[:1])))
