"""Metrics of one variant, and of two variants on the same rows: labels by counts, numbers by errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ainb.compare.answers import Answers
from ainb.compare.labels import Label, in_order
from ainb.compare.metrics import numbers
from ainb.compare.metrics.kappa import Weights, disagreement, kappa, kappa_interval
from ainb.compare.metrics.scores import class_scores, macro_f1
from ainb.compare.metrics.statistics import Interval, mean_interval, paired_difference, wilson


class Pair(NamedTuple):
    """Paired metrics of two variants on the same rows.

    Attributes:
        only_first: Rows on which only the first is right; for numbers, on which it is nearer to the truth.
        only_second: The same for the second.
        difference: The second's accuracy, or mean absolute error, minus the first's.
        interval: 95 % interval of `difference`.
    """

    only_first: int
    only_second: int
    difference: float
    interval: Interval


class LabelMetrics:
    """Accuracy, kappa and F1 of labels.

    Args:
        truth: One label per row.
        classes: All labels of the truth and of the schema, in their order.
        weights: Weights of kappa.
        seed: Seed of kappa's bootstrap interval.
    """

    columns: tuple[str, ...] = (
        "accuracy", "low", "high", "answered", "accuracy_answered", "kappa",
        "kappa_low", "kappa_high", "macro_f1",
    )  # fmt: skip

    def __init__(
        self, truth: Sequence[Label], classes: Sequence[Label], *, weights: Weights | None, seed: int
    ) -> None:
        self.truth = truth
        self.classes = classes
        self._weights = disagreement(len(classes), weights, unanswered=1)
        self._seed = seed
        # Resamples depend on the order of the cells: sorted as in `agreement`, the intervals are equal.
        sorted_places = [classes.index(label) for label in in_order(classes)]
        self._places = [*(range(len(classes)) if weights else sorted_places), len(classes)]

    def right(self, answers: Answers) -> np.ndarray:
        """Bool array: rows whose answer equals the truth."""
        return np.array([a == t for a, t in zip(answers.labels, self.truth, strict=True)], dtype=bool)

    def counts(self, answers: Answers) -> np.ndarray:
        """Rows by truth and answer: int array of shape (k + 1, k + 1).

        The last column counts answers outside the classes and rows without an answer; the last row is empty.
        """
        places = {label: place for place, label in enumerate(self.classes)}
        table = np.zeros((len(places) + 1, len(places) + 1), dtype=np.int64)
        for truth, answer in zip(self.truth, answers.labels, strict=True):
            table[places[truth], len(places) if answer is None else places.get(answer, len(places))] += 1
        return table

    def row(self, answers: Answers) -> dict[str, Any]:
        """Metrics by column; a row without an answer counts as wrong in all but ``accuracy_answered``."""
        right, n, answered = int(self.right(answers).sum()), len(self.truth), int(answers.answered.sum())
        counts = self.counts(answers)
        low, high = wilson(right, n)
        kappa_counts = counts[np.ix_(self._places, self._places)]
        kappa_low, kappa_high = kappa_interval(kappa_counts, self._weights, seed=self._seed)
        return {
            "accuracy": right / n,
            "low": low,
            "high": high,
            "answered": answered,
            "accuracy_answered": right / answered if answered else math.nan,
            "kappa": kappa(counts, self._weights),
            "kappa_low": kappa_low,
            "kappa_high": kappa_high,
            "macro_f1": macro_f1(counts, len(self.classes)),
        }

    def pair(self, first: Answers, second: Answers, rows: np.ndarray | None = None) -> Pair:
        """Rows on which only one of the two is right, of all rows or of those of a bool array."""
        kept = slice(None) if rows is None else rows
        one, other = self.right(first)[kept], self.right(second)[kept]
        only_first, only_second = int((one & ~other).sum()), int((other & ~one).sum())
        n = len(one)
        interval = paired_difference(only_first, only_second, n)
        return Pair(only_first, only_second, (only_second - only_first) / n if n else math.nan, interval)

    def rank(self, answers: Answers) -> float:
        """The accuracy, by which variants are ranked."""
        return float(self.right(answers).mean())

    def smallest_group(self) -> tuple[str, int]:
        """The class of the truth with the fewest rows."""
        sizes = dict.fromkeys(self.classes, 0)
        for label in self.truth:
            sizes[label] += 1
        label, size = min(((label, size) for label, size in sizes.items() if size), key=lambda item: item[1])
        return f"of the class {label!r}", size

    def scores(self, answers: Answers) -> np.ndarray:
        """Result of `class_scores`, one row per class."""
        return class_scores(self.counts(answers), len(self.classes))


class NumberMetrics:
    """Errors and correlations of numbers, over the rows with an answer.

    Args:
        truth: One number per row.
    """

    columns: tuple[str, ...] = ("answered", "mae", "mae_low", "mae_high", "rmse", "pearson", "spearman")

    def __init__(self, truth: Sequence[Label]) -> None:
        self.truth = np.array(truth, dtype=float)

    def errors(self, answers: Answers) -> np.ndarray:
        """Absolute errors; infinite for a row without an answer."""
        values = [math.inf if label is None else float(label) for label in answers.labels]
        away: np.ndarray = np.abs(np.array(values) - self.truth)
        return away

    def row(self, answers: Answers) -> dict[str, Any]:
        """Metrics by column."""
        answered = answers.answered
        truth = self.truth[answered]
        values = np.array([label for label in answers.labels if label is not None], dtype=float)
        low, high = mean_interval(np.abs(values - truth))
        return {
            "answered": len(truth),
            "mae": numbers.mean_absolute_error(truth, values),
            "mae_low": max(0.0, low),
            "mae_high": high,
            "rmse": numbers.root_mean_squared_error(truth, values),
            "pearson": numbers.pearson(truth, values),
            "spearman": numbers.spearman(truth, values),
        }

    def pair(self, first: Answers, second: Answers, rows: np.ndarray | None = None) -> Pair:
        """Rows on which one variant is nearer to the truth; mean difference of rows that both answered.

        Of all rows, or of those of a bool array.
        """
        kept = slice(None) if rows is None else rows
        one, other = self.errors(first)[kept], self.errors(second)[kept]
        both = np.isfinite(one) & np.isfinite(other)
        away = other[both] - one[both]
        difference = float(away.mean()) if len(away) else math.nan
        return Pair(int((one < other).sum()), int((other < one).sum()), difference, mean_interval(away))

    def rank(self, answers: Answers) -> float:
        """The negative mean absolute error; a variant without answers ranks last."""
        value = self.row(answers)["mae"]
        return -math.inf if math.isnan(value) else -value

    def smallest_group(self) -> tuple[str, int]:
        """All rows, because numbers have no classes."""
        return "", len(self.truth)


Metrics = LabelMetrics | NumberMetrics
