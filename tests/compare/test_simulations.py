"""Simulations of interval coverage and of false positives of the tests: 2,000 seeded runs each.

Documented figures are asserted, other figures are printed (``pytest -s``). A smaller version of each
simulation is part of every test run.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import stats

from ainb.compare.metrics.kappa import disagreement, kappa, kappa_interval
from ainb.compare.metrics.statistics import mcnemar, mean_interval, paired_difference, wilson

RUNS = 2_000
FEW_RUNS = 400
SLACK = 0.02  # of the small version: the standard error of a share of 400 runs is 1 % or more


def joint(margin, agreement):
    """Shares of a table with equal margins whose unweighted and weighted kappas are `agreement`."""
    margin = np.array(margin)
    return agreement * np.diag(margin) + (1 - agreement) * np.outer(margin, margin)


def wilson_coverage(n, share, runs):
    """Coverage over stratified draws, whose noise is far below the asserted bounds."""
    rng = np.random.default_rng(n * 1000 + round(share * 1000))
    strata = (np.arange(runs) + rng.random(runs)) / runs
    intervals = [wilson(int(k), n) for k in stats.binom.ppf(strata, n, share)]
    return np.mean([low <= share <= high for low, high in intervals])


def kappa_coverage(n, margin, agreement, weights, runs):
    rng = np.random.default_rng(n + round(agreement * 100))
    shares, size = joint(margin, agreement), len(margin)
    table = disagreement(size, weights)
    held = 0
    for run in range(runs):
        counts = rng.multinomial(n, shares.ravel()).reshape(size, size)
        low, high = kappa_interval(counts, table, seed=run)
        held += low <= agreement <= high
    return held / runs


def false_alarms(n, accuracy, together, runs):
    """Share of runs in which McNemar's test rejects although both variants have the same accuracy."""
    rng = np.random.default_rng(n + round(accuracy * 100))
    apart = (1 - together) * accuracy * (1 - accuracy)
    shares = [accuracy - apart, apart, apart, 1 - accuracy - apart]
    pairs = rng.multinomial(n, shares, runs)
    return np.mean([mcnemar(int(b), int(c)) < 0.05 for _, b, c, _ in pairs])


WILSON = [(n, share) for n in (100, 150, 300, 1000) for share in (0.6, 0.7, 0.8, 0.9, 0.95)]
# With two labels the weighted kappas equal the unweighted one.
KAPPA = [
    (300, margin, agreement, weights)
    for margin in ([0.5, 0.5], [0.8, 0.2], [0.2, 0.3, 0.5], [0.2] * 5)
    for agreement in (0.2, 0.5, 0.8, 0.9)
    for weights in ((None, "linear", "quadratic") if len(margin) > 2 else (None,))
] + [(1000, margin, 0.9, None) for margin in ([0.5, 0.5], [0.8, 0.2], [0.2] * 5)]
OUTSIDE = [
    (n, margin, agreement)
    for n, margin in ((30, [0.5, 0.5]), (100, [0.5, 0.5]), (100, [0.9, 0.1]), (300, [0.95, 0.05]), (1000, [0.99, 0.01]))  # noqa: E501
    for agreement in (0.2, 0.5, 0.9)
]  # fmt: skip
MCNEMAR = [
    (n, accuracy, together) for n in (30, 100, 1000) for accuracy in (0.6, 0.9) for together in (0.0, 0.7)
]


def test_kappa_of_the_simulated_tables_is_known():
    for margin in ([0.8, 0.2], [0.2, 0.3, 0.5]):
        for weights in (None, "linear", "quadratic"):
            assert kappa(joint(margin, 0.7), disagreement(len(margin), weights)) == pytest.approx(0.7)


@pytest.mark.parametrize(("n", "share"), WILSON)
def test_wilson_covers_its_95_percent(n, share):
    assert 0.93 <= wilson_coverage(n, share, RUNS) <= 0.97


@pytest.mark.parametrize("weights", [None, "quadratic"])
@pytest.mark.parametrize("agreement", [0.5, 0.9])
def test_the_kappa_interval_covers_its_95_percent_in_few_runs(agreement, weights):
    assert 0.93 - SLACK <= kappa_coverage(300, [0.8, 0.2], agreement, weights, FEW_RUNS) <= 0.97 + SLACK


@pytest.mark.slow
@pytest.mark.parametrize(("n", "margin", "agreement", "weights"), KAPPA)
def test_the_kappa_interval_covers_its_95_percent(n, margin, agreement, weights):
    assert 0.93 <= kappa_coverage(n, margin, agreement, weights, RUNS) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("n", "margin", "agreement"), OUTSIDE)
def test_with_fewer_rows_or_rarer_classes_the_kappa_interval_is_printed_and_roughly_right(
    n, margin, agreement
):
    share = kappa_coverage(n, margin, agreement, None, RUNS)

    print(f"kappa, n={n}, classes {margin}, kappa {agreement}: covers {share:.1%}")
    assert share >= 0.85


@pytest.mark.parametrize(("n", "accuracy", "together"), MCNEMAR)
def test_mcnemar_raises_a_false_alarm_in_at_most_5_percent(n, accuracy, together):
    assert false_alarms(n, accuracy, together, RUNS) <= 0.05


@pytest.mark.parametrize("gain", [0.0, 0.05, 0.1])
@pytest.mark.parametrize("n", [100, 300])
def test_the_interval_of_the_paired_difference_covers_at_least_93_percent(n, gain):
    rng = np.random.default_rng(n)
    pairs = rng.multinomial(n, [0.6, 0.1, 0.1 + gain, 0.2 - gain], RUNS)
    interval = cache(paired_difference)
    intervals = [interval(int(b), int(c), n) for _, b, c, _ in pairs]

    assert np.mean([low <= gain <= high for low, high in intervals]) >= 0.93


@pytest.mark.parametrize("n", [100, 300])
def test_the_interval_of_a_mean_error_covers_its_95_percent(n):
    rng = np.random.default_rng(n)
    intervals = [mean_interval(np.abs(rng.normal(0, 1, n))) for _ in range(RUNS)]

    assert 0.93 <= np.mean([low <= np.sqrt(2 / np.pi) <= high for low, high in intervals]) <= 0.97
