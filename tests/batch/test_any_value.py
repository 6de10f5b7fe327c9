"""Property tests of values in a batch: any reply or JSON value becomes a row in frame, files and journal."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import sqlite3
import typing
from decimal import Decimal

import pandas as pd
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

import ainb
from ainb.batch.files import OrderedFile, OutputGuard
from ainb.batch.input.cells import check_fields, json_text
from ainb.batch.results.frame import Results
from ainb.batch.results.row_result import RowResult
from ainb.events import Notice
from ainb.messages import Reply, Usage
from tests.fault_server import Fault, FaultServer

DTYPES = {
    "text": "string", "whole": "Int64", "number": "Float64", "flag": "boolean", "label": "category", "any": "json",  # noqa: E501
}  # fmt: skip
ANY = {"type": "object", "properties": {"any": {}}}
TYPED = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "whole": {"type": "integer"},
        "number": {"type": "number"},
        "flag": {"type": "boolean"},
        "label": {"enum": ["a", "b"]},
        "any": {},
    },
}
TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)
NUMBERS = st.one_of(
    st.integers(),
    st.sampled_from([2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64, 10**30, -(10**400), 3.0, -0.0]),
    st.floats(),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


def write_and_read(result, folder, end):
    """Write the result to a file and return the rows of the file."""
    path = folder / f"t{end}"
    path.unlink(missing_ok=True)
    guard = OutputGuard(folder / "home")
    file = OrderedFile(path, fields=DTYPES, keep=(), csv_formulas="escape", guard=guard, notify=str)
    file.put(0, result)
    file.close(complete=True)
    if end == ".csv":
        with path.open(encoding="utf-8", newline="") as lines:
            return list(csv.reader(lines))[1:]
    if end == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    return pd.read_parquet(path)


def check_row(text, fields, folder):
    """Check that a row with these values survives a result, the journal, a frame and every file format."""
    reply = Reply(text=text, usage=Usage(input_tokens=1, output_tokens=2))
    try:
        result = RowResult.of_reply(reply, check_fields(fields, DTYPES))
    except ValueError as error:
        result = RowResult.of_reply(reply).with_error(error)

    back = RowResult.from_json(result.to_json())

    frames = []
    for one in (result, back):
        results = Results(DTYPES)
        results.put(0, one)
        frames.append(results.frame())
    pd.testing.assert_frame_equal(*frames)
    for end in (".csv", ".jsonl", ".parquet"):
        assert len(write_and_read(result, folder, end)) == 1
    return result, frames[0]


def check_any(folder, text, fields):
    result, frame = check_row(text, fields, folder)
    if result.status == "ok" and isinstance(fields.get("whole"), int):
        assert int(frame["whole"][0]) == fields["whole"]
    if result.status == "ok" and fields.get("any") is not None:
        assert json.loads(frame["any"][0], parse_constant=lambda _name: None) is not ...
    assert (result.status == "ok") == (result.error_type is None)


FIXTURES = [HealthCheck.function_scoped_fixture]
FIELDS = st.fixed_dictionaries({}, optional=dict.fromkeys(DTYPES, VALUES))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    # fsync is not needed here, and it is slow for thirty thousand small files.
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    return tmp_path


@settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=FIXTURES)
@given(text=TEXTS, fields=FIELDS)
def test_any_value_ends_as_a_row_in_frame_files_and_journal(folder, text, fields):
    check_any(folder, text, fields)


@pytest.mark.slow
@settings(
    max_examples=10_000, deadline=None, database=None, suppress_health_check=[*FIXTURES, HealthCheck.too_slow]
)
@given(text=TEXTS, fields=FIELDS)
def test_ten_thousand_values_end_as_rows(folder, text, fields):
    check_any(folder, text, fields)


REPLIES = [
    '{"any": 123456789012345678901234567890}',
    '{"whole": 123456789012345678901234567890}',
    '{"whole": 3.0}',
    '{"whole": 9223372036854775807}',
    '{"number": 1e999}',
    '{"number": NaN}',
    '{"number": -Infinity, "any": [NaN, Infinity]}',
    '{"number": 1' + "0" * 400 + "}",
    '{"text": "\\ud83d alone", "label": "a"}',
    '{"text": "\\ud83d\\ude00"}',
    '{"any": {"\\udc00": "\\udfff"}}',
    '{"text": "\\u0000 \\u001b[2J"}',
    json.dumps({"any": nested(300)}),
    json.dumps({"any": nested(900)}),
    '{"any": ' + "[" * 100_000 + "]" * 100_000 + "}",
    '{"any": ' + "9" * 5_000 + "}",
    '{"any": {}}',
    "{}",
    "[]",
    '"text"',
    "",
    "no JSON \ud800",
]


@pytest.mark.parametrize("end", [None, ".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("schema", [TYPED, ANY, None])
def test_every_odd_reply_of_a_function_ends_as_a_row_and_is_resumed_the_same(session, tmp_path, schema, end):
    calls = []

    def answer(number):
        calls.append(number)
        return REPLIES[number]

    def run():
        out = {} if end is None else {"out": tmp_path / f"{len(calls)}{end}"}
        return session.map(range(len(REPLIES)), answer, schema=schema, **out)

    first = run()
    asked = len(calls)
    with sqlite3.connect(session.config.home_folder() / "journal.sqlite3") as journal:
        journal.execute("UPDATE runs SET finished_at = NULL")
    journal.close()
    second = run()

    assert len(calls) == asked  # every row was in the journal
    if end is None:
        assert set(first["status"]) <= {"ok", "error"}
        assert (first["status"] == "ok").sum() >= 5
        pd.testing.assert_frame_equal(first, second)
    else:
        rows = pd.read_parquet(second) if end == ".parquet" else second.read_text("utf-8").splitlines()
        assert len(rows) >= len(REPLIES)
        assert first.read_bytes() == second.read_bytes()


def test_what_fits_keeps_every_digit_and_what_does_not_says_why(session):
    answers = {"whole": "9223372036854775807", "any": "123456789012345678901234567890", "float": "3.0"}
    text = f'{{"whole": {answers["whole"]}, "any": {answers["any"]}, "number": 1}}'
    replies = [text, '{"whole": 3.0, "label": "a"}', '{"whole": 9223372036854775808}', '{"number": 1e999}']

    frame = session.map(replies, str, schema=TYPED)

    assert frame["whole"][0] == 2**63 - 1
    assert frame["any"][0] == answers["any"]
    assert frame["whole"][1] == 3
    assert list(frame["status"]) == ["ok", "ok", "error", "error"]
    assert frame["error_message"][2].startswith(
        "the reply cannot stand in a table: the field 'whole' is an integer of more than 64 bits"
    )
    assert frame["reply"][2] == replies[2]
    assert "beyond the range of a float" in frame["error_message"][3]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in ("input_tokens", "output_tokens")
        for value in (-1, 2.5, 10**18, 10**30, math.inf, "7")
    ],
)
def test_a_count_that_cannot_be_right_is_unknown_in_row_and_log_and_said_once(session, events, name, value):
    def answer(_item):
        return Reply(text="fine", usage=Usage(**{name: value}, source="provider"))

    frame = session.map(range(3), answer)

    assert list(frame["status"]) == ["ok"] * 3
    assert frame[name].isna().all()
    assert session.usage()[name].isna().all()
    told = [event.text for event in events if isinstance(event, Notice) and event.kind == "usage"]
    assert len(told) == 1
    assert name in told[0]


@pytest.mark.parametrize("cost", [Decimal(-1), Decimal("NaN"), Decimal("Infinity"), Decimal("1e30"), 1e30])
def test_a_cost_that_cannot_be_right_is_unknown(session, cost):
    def answer(_item):
        return Reply(text="fine", cost_usd=cost, cost_source="provider")

    frame = session.map(range(2), answer)

    assert list(frame["status"]) == ["ok"] * 2
    assert frame["cost_usd"].isna().all()
    assert session.usage()["cost_usd"].isna().all()


@pytest.mark.parametrize("model", ["openai:m", "anthropic:m"])
@pytest.mark.parametrize(("count", "read"), [(5.0, 5), (-3, None), (1.5, None), (10**17, None), (True, None)])
def test_counts_of_a_provider_are_checked_in_both_protocols(tmp_path, monkeypatch, model, count, read):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")
    if model.startswith("openai"):
        body = {
            "choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": count, "completion_tokens": 1},
        }
    else:
        body = {
            "type": "message", "role": "assistant", "content": [{"type": "text", "text": "hi"}],
            "stop_reason": "end_turn", "usage": {"input_tokens": count, "output_tokens": 1},
        }  # fmt: skip
    with FaultServer(plan=lambda _seen: Fault(body=body)) as server:
        session = ainb.Session(model, home=tmp_path, api_base=server.base_url, cache=None)
        frame = session.map(["a"], "{value}")
        session.close()

    assert list(frame["status"]) == ["ok"]
    assert frame["output_tokens"][0] == 1
    assert (None if pd.isna(frame["input_tokens"][0]) else frame["input_tokens"][0]) == read


class Mute(Exception):  # noqa: N818 - unusual on purpose
    def __str__(self):
        raise RuntimeError("no words")


class Odd(Exception):  # noqa: N818 - unusual on purpose
    """An error like those of HTTP clients, whose `text` is a method or a property."""

    status_code = "401"

    def text(self):
        return "a method"


class Broken(Exception):  # noqa: N818 - unusual on purpose
    @property
    def status_code(self):
        raise ZeroDivisionError


@pytest.mark.parametrize("error", [Mute(), Odd("x"), Broken("y"), Exception("\ud800"), Exception()])
@pytest.mark.parametrize("end", [None, ".csv", ".jsonl", ".parquet"])
def test_every_error_of_a_function_ends_as_its_row(session, tmp_path, error, end):
    def fail(item):
        if item == 1:
            raise error
        return "fine"

    out = {} if end is None else {"out": tmp_path / f"t{end}"}
    result = session.map(range(3), fail, **out)
    if end == ".csv":
        result = pd.read_csv(result)
    elif end is not None:
        result = pd.read_parquet(result) if end == ".parquet" else pd.read_json(result, lines=True)

    assert list(result["status"]) == ["ok", "error", "ok"]
    assert result["error_type"][1] in {type(error).__name__, "ZeroDivisionError"}


class Inner(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=to_camel)
    deep_name: int = 0


class ByAlias(pydantic.BaseModel):
    first_name: str = pydantic.Field(alias="firstName")
    inner: Inner = Inner()


class ByValidationAlias(pydantic.BaseModel):
    first_name: str = pydantic.Field(validation_alias="firstName")
    plain: int = 1


class BySerializationAlias(pydantic.BaseModel):
    firstName: str = pydantic.Field(serialization_alias="given")  # noqa: N815 - as the schema shows it


class ByChoices(pydantic.BaseModel):
    first_name: str = pydantic.Field(validation_alias=pydantic.AliasChoices("firstName", "name"))


class ByGenerator(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=to_camel)
    first_name: str


class Computed(pydantic.BaseModel):
    first_name: str = pydantic.Field(alias="firstName")
    secret: str = pydantic.Field(default="x", exclude=True)

    @pydantic.computed_field
    def greeting(self) -> str:
        return f"hello {self.first_name}"


class Recursive(pydantic.BaseModel):
    first_name: str = pydantic.Field(alias="firstName")
    child: Recursive | None = None


@pydantic.dataclasses.dataclass
class AsDataclass:
    first_name: str = pydantic.Field(alias="firstName")


class AsTypedDict(typing.TypedDict):
    firstName: str


@dataclasses.dataclass
class Plain:
    firstName: str  # noqa: N815 - as the schema shows it


KINDS = [
    ByAlias, ByValidationAlias, BySerializationAlias, ByChoices, ByGenerator, Computed, Recursive, AsDataclass, AsTypedDict, Plain,  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_fields_with_aliases_stand_under_the_name_that_the_schema_shows(session, kind):
    frame = session.map(['{"firstName": "Ann"}'], str, schema=kind)

    assert list(frame["status"]) == ["ok"]
    assert frame["firstName"][0] == "Ann"
    assert not {"first_name", "given"} & set(frame.columns)


def test_aliases_inside_a_value_are_those_of_the_schema_too(session):
    frame = session.map(['{"firstName": "Ann", "inner": {"deepName": 7}}'], str, schema=ByAlias)

    assert frame["inner"][0] == '{"deepName":7}'


def test_the_text_of_a_value_has_all_its_digits():
    assert json_text([10**30, "\ud83d\ude00", "\ud800"]) == f'[{10**30},"😀","\ufffd"]'
