"""Tests of cells of every kind in prompts and result files: arrays, missing values, numpy scalars, dates."""

from __future__ import annotations

import csv
import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from ainb.plain import plain_scalar

LONG = np.arange(2_000)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (LONG, str(list(range(2_000)))),
        (np.zeros(1_500), str([0.0] * 1_500)),
        (np.arange(6).reshape(2, 3), "[[0, 1, 2], [3, 4, 5]]"),
        ([LONG, 1], str([list(range(2_000)), 1])),
        ({"a": LONG}, str({"a": list(range(2_000))})),
        ((np.int64(1), np.float64(0.5)), "(1, 0.5)"),
        (np.array(["a", "b"]), "['a', 'b']"),
    ],
)
def test_every_value_of_an_array_is_sent(session, cell, text):
    frame = pd.DataFrame({"v": pd.Series([cell], dtype=object)})

    assert session.map(frame, "{v}")["reply"].tolist() == [text]


@pytest.mark.parametrize("kind", ["float32", "float16", "float64"])
def test_a_number_is_sent_as_pandas_shows_it(session, kind):
    frame = pd.DataFrame({"v": np.array([0.1, 2.5, 3], dtype=kind)})

    assert session.map(frame, "{v}")["reply"].tolist() == ["0.1", "2.5", "3.0"]


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_a_parameter_of_any_precision_is_the_number_typed(kind):
    assert plain_scalar(kind("0.3")) == 0.3


@pytest.mark.parametrize("cell", [Decimal("NaN"), Decimal("sNaN"), float("nan"), None, pd.NA, pd.NaT])
def test_a_missing_value_of_any_kind_is_not_sent(session, cell):
    result = session.map(pd.DataFrame({"v": pd.Series([cell, "x"], dtype=object)}), "{v}")

    assert result["status"].tolist() == ["rejected", "ok"]


def kept(session, path, values):
    """The cells of a kept column in a result file."""
    frame = pd.DataFrame({"t": ["x"] * len(values), "v": values})
    session.map(frame, "{t}", out=path, keep=True)
    if path.suffix == ".parquet":
        return pd.read_parquet(path, dtype_backend="pyarrow")["v"].array.__arrow_array__().to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line)["v"] for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return [row["v"] for row in csv.DictReader(file)]


STAMP = pd.Timestamp("2024-01-01 05:06:07")
DAY = dt.date(2024, 1, 1)
COLUMNS = {
    "Int64": (pd.array([1, None], dtype="Int64"), [1, None], [1, None]),
    "Int64 beyond a double": (
        pd.array([2**53 + 1, None], dtype="Int64"),
        [2**53 + 1, None],
        [2**53 + 1, None],
    ),
    "boolean": (pd.array([True, None], dtype="boolean"), [True, None], [True, None]),
    "Float64": (pd.array([1.5, None], dtype="Float64"), [1.5, None], [1.5, None]),
    "texts": (["a", None], ["a", None], ["a", None]),
    "an empty text": (["", None], ["", None], ["", None]),
    "categories": (pd.Categorical(["a", None]), ["a", None], ["a", None]),
    "times": ([STAMP, pd.NaT], [str(STAMP), None], [STAMP, None]),
    "mixed with a gap": (["a", 1, None], ["a", 1, None], ["a", "1", None]),
    "numpy scalars": (pd.Series([np.int64(1), np.bool_(True)], dtype=object), [1, True], ["1", "True"]),
    "arrays": ([np.arange(3), np.arange(2)], [[0, 1, 2], [0, 1]], [[0, 1, 2], [0, 1]]),
    "long arrays": ([LONG, None], [LONG.tolist(), None], [LONG.tolist(), None]),
    "dates and times": ([DAY, STAMP], [str(DAY), str(STAMP)], [str(DAY), str(STAMP)]),
    "times and dates": ([STAMP, DAY], [str(STAMP), str(DAY)], [str(STAMP), str(DAY)]),
}


@pytest.mark.parametrize(("values", "in_json", "_in_parquet"), COLUMNS.values(), ids=COLUMNS)
def test_a_kept_cell_is_the_same_in_json_lines(session, tmp_path, values, in_json, _in_parquet):
    assert kept(session, tmp_path / "o.jsonl", values) == in_json


@pytest.mark.parametrize(("values", "_in_json", "in_parquet"), COLUMNS.values(), ids=COLUMNS)
def test_a_kept_cell_is_the_same_in_parquet(session, tmp_path, values, _in_json, in_parquet):
    assert kept(session, tmp_path / "o.parquet", values) == in_parquet


@pytest.mark.parametrize("end", [".csv", ".tsv"])
def test_every_value_of_an_array_is_written(session, tmp_path, end):
    frame = pd.DataFrame({"t": ["x"], "v": [LONG]})
    path = tmp_path / f"o{end}"
    session.map(frame, "{t}", out=path, keep=True)
    with path.open(newline="") as file:
        row = next(csv.DictReader(file, delimiter="," if end == ".csv" else "\t"))

    assert json.loads(row["v"]) == LONG.tolist()
