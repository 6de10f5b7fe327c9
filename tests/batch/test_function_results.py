"""Tests of the results of mapped functions: columns by key, or the object itself."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import numpy as np
import pandas as pd
import polars as pl
import pydantic
import pytest


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Label(pydantic.BaseModel):
    label: str
    score: float | None = None


class Opaque:
    """An object that cannot be written as JSON."""

    def __str__(self):
        return "opaque!"


@pytest.mark.parametrize(
    ("function", "columns", "types"),
    [
        (
            lambda n: {"a": n, "b": str(n)},
            {"a": [0, 1, 2], "b": ["0", "1", "2"]},
            {"a": "Int64", "b": "string"},
        ),
        (
            lambda n: {"a": n} if n else {"b": True},
            {"a": [None, 1, 2], "b": [True, None, None]},
            {"a": "Int64", "b": "boolean"},
        ),
        (lambda n: {"f": n / 2 if n else 0}, {"f": [0, 0.5, 1.0]}, {"f": "Float64"}),
        (lambda n: Point(n, n / 2), {"x": [0, 1, 2], "y": [0.0, 0.5, 1.0]}, {"x": "Int64", "y": "Float64"}),
        (
            lambda _: Label(label="l", score=None),
            {"label": ["l"] * 3, "score": [None] * 3},
            {"label": "string"},
        ),
        (
            lambda n: {"v": np.float64(n), "w": np.int8(n)},
            {"v": [0.0, 1.0, 2.0], "w": [0, 1, 2]},
            {"v": "Float64", "w": "Int64"},
        ),
        (lambda n: {1: n, ("a", 2): n}, {"1": [0, 1, 2], "('a', 2)": [0, 1, 2]}, {"1": "Int64"}),
        (lambda n: {"status": n, "reply": "r"}, {"status_reply": [0, 1, 2], "reply_reply": ["r"] * 3}, {}),
        (
            lambda n: {"d": pd.Timestamp(2024, 1, n + 1)},
            {"d": [pd.Timestamp(2024, 1, day) for day in (1, 2, 3)]},
            {"d": "datetime64[us]"},
        ),
        (
            lambda n: {"o": [n], "m": n or "x"},
            {"o": [[0], [1], [2]], "m": ["x", 1, 2]},
            {"o": "object", "m": "object"},
        ),
        (lambda _: {"big": 2**70}, {"big": [None] * 3}, {"big": "Int64"}),
    ],
)
def test_keys_become_columns(session, function, columns, types):
    result = session.map([0, 1, 2], function)

    assert list(result["status"]) == ["ok"] * 3
    for name, expected in columns.items():
        values = [None if not isinstance(value, list) and pd.isna(value) else value for value in result[name]]
        assert values == expected
    assert {name: str(result[name].dtype) for name in types} == types
    assert all(isinstance(reply, str) for reply in result["reply"])


async def async_fields(item):
    return {"twice": item * 2}


def test_async_functions_too(session):
    assert list(session.map([1, 2], async_fields)["twice"]) == [2, 4]


@pytest.mark.parametrize(
    "value",
    [
        3,
        2.5,
        True,
        [1, {"a": 2}],
        (1, 2),
        {1, 2},
        dt.date(2024, 1, 1),
        Opaque(),
        np.arange(3),
        pd.DataFrame({"a": [1]}),
        b"x",
    ],
)
def test_other_objects_stand_in_reply_as_they_are(session, value):
    result = session.map(["a", "b"], lambda item: value if item == "a" else "text")

    assert result["reply"][0] is value
    assert result["reply"][1] == "text"
    assert result["reply"].dtype == object


def test_none_is_missing_and_texts_stay_a_column_of_texts(session):
    result = session.map(["a", "b"], lambda item: None if item == "a" else "text")

    assert result["reply"].dtype == "string"
    assert result["reply"].isna().tolist() == [True, False]


@pytest.mark.parametrize("end", [".csv", ".jsonl", ".parquet"])
def test_in_files_there_are_columns_and_texts(session, tmp_path, end):
    out = session.map([1, 2], lambda n: {"a": n, "when": dt.date(2024, 1, n)}, out=tmp_path / f"fields{end}")
    other = session.map([1, 2], lambda n: [n, Opaque()], out=tmp_path / f"objects{end}")

    read = {
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
        ".jsonl": lambda path: pd.read_json(path, lines=True),
    }[end]
    assert list(read(out)["a"]) == [1, 2]
    assert list(read(other)["reply"]) == ['[1, "opaque!"]', '[2, "opaque!"]']


def test_keys_that_come_late_stand_in_reply_of_a_file_and_that_is_said(session, tmp_path, events):
    out = session.map(
        range(10_002), lambda n: {"a": n} if n < 10_001 else {"late": n}, out=tmp_path / "out.csv"
    )

    frame = pd.read_csv(out)
    assert json.loads(frame["reply"].iloc[-1]) == {"late": 10_001}
    assert "has no column for 'late'" in " ".join(getattr(event, "text", "") for event in events)


def test_a_resumed_run_has_the_columns_again_and_objects_as_texts(session):
    calls = []

    def work(item):
        calls.append(item)
        if item == 3 and calls.count(3) == 1:
            raise ValueError("not yet")
        return {"n": item} if item < 2 else [item]

    first = session.map([0, 1, 2, 3], work, concurrency=1)
    again = session.map([0, 1, 2, 3], work, concurrency=1, retry_failed=True)

    assert list(first["status"]) == ["ok", "ok", "ok", "error"]
    assert calls == [0, 1, 2, 3, 3]
    assert list(again["n"])[:2] == [0, 1]
    assert again["reply"][2] == "[2]"
    assert again["reply"][3] == [3]


def test_identical_items_share_the_object(session):
    result = session.map(["x", "x"], lambda item: [item], concurrency=1)

    assert list(result["reply"]) == [["x"], ["x"]]
    assert list(result["cached"]) == [False, True]


def test_a_function_on_polars_gives_polars(session):
    result = session.map(pl.DataFrame({"a": [1, 2]}), lambda row: {"twice": row["a"] * 2, "l": [row["a"]]})

    assert isinstance(result, pl.DataFrame)
    assert result["twice"].to_list() == [2, 4]
    assert result["l"].to_list() == [[1], [2]]


def test_a_schema_decides_where_there_is_one(session):
    result = session.map([1], lambda _: {"label": "x", "extra": 1}, schema=Label)

    assert result["label"][0] == "x"
    assert "extra" not in result


def test_a_key_that_a_returned_object_repeats_is_redacted_in_it_too(session, monkeypatch):
    secret = "made-up-" + "k7Qz9" * 6
    monkeypatch.setenv("OPENAI_API_KEY", secret)

    result = session.map([1], lambda _: {"k": f"key {secret}"})

    assert secret not in str(result.to_dict())
