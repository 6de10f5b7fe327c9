"""Tests of schema forms: one line, types, unions, enums; JSON schema and validation of each."""

from __future__ import annotations

import enum
from typing import Annotated, Literal, Optional, Union

import jsonschema
import pydantic
import pytest

from ainb.errors import ConfigError
from ainb.pipeline.answer.schema import read_schema


class Label(pydantic.BaseModel):
    label: str
    score: int = 0


class Other(pydantic.BaseModel):
    other: bool


class Mood(enum.Enum):
    UP = "up"
    DOWN = "down"


FIELDS = "label: positive|negative, score: int 0..10, tags: [str], why: str?"


def properties(text):
    return read_schema(text).json_schema["properties"]


def test_a_line_of_fields_is_a_closed_object():
    schema = read_schema(FIELDS).json_schema

    assert schema == {
        "title": "reply",
        "type": "object",
        "properties": {
            "label": {"type": "string", "enum": ["positive", "negative"]},
            "score": {"type": "integer", "minimum": 0, "maximum": 10},
            "tags": {"type": "array", "items": {"type": "string"}},
            "why": {"type": "string"},
        },
        "required": ["label", "score", "tags"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("x: int", {"type": "integer"}),
        ("x:integer", {"type": "integer"}),
        ("x: float 0..1", {"type": "number", "minimum": 0, "maximum": 1}),
        ("x: number 0.5..1.5", {"type": "number", "minimum": 0.5, "maximum": 1.5}),
        ("x: int -5..5", {"type": "integer", "minimum": -5, "maximum": 5}),
        ("x: int 1..", {"type": "integer", "minimum": 1}),
        ("x: int ..9", {"type": "integer", "maximum": 9}),
        ("x: bool", {"type": "boolean"}),
        ("x: date", {"type": "string", "format": "date"}),
        ("x: 1|2|3", {"type": "integer", "enum": [1, 2, 3]}),
        ("x: 0.5|1", {"type": "number", "enum": [0.5, 1]}),
        ('x: "very good"|bad', {"type": "string", "enum": ["very good", "bad"]}),
        ("x: sehr-gut | schlecht", {"type": "string", "enum": ["sehr-gut", "schlecht"]}),
        ("x: gut|übel", {"type": "string", "enum": ["gut", "übel"]}),
        ("x: [a|b]", {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}),
        ("x: [[int 0..1]]", {"type": "array", "items": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 1}}}),
        ("x: {a: int}", {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}),
    ],
)  # fmt: skip
def test_a_type_in_a_line(text, schema):
    assert properties(text)["x"] == schema
    jsonschema.Draft202012Validator.check_schema(read_schema(text).json_schema)


@pytest.mark.parametrize("text", ["why: str?", "why?: str", "why: str ?"])
def test_a_question_mark_lets_a_field_be_missing(text):
    schema = read_schema(f"a: int, {text}")

    assert schema.json_schema["required"] == ["a"]
    assert schema.check('{"a": 1}') == {"a": 1}


def test_field_names_may_be_of_any_letters_and_quoted():
    assert list(properties('größe: int, "two words": str')) == ["größe", "two words"]


