"""Tests of table inputs: tables of other libraries give rows, and other objects are refused by type."""

from __future__ import annotations

import datetime as dt
import sys
from collections import UserDict

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ainb.batch import BatchFailedError, preview_rows
from ainb.errors import ConfigError, NotConfirmedError
from ainb.testing import Step, script


class Stream:
    """An object with the Arrow stream protocol only."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


class Interchange:
    """An object with the dataframe interchange protocol only."""

    def __init__(self, table):
        self._table = table

    def __dataframe__(self, **options):
        return self._table.__dataframe__(**options)


class OwnFrame(pd.DataFrame):
    """A DataFrame subclass of another module, as in geopandas."""

    @property
    def _constructor(self):
        return OwnFrame


COLUMNS = {"a": ["x", "y", None], "n": [1, None, 3], "Review Text": ["r", "s", "t"]}


@pytest.mark.parametrize(
    "make",
    [
        pl.DataFrame,
        pl.LazyFrame,
        pa.table,
        lambda columns: Stream(pa.table(columns)),
        lambda columns: Interchange(pa.table(columns)),
        lambda columns: pa.table(columns).to_batches()[0],
        lambda columns: pa.RecordBatchReader.from_batches(
            pa.table(columns).schema, pa.table(columns).to_batches()
        ),
        lambda columns: OwnFrame(columns, dtype=object),
        lambda columns: pl.DataFrame(columns).to_dicts(),
    ],
)
def test_each_kind_of_table_gives_rows(session, make):
    result = session.map(make(COLUMNS), "{a} {Review Text}")

    assert list(result["status"]) == ["ok", "ok", "rejected"]
    assert list(result["reply"])[:2] == ["x r", "y s"]


@pytest.mark.parametrize("make", [pl.DataFrame, pl.LazyFrame])
def test_polars_in_polars_out(session, make):
    result = session.map(make(COLUMNS), "{n}", keep=["n", "a"])

    assert isinstance(result, pl.DataFrame)
    assert isinstance(session.last_map, pl.DataFrame)
    assert result["n"].to_list() == [1, None, 3]
    assert result["reply"].to_list() == ["1", None, "3"]
    types = {
        name: str(result.schema[name])
        for name in ("n", "a", "reply", "attempts", "cached", "cost_usd", "input_tokens")
    }
    assert types == {
        "n": "Int64",
        "a": "String",
        "reply": "String",
        "attempts": "Int16",
        "cached": "Boolean",
        "cost_usd": "Float64",
        "input_tokens": "Int64",
    }
    assert result["status"].to_list() == ["ok", "rejected", "ok"]


def test_a_polars_result_has_typed_columns_and_comes_with_errors_too(session):
    script("label", [Step(text='{"label": "good", "n": 2}'), Step(text='{"label": "bad"}'), Step(status=400)])
    schema = {
        "type": "object",
        "properties": {"label": {"enum": ["good", "bad"]}, "n": {"type": "integer"}},
        "required": ["label"],
    }

    with pytest.raises(BatchFailedError) as caught:
        session.map(
            pl.DataFrame(COLUMNS),
            "{Review Text}",
            model="scripted:label",
            schema=schema,
            on_error="raise",
            concurrency=1,
        )

    frame = caught.value.frame
    assert isinstance(frame, pl.DataFrame)
    assert frame["n"].dtype == pl.Int64
    assert frame["label"].to_list() == ["good", "bad", None]


def test_polars_of_every_type_is_written_as_python_has_it(session):
    columns = {"d": [dt.date(2024, 1, 2)], "s": [{"k": 1}], "l": [[1, 2]], "c": ["x"], "b": [True]}
    frame = pl.DataFrame(columns, schema_overrides={"c": pl.Categorical})

    assert session.map(frame, "{d} {s[k]} {l} {c} {b}")["reply"][0] == "2024-01-02 1 [1, 2] x True"
    assert session.map(pl.DataFrame({"f": [float("nan")]}), "{f}")["status"][0] == "rejected"


@pytest.mark.parametrize(
    ("data", "replies"),
    [
        (pl.Series("w", ["x", "y"]), ["x", "y"]),
        (pa.array(["x", "y"]), ["x", "y"]),
        (pa.chunked_array([["x"], ["y"]]), ["x", "y"]),
        (np.array(["x", "y"]), ["x", "y"]),
        (pd.Index(["x", "y"]), ["x", "y"]),
        (("x", "y"), ["x", "y"]),
        ({"x": 1, "y": 2}.keys(), ["x", "y"]),
        (pd.Categorical(["x", "y"]), ["x", "y"]),
    ],
)
def test_columns_and_lists_fill_value(session, data, replies):
    assert list(session.map(data, "{value}")["reply"]) == replies


def test_a_named_column_goes_by_its_name_and_by_value_and_is_kept(session):
    for column in (pd.Series(["x"], name="word"), pl.Series("word", ["x"])):
        result = session.map(column, "{word} {value}", keep=True)
        assert list(result["word"]) == ["x"]
        assert result["reply"][0] == "x x"
    assert list(session.map(pd.Series(["x"]), "{value}", keep=True)["value"]) == ["x"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pd.DataFrame(COLUMNS).groupby("a"), "DataFrameGroupBy, whose items are groups"),
        (pd.Series([1]).groupby([1]), "SeriesGroupBy, whose items are groups"),
        (pl.DataFrame(COLUMNS).group_by("a"), "GroupBy, whose items are groups"),
        (pd.DataFrame({"n": [1, 2]}).rolling(2), "Rolling"),
        (np.zeros((2, 2)), "ndarray of 2 dimensions"),
        (np.float64(3), "it is float64"),
        (np.array(3), "ndarray of 0 dimensions"),
        (pl.col("a"), "it is Expr"),
        (UserDict(a=1), "it is UserDict"),
        (bytearray(b"x"), "it is bytearray"),
        (3, "it is int"),
        (type("Frame", (list,), {"columns": ["a"]})(), "whose items are not its rows"),
    ],
)
def test_what_is_no_table_is_refused_by_name(session, data, said):
    with pytest.raises(ConfigError, match="a batch takes a DataFrame") as caught:
        session.map(data, "{value}")

    assert said in str(caught.value)
    assert session.usage().empty


def test_repeated_names_of_arrow_matter_only_where_they_are_used(session):
    table = pa.table([["x"], ["y"], ["z"]], names=["a", "b", "b"])

    assert session.map(table, "{a}")["reply"][0] == "x"
    with pytest.raises(ConfigError, match="several columns named 'b'"):
        session.map(table, "{b}")


@pytest.mark.parametrize("make", [lambda rows: rows, pd.DataFrame, pl.DataFrame, pa.Table.from_pylist])
def test_limit_and_sample_choose_the_same_rows_of_every_kind(session, make):
    rows = [{"n": number} for number in range(50)]
    expected = list(session.map(pd.DataFrame(rows), "{n}", sample=7)["reply"])

    assert list(session.map(make(rows), "{n}", sample=7)["reply"]) == expected
    assert list(session.map(make(rows), "{n}", limit=3)["reply"]) == ["0", "1", "2"]


@pytest.mark.parametrize("make", [iter, lambda rows: (row for row in rows), lambda rows: map(dict, rows)])
@pytest.mark.parametrize("task", ["{nope}", "{Wrd}", "no field"])
def test_a_refused_prompt_costs_an_iterator_no_row(session, make, task):
    rows = make([{"word": "x"}, {"word": "y"}])

    for _ in range(2):
        with pytest.raises(ConfigError):
            session.map(rows, task)
    with pytest.raises(ConfigError):
        session.map(rows, "{word}", schema=3)
    assert list(session.map(rows, "{word}")["reply"]) == ["x", "y"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"rows_per_call": 2}, ConfigError),
        ({"batch_api": True}, ConfigError),
        ({"confirm_above_usd": 0, "model": "openai:gpt-5.4-nano"}, NotConfirmedError),
        ({"out": "no/such/folder/t.csv"}, ConfigError),
        ({"keep": ["nope"]}, ConfigError),
    ],
)
@pytest.mark.parametrize("make", [iter, lambda rows: (row for row in rows)])
def test_a_batch_refused_before_it_is_sent_costs_an_iterator_no_row(
    session, monkeypatch, make, options, error
):
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    rows = make([{"word": "x"}, {"word": "y"}])

    for _ in range(2):
        with pytest.raises(error):
            session.map(rows, "{word}", **options)
    with pytest.raises(ConfigError, match="a dry run reads the first rows"):
        preview_rows(session.core, rows, "{word}", {})
    assert list(session.map(rows, "{word}")["reply"]) == ["x", "y"]


@pytest.mark.parametrize("task", ["no field", "", "{word} {user.nope}"])
def test_a_prompt_that_no_row_could_fill_does_not_touch_an_iterator(session, task):
    rows = iter([{"word": "x"}, {"word": "y"}])

    with pytest.raises(Exception, match=r"uses no column|has no attribute"):
        session.map(rows, task, names={"user": 3})
    assert len(list(rows)) == 2


@pytest.mark.parametrize("data", [[{"id": 1, "t": "x"}, {"t": "y"}], iter([{"id": 1, "t": "x"}, {"t": "y"}])])
def test_records_keep_columns_too(session, data):
    result = session.map(data, "{t}", keep=["id"])

    assert next(iter(result["id"])) == 1
    assert result["id"].isna().tolist() == [False, True]
    assert list(result["reply"]) == ["x", "y"]


def test_two_hundred_kept_columns_make_no_warning(session, recwarn):
    frame = pd.DataFrame(
        [[f"v{number}" for number in range(200)]],
        columns=[f"c{number}" for number in range(200)],
        index=["i"],
    )

    result = session.map(frame, "{c7}", keep=True)

    assert list(result.columns[:200]) == list(frame.columns)
    assert list(result.index) == ["i"]
    assert not [warning for warning in recwarn if "fragment" in str(warning.message)]


def test_kept_columns_keep_their_types_on_an_index_with_repeats(session):
    frame = pd.DataFrame(
        {"c": pd.Categorical(["x", "y"]), "t": pd.to_datetime(["2024-01-01", "2024-01-02"]), "n": [1, 2]},
        index=[0, 0],
    )

    result = session.map(frame, "{c}", keep=True)

    assert {name: result[name].dtype for name in frame} == dict(frame.dtypes)
    assert list(result.index) == [0, 0]


def test_arrow_without_pyarrow_names_the_extra(session, monkeypatch):
    stream = Stream(pa.table(COLUMNS))
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ConfigError, match=r"ainb-notebook\[parquet\]"):
        session.map(stream, "{a}")
