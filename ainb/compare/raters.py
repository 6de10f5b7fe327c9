"""`agreement`: inter-rater agreement of two columns of labels, of models or people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ainb.compare.labels import Label, given_order, in_order, label_order, read_labels
from ainb.compare.metrics.kappa import Weights, disagreement, kappa, kappa_interval
from ainb.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Agreement of two columns of labels; what `agreement` returns.

    Attributes:
        kappa: Cohen's kappa: 1 for full agreement, 0 for chance; None where it is undefined (no pairs, or one
            label for all).
        low: Lower limit of its 95 % bootstrap interval; None when `kappa` is None.
        high: Upper limit; None when `kappa` is None.
        share: Share of equal pairs, 0 to 1; None without pairs.
        n: Number of pairs without missing values.
        left_out: Number of pairs with a missing value, which do not count.
        weights: None, "linear" or "quadratic".
    """

    kappa: float | None
    low: float | None
    high: float | None
    share: float | None
    n: int
    left_out: int
    weights: Weights | None = None

    def __str__(self) -> str:
        left_out = f", {self.left_out:,} left out" if self.left_out else ""
        if self.share is None:
            return f"no pairs of labels{left_out}"
        kind = f"{self.weights} kappa" if self.weights else "kappa"
        value = "undefined"
        if self.kappa is not None and self.low is not None and self.high is not None:
            value = f"{self.kappa:.2f} ({self.low:.2f} to {self.high:.2f})"
        return f"{kind} {value}, {self.share:.1%} equal, n = {self.n:,}{left_out}"


def agreement(
    a: Iterable[Any],
    b: Iterable[Any],
    weights: Weights | None = None,
    *,
    labels: Sequence[Any] | None = None,
    seed: int = 0,
) -> Agreement:
    """Agreement of two columns of labels, beyond chance: Cohen's kappa with a 95 % bootstrap interval.

    Use it for a model and people, two models, two people, or a judge: a judge is another column of
    `Session.map`, and its agreement with people's labels shows how far it can be trusted. Judges prefer the
    first answer, the longer one, and answers of their own model. Measure a judge on rows that people have
    labelled, and swap the order of the answers on half of them.

    Args:
        a: A column of labels: Series, array or list. An Enum equals its value; pairs with a missing value are
            left out and counted.
        b: Another column of the same length, paired row by row.
        weights: For labels with an order, "linear" or "quadratic" counts small disagreements less; None
            counts every disagreement in full.
        labels: The labels from lowest to highest, including those that do not occur. None uses the order of
            an ordered Categorical or an Enum, or sorts numbers; only `weights` need an order.
        seed: Seed of the bootstrap.

    Raises:
        ConfigError: The columns differ in length, index or type, or `weights` need an order and the labels
            have none.

    Source: see `ainb.compare.metrics.kappa`.
    """
    if weights not in {None, "linear", "quadratic"}:
        raise ConfigError(f"weights must be None, 'linear' or 'quadratic'; it is {weights!r}")
    first, second = _pair(a), _pair(b)
    _check_alignment(first, second)
    left, right = read_labels(first), read_labels(second)
    pairs = [(x, y) for x, y in zip(left, right, strict=True) if x is not None and y is not None]
    _check_types(pairs)
    found = in_order(label for pair in pairs for label in pair)
    if labels is not None:
        order = given_order(labels, found)
    else:
        order = found if weights is None else label_order((first, second), found)
    counts = count_pairs(pairs, order)
    table = disagreement(len(order), weights)
    value, interval = kappa(counts, table), kappa_interval(counts, table, seed=seed)
    return Agreement(
        kappa=known(value),
        low=known(interval.low),
        high=known(interval.high),
        share=float(np.trace(counts)) / len(pairs) if pairs else None,
        n=len(pairs),
        left_out=len(left) - len(pairs),
        weights=weights,
    )


def count_pairs(pairs: Iterable[tuple[Label, Label]], order: Sequence[Label]) -> np.ndarray:
    """Counts of pairs of labels: int array of shape (k, k), the first label by rows."""
    places = {label: place for place, label in enumerate(order)}
    counts = np.zeros((len(order), len(order)), dtype=np.int64)
    for first, second in pairs:
        counts[places[first], places[second]] += 1
    return counts


def known(value: float) -> float | None:
    """The value, or None for NaN."""
    return None if math.isnan(value) else value


def _pair(column: Iterable[Any]) -> Any:
    if isinstance(column, str | bytes) or not isinstance(column, Iterable):
        raise ConfigError(f"agreement takes two columns of labels; one of them is {column!r:.60}")
    if hasattr(column, "columns"):
        raise ConfigError(
            "agreement takes two columns, and one of them is a table; pick a column: df['label']"
        )
    return column if hasattr(column, "__len__") else list(column)


def _check_alignment(a: Any, b: Any) -> None:
    if len(a) != len(b):
        raise ConfigError(
            f"the two columns must have the same length; they have {len(a):,} and {len(b):,} rows"
        )
    if hasattr(a, "iloc") and hasattr(b, "iloc") and not a.index.equals(b.index):
        raise ConfigError(
            "the two columns have different indexes, so that their rows may not belong together; align them "
            "with "
            "b.reindex(a.index), or pass a.to_numpy() and b.to_numpy() to pair them by position"
        )


def _check_types(pairs: Sequence[tuple[Label, Label]]) -> None:
    texts = [{isinstance(pair[side], str) for pair in pairs} for side in (0, 1)]
    if pairs and texts[0].isdisjoint(texts[1]):
        first, second = pairs[0]
        raise ConfigError(
            f"one column holds texts and the other numbers ({first!r}, {second!r}), so that no pair could be "
            "equal; convert one"
        )
