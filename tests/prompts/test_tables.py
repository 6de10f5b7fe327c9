"""Tests of tables in prompts: schema and CSV of frames and series."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ainb.prompts.tables import kind_of, table_text


def test_a_frame_goes_in_as_schema_and_csv():
    frame = pd.DataFrame(
        {
            "review": ["good, really", 'a "quote"', None],
            "stars": [5, 1, 3],
            "score": [0.1, float("nan"), 1e16],
            "ok": [True, False, True],
            "when": pd.to_datetime(["2024-01-01T00:00:00", "2024-01-01T10:30:00", None]),
        }
    )

    assert table_text(frame) == (
        "DataFrame, 3 rows, 5 columns\n"
        "columns: review (text), stars (integer), score (number), ok (boolean), when (time)\n"
        "all rows as CSV:\n"
        "review,stars,score,ok,when\n"
        '"good, really",5,0.1,True,2024-01-01T00:00:00\n'
        '"a ""quote""",1,,False,2024-01-01T10:30:00\n'
        ",3,1e+16,True,"
    )


def test_only_the_first_rows_go_in():
    text = table_text(pd.DataFrame({"a": range(100)}))

    assert text.startswith(
        "DataFrame, 100 rows, 1 column\ncolumns: a (integer)\nfirst 20 rows as CSV:\na\n0\n"
    )
    assert text.endswith("\n19")


def test_a_meaningful_index_is_the_first_column():
    frame = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["b", "a"], name="key"))

    assert table_text(frame).splitlines()[1:] == [
        "columns: key (text), x (integer)",
        "all rows as CSV:",
        "key,x",
        "b,1",
        "a,2",
    ]


def test_several_levels_and_columns_of_one_name_are_no_trouble():
    index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", None])
    frame = pd.DataFrame([[1, "x"], [2, "y"]], index=index, columns=["c", "c"])

    assert table_text(frame).splitlines()[-3:] == ["k,index,c,c", "a,1,1,x", "b,2,2,y"]


def test_a_series_goes_in_with_its_name():
    assert table_text(pd.Series([1.5, 2.5], name="size")) == (
        "Series, 2 values\ncolumns: size (number)\nall rows as CSV:\nsize\n1.5\n2.5"
    )


def test_a_float_index_is_cut_by_place_and_not_by_label():
    series = pd.Series(range(50), index=[float(i) for i in range(50)])

    assert table_text(series).count("\n") == 23


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (pd.Series([1, 2], dtype="Int64"), "integer"),
        (pd.Series([1, 2], dtype="uint8"), "integer"),
        (pd.Series([1.0], dtype="Float64"), "number"),
        (pd.Series([True, None], dtype="boolean"), "boolean"),
        (pd.Series(["a"], dtype="string"), "text"),
        (pd.Series(["a"], dtype=object), "text"),
        (pd.Series(["a"]), "text"),
        (pd.Series(["a", 1], dtype=object), "mixed"),
        (pd.Series([np.int64(1), 2], dtype=object), "integer"),
        (pd.Series([None, None], dtype=object), "empty"),
        (pd.Series(["a"], dtype="category"), "category"),
        (pd.Series(pd.to_timedelta([1], unit="s")), "duration"),
        (pd.Series(pd.to_datetime(["2024-01-01"]).tz_localize("UTC")), "time"),
        (pd.Series([{"a": 1}]), "dict"),
    ],
)
def test_types_have_words_of_our_own(values, word):
    assert kind_of(values) == word


def test_a_narrow_float_is_written_short():
    assert table_text(pd.Series([0.1, 1], dtype="float32")).splitlines()[-2:] == ["0.1", "1.0"]


def test_other_values_are_no_table():
    assert table_text([1, 2]) is None