def test_a_line_checks_replies():
    schema = read_schema(FIELDS)

    assert schema.check('{"label": "positive", "score": 3, "tags": []}')["score"] == 3
    assert dict(schema.fields) == {"label": "category", "score": "Int64", "tags": "json", "why": "string"}
    for wrong in (
        '{"label": "x", "score": 3, "tags": []}',
        '{"label": "positive", "score": 11, "tags": []}',
        "{}",
    ):
        with pytest.raises(ValueError, match=r"\S"):
            schema.check(wrong)


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("positive|negative", {"title": "reply", "type": "string", "enum": ["positive", "negative"]}),
        ("[str]", {"title": "reply", "type": "array", "items": {"type": "string"}}),
        ("int 0..10", {"title": "reply", "type": "integer", "minimum": 0, "maximum": 10}),
        ('{"type": "integer"}', {"type": "integer"}),
    ],
)
def test_a_line_may_be_one_value_or_json(text, schema):
    assert read_schema(text).json_schema == schema


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "empty"),
        ("label: positiv", "not a type"),
        ("label: strr", "did you mean 'str'"),
        ("label positive|negative", "is not a type"),
        ("a: int, a: str", "twice"),
        ("a: int 5..1", "empty"),
        ("a: int 0.5..1", "whole"),
        ("a: str 1..2", "belongs to int or float"),
        ("a: [int", "ends with"),
        ("a: x|", "choice is expected"),
        ("a: x|x", "twice"),
        ("a:", "type is expected"),
        ("a: int; b: int", "not a type|nothing"),
        ("a: {b: int", "comma"),
        ("a: " + "[" * 20 + "int" + "]" * 20, "nested deeper"),
        ("a: int, " * 3000, "characters"),
        ('a: "int', "there is no valid token at"),
    ],
)
def test_a_line_that_cannot_be_read_says_where_and_how(text, part):
    with pytest.raises(ConfigError, match=part) as caught:
        read_schema(text)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "text", "value"),
    [
        (list[Label], '[{"label": "a"}]', [Label(label="a")]),
        (list[str], '["a"]', ["a"]),
        (Literal["a", "b"], '"b"', "b"),
        (Literal[1, 2], "2", 2),
        (Mood, '"up"', Mood.UP),
        (Union[Label, Other], '{"other": true}', Other(other=True)),  # noqa: UP007 - the older spelling is tried too
        (Label | Other, '{"label": "x"}', Label(label="x")),
        (Optional[Label], "null", None),  # noqa: UP045 - the older spelling is tried too
        (Label | None, '{"label": "x"}', Label(label="x")),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Annotated[int, pydantic.Field(ge=0)], "3", 3),
        (int, "3", 3),
        (tuple[int, str], '[1, "a"]', (1, "a")),
    ],
)
def test_types_are_schemas(shape, text, value):
    schema = read_schema(shape)

    assert schema.check(text) == value
    assert schema.fields.keys() == {"value"}
    assert schema.dump(schema.check(text)).keys() == {"value"}
    assert schema.name.replace("_", "").replace("-", "").isalnum()
    jsonschema.Draft202012Validator.check_schema(schema.json_schema)


@pytest.mark.parametrize("shape", [list[Label], Literal["a"], Mood, Label | Other])
def test_a_reply_of_another_type_is_refused(shape):
    with pytest.raises(ValueError, match=r"\S"):
        read_schema(shape).check('{"nothing": "fits"}')


@pytest.mark.parametrize("shape", [3, None, object(), [Label], lambda: 1, enum.Enum, object])
def test_what_is_no_schema_is_refused(shape):
    with pytest.raises(ConfigError):
        read_schema(shape)


def test_the_name_of_a_type_says_what_it_is():
    assert [read_schema(shape).name for shape in (Label, list[Label], Mood)] == [
        "Label",
        "list_Label",
        "Mood",
    ]


@pytest.mark.parametrize("definition", [True, False, {}])
def test_a_reference_to_a_definition_without_a_type_gives_a_json_column(definition):
    shape = {"type": "object", "properties": {"x": {"$ref": "#/$defs/any"}}, "$defs": {"any": definition}}

    assert read_schema(shape).fields == {"x": "json"}


@pytest.mark.parametrize(
    ("schema", "dtype"),
    [
        ({"anyOf": [True, {"type": "null"}]}, "json"),
        ({"anyOf": [False, {"type": "null"}]}, "json"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "Int64"),
        ({"anyOf": [True, {"type": "integer"}]}, "json"),
        ({"anyOf": [{"$ref": "#/$defs/any"}, {"type": "null"}]}, "json"),
        ({"anyOf": [{"$ref": "#/$defs/text"}, {"type": "null"}]}, "string"),
        ({"anyOf": [{"type": "null"}]}, "json"),
        (True, "json"),
    ],
)
def test_the_column_type_of_a_field_of_a_json_schema(schema, dtype):
    definitions = {"any": True, "text": {"type": "string"}}
    whole = {"type": "object", "properties": {"x": schema}, "$defs": definitions}

    assert read_schema(whole).fields == {"x": dtype}
