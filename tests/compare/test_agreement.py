"""Tests of the agreement of two columns of every type."""

from __future__ import annotations

import enum
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import ainb
from tests.lazy import Lazy

metrics = Lazy("sklearn.metrics")


class Size(enum.Enum):
    SMALL = "s"
    MIDDLE = "m"
    LARGE = "l"


def two(size=3, rows=200, seed=1, names=None):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, size, rows)
    second = np.where(rng.random(rows) < 0.7, first, rng.integers(0, size, rows))
    if names is None:
        return first, second
    return np.array(names, dtype=object)[first], np.array(names, dtype=object)[second]


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
@pytest.mark.parametrize("kind", [list, np.array, pd.Series, pd.array, tuple])
def test_it_is_scikit_learns_kappa_with_n_and_an_interval(weights, kind):
    first, second = two(5)

    found = ainb.agreement(kind(first), kind(second), weights=weights)

    assert found.kappa == pytest.approx(metrics.cohen_kappa_score(first, second, weights=weights))
    assert found.low < found.kappa < found.high
    assert found.share == (first == second).mean()
    assert (found.n, found.left_out, found.weights) == (200, 0, weights)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["x", "y", "x"], pd.Series(["x", "y", "x"], dtype="category")),
        ([Size.SMALL, Size.LARGE, Size.SMALL], ["s", "l", "s"]),
        ([1, 2, 1], np.array([1.0, 2.0, 1.0])),
        ([1, 2, 1], [Decimal(1), Decimal("2.0"), Decimal(1)]),
        ([True, False, True], pd.array([True, False, True], dtype="boolean")),
        (pd.Series([1, 2, 1], dtype="Int64"), [1, 2, 1]),
        ([["a", "b"], ["b"], ["a", "b"]], [("a", "b"), ("b",), ("a", "b")]),
        ([{"x": 1, "y": 2}, {"x": 2}, {"y": 2, "x": 1}], [{"y": 2, "x": 1}, {"x": 2}, {"x": 1, "y": 2}]),
    ],
)
def test_equal_labels_are_equal_whatever_their_type(one, other):
    found = ainb.agreement(one, other)

    assert (found.share, found.kappa, found.high) == (1.0, 1.0, 1.0)
    assert found.low < 0.5  # three rows are weak evidence


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT, np.nan])
def test_a_pair_with_a_missing_value_is_left_out_and_counted(missing):
    found = ainb.agreement(["x", "y", missing, "x", missing], ["x", "x", "x", missing, missing])

    assert (found.n, found.left_out, found.share) == (2, 3, 0.5)


@pytest.mark.parametrize("column", [[], [None, None], ["x", "x"]])
def test_where_kappa_is_undefined_it_is_none(column):
    found = ainb.agreement(column, column)

    assert (found.kappa, found.low, found.high) == (None, None, None)
    assert "undefined" in str(found) or "no pairs" in str(found)


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_weights_take_a_declared_order_and_never_the_alphabet(weights):
    names = ["low", "middle", "high"]
    first, second = two(names=names)
    expected = metrics.cohen_kappa_score(first, second, labels=names, weights=weights)

    with pytest.raises(ainb.ConfigError, match=r"texts have none \('high', 'low', 'middle'\); pass labels="):
        ainb.agreement(first, second, weights=weights)
    ordered = [pd.Categorical(column, categories=names, ordered=True) for column in (first, second)]
    assert ainb.agreement(*ordered, weights=weights).kappa == pytest.approx(expected)
    assert ainb.agreement(ordered[0], second, weights=weights).kappa == pytest.approx(expected)
    assert ainb.agreement(first, second, weights=weights, labels=names).kappa == pytest.approx(expected)
    sizes = dict(zip(names, Size, strict=True))
    found = ainb.agreement([sizes[x] for x in first], [sizes[x] for x in second], weights=weights)
    assert found.kappa == pytest.approx(expected)


def test_labels_that_do_not_occur_widen_the_scale():
    first, second = [1, 1, 2, 2, 5, 5], [1, 2, 2, 1, 5, 2]

    whole = ainb.agreement(first, second, weights="linear", labels=[1, 2, 3, 4, 5])

    expected = metrics.cohen_kappa_score(first, second, labels=[1, 2, 3, 4, 5], weights="linear")
    assert whole.kappa == pytest.approx(expected)
    assert ainb.agreement(first, second, weights="linear").kappa != whole.kappa


@pytest.mark.parametrize(
    ("one", "other", "options", "said"),
    [
        (["x"], ["x", "y"], {}, "same length; they have 1 and 2 rows"),
        (pd.Series(["x"], index=[1]), pd.Series(["x"], index=[2]), {}, "different indexes"),
        (["1", "2"], [1, 2], {}, "one column holds texts and the other numbers"),
        ("xx", ["x", "x"], {}, "takes two columns of labels"),
        (3, ["x"], {}, "takes two columns of labels"),
        (pd.DataFrame({"a": ["x"]}), ["x"], {}, "one of them is a table"),
        (["x"], ["x"], {"weights": "cubic"}, "weights must be None, 'linear' or 'quadratic'"),
        (["x"], ["y"], {"labels": ["x"]}, "the label 'y' occurs and is not among"),
        (["x"], ["x"], {"labels": ["x", "x"]}, "name each label once"),
    ],
)
def test_what_cannot_be_compared_is_refused(one, other, options, said):
    with pytest.raises(ainb.ConfigError, match=said):
        ainb.agreement(one, other, **options)


def test_two_orders_that_differ_are_refused():
    one = pd.Categorical(["x", "y"], categories=["x", "y"], ordered=True)
    other = pd.Categorical(["x", "y"], categories=["y", "x"], ordered=True)

    with pytest.raises(ainb.ConfigError, match="order their labels differently"):
        ainb.agreement(one, other, weights="linear")


def test_its_text_is_one_line():
    first, second = two()

    text = str(ainb.agreement(first, second, weights="linear"))

    assert text.startswith("linear kappa 0.")
    assert text.endswith(f"{(first == second).mean():.1%} equal, n = 200")


def test_series_are_paired_by_row_when_their_index_is_the_same():
    index = [3, 1, 2]

    assert (
        ainb.agreement(pd.Series(list("xyz"), index=index), pd.Series(list("xyz"), index=index)).share == 1.0
    )
