"""Tests of kappa, class scores and metrics of numbers against scikit-learn and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from ainb.compare.metrics import numbers
from ainb.compare.metrics.kappa import disagreement, kappa, kappa_interval
from ainb.compare.metrics.scores import class_scores, macro_f1

WEIGHTS = [None, "linear", "quadratic"]


def draw(seed, size, rows, agree):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, size, rows)
    answers = np.where(rng.random(rows) < agree, truth, rng.integers(0, size, rows))
    return truth, answers


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize(("rows", "agree"), [(12, 0.5), (300, 0.0), (300, 0.6), (2000, 0.95)])
def test_kappa_is_scikit_learns(weights, size, rows, agree):
    truth, answers = draw(size * rows, size, rows, agree)
    labels = list(range(size))
    counts = metrics.confusion_matrix(truth, answers, labels=labels)

    expected = metrics.cohen_kappa_score(truth, answers, labels=labels, weights=weights)
    assert kappa(counts, disagreement(size, weights)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_rows_without_an_answer_disagree_in_full(weights):
    answered = np.array([[40, 10], [5, 45]])
    counts = np.zeros((3, 3), dtype=int)
    counts[:2, :2] = answered
    table = disagreement(2, weights, unanswered=1)
    as_labels = metrics.cohen_kappa_score(
        [0] * 60 + [1] * 50, [0] * 40 + [1] * 10 + [2] * 10 + [0] * 5 + [1] * 45
    )

    assert kappa(counts, table) == pytest.approx(kappa(answered, disagreement(2, weights)))
    counts[0, 2] = 10
    assert kappa(counts, table) == pytest.approx(as_labels)
    assert kappa(counts, table) < kappa(answered, disagreement(2, weights))


@pytest.mark.parametrize("counts", [np.zeros((2, 2), dtype=int), np.array([[9, 0], [0, 0]])])
def test_kappa_of_no_rows_or_of_one_label_is_undefined(counts):
    assert math.isnan(kappa(counts, disagreement(2)))
    assert all(map(math.isnan, kappa_interval(counts, disagreement(2))))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_interval_is_that_of_scipys_bootstrap(weights):
    truth, answers = draw(11, 3, 300, 0.7)
    table = disagreement(3, weights)
    counts = metrics.confusion_matrix(truth, answers)

    def statistic(a, b):
        return kappa(np.bincount(3 * a + b, minlength=9).reshape(3, 3), table)

    expected = stats.bootstrap(
        (truth, answers), statistic, paired=True, vectorized=False, n_resamples=2000, method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    found = kappa_interval(counts, table, seed=5)
    assert found == pytest.approx((expected.low, expected.high), abs=0.012)  # both are random


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    counts = np.array([[30, 10], [8, 40]])

    assert kappa_interval(counts, disagreement(2), seed=1) == kappa_interval(counts, disagreement(2), seed=1)
    assert kappa_interval(counts, disagreement(2), seed=1) != kappa_interval(counts, disagreement(2), seed=2)


def test_it_does_not_matter_which_rater_stands_first():
    counts = np.array([[30, 10, 2], [8, 40, 5], [1, 0, 12]])

    assert kappa_interval(counts, disagreement(3)) == pytest.approx(kappa_interval(counts.T, disagreement(3)))


@pytest.mark.parametrize(("rows", "least"), [(4, 0.1), (40, 0.8), (4000, 0.99)])
def test_full_agreement_of_few_rows_has_a_wide_interval(rows, least):
    low, high = kappa_interval(np.diag([rows // 2, rows // 2]), disagreement(2))

    assert high == 1.0
    assert least - 0.35 < low < 1.0
    assert low == pytest.approx(1 - 2 * (1 - stats.binomtest(rows, rows).proportion_ci(method="wilson").low))


@pytest.mark.parametrize(
    "counts", [[[1, 0], [0, 1]], [[1, 1], [0, 0]], [[0, 1], [0, 0]], [[0, 1], [1, 0]], [[5, 1], [0, 0]]]
)
def test_few_rows_raise_no_error(counts):
    low, high = kappa_interval(np.array(counts), disagreement(2))

    assert (math.isnan(low) and math.isnan(high)) or -1 <= low <= high <= 1


@pytest.mark.parametrize("size", [2, 3, 6])
@pytest.mark.parametrize("agree", [0.2, 0.8])
def test_scores_are_scikit_learns_with_unanswered_rows_against_recall(size, agree):
    truth, answers = draw(size, size, 200, agree)
    answers = np.where(np.random.default_rng(4).random(200) < 0.1, size, answers)  # unanswered
    labels = list(range(size))
    counts = metrics.confusion_matrix(truth, answers, labels=[*labels, size])

    expected = metrics.precision_recall_fscore_support(truth, answers, labels=labels)
    found = class_scores(counts, size).T
    assert found == pytest.approx(np.array(expected, dtype=float))
    assert macro_f1(counts, size) == pytest.approx(
        metrics.f1_score(truth, answers, labels=labels, average="macro")
    )


def test_what_was_never_answered_has_no_precision_and_an_f1_of_zero():
    scores = class_scores(np.array([[5, 0, 0], [3, 0, 1], [0, 0, 0]]), 2)

    assert scores[1, 0] != scores[1, 0]
    assert list(scores[1, 1:]) == [0.0, 0.0, 4.0]
    assert macro_f1(np.array([[5, 0], [0, 0]]), 2) == 1.0  # a class without true rows does not count
    assert math.isnan(macro_f1(np.zeros((2, 2)), 2))


@pytest.mark.parametrize("seed", range(8))
def test_number_figures_are_scikit_learns_and_scipys(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 6, 80).astype(float)  # with ties
    answers = truth + rng.normal(0, 2, 80).round(seed % 3)

    assert numbers.mean_absolute_error(truth, answers) == pytest.approx(
        metrics.mean_absolute_error(truth, answers)
    )
    assert numbers.root_mean_squared_error(truth, answers) == pytest.approx(
        metrics.root_mean_squared_error(truth, answers)
    )
    assert numbers.pearson(truth, answers) == pytest.approx(stats.pearsonr(truth, answers).statistic)
    assert numbers.spearman(truth, answers) == pytest.approx(stats.spearmanr(truth, answers).statistic)
    assert list(numbers.mean_ranks(answers)) == list(stats.rankdata(answers))


@pytest.mark.parametrize(("truth", "answers"), [([], []), ([1.0], [2.0]), ([1.0, 2.0], [3.0, 3.0])])
def test_correlation_of_a_constant_or_of_one_row_is_undefined(truth, answers):
    assert math.isnan(numbers.pearson(np.array(truth), np.array(answers)))
    assert math.isnan(numbers.spearman(np.array(truth), np.array(answers)))
