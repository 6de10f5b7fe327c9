"""Tests of schemas rewritten for strict mode and for Anthropic: accepted there, and restored in replies."""

from __future__ import annotations

import json
from typing import Literal

import jsonschema
import pydantic
import pytest

from ainb.providers.schemas.forms import ANTHROPIC, BOUNDS_FREE, STRICT, rewrite
from ainb.providers.schemas.replies import restore
from ainb.providers.schemas.wire import WireSchema
from tests.providers.rule_servers import claude_schema, sample, strict_schema


class Address(pydantic.BaseModel):
    street: str
    zip: str | None = None
    number: int = 3


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int = pydantic.Field(ge=0, le=9)


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: str = pydantic.Field(min_length=1, description="What it is called")


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=1, max_length=40, pattern=r"^\w+$")
    home: Address = pydantic.Field(description="Where they live")
    pets: list[Cat | Dog] = pydantic.Field(default_factory=list, max_length=3)
    pet: Cat | Dog = pydantic.Field(discriminator="kind")
    mood: Literal["up", "down"] | None = None


class Node(pydantic.BaseModel):
    name: str
    children: list[Node] = []


OPEN = {
    "title": "Label",
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
    "required": ["a"],
}
SCHEMAS = {
    "person": Person.model_json_schema(),
    "node": Node.model_json_schema(),
    "open": OPEN,
    "list": {"type": "array", "items": OPEN},
    "enum": {"enum": ["a", "b"]},
    "const": {"type": "object", "properties": {"k": {"const": 3}}, "required": ["k"]},
    "union": {"anyOf": [OPEN, {"type": "object", "properties": {"c": {"type": "boolean"}}, "required": ["c"]}]},
    "one_of": {"oneOf": [OPEN, {"type": "null"}]},
    "old_refs": {"type": "object", "properties": {"x": {"$ref": "#/definitions/X", "description": "d"}},
                 "definitions": {"X": {"type": "integer", "minimum": 1}}, "required": ["x"]},
    "all_of_one": {"type": "object", "properties": {"x": {"allOf": [{"$ref": "#/$defs/X"}], "default": 3}},
                   "$defs": {"X": {"type": "integer", "uniqueItems": True}}},
    "types": {"type": "object", "properties": {"x": {"type": ["string", "null"], "format": "uri", "default": ""}}},
    "lookaround": {"type": "object", "properties": {"x": {"type": "string", "pattern": "(?=a)b", "minLength": 3}}},
    "self": {"type": "object", "properties": {"next": {"$ref": "#"}}},
}  # fmt: skip
CANNOT_BE_SAID = {
    "free_names": {"type": "object", "additionalProperties": {"type": "integer"}},
    "no_properties": {"type": "object"},
    "open_on_purpose": {**OPEN, "additionalProperties": True},
    "anything": {"type": "object", "properties": {"x": {}}},
    "true": {"type": "object", "properties": {"x": True}},
    "all_of": {"type": "object", "properties": {"x": {"allOf": [{"type": "integer"}, {"minimum": 3}]}}},
    "not": {"type": "object", "properties": {"x": {"not": {"type": "string"}}}},
    "tuple": {"type": "array", "prefixItems": [{"type": "string"}]},
    "condition": {**OPEN, "if": {"properties": {"a": {"const": "x"}}}, "then": {"required": ["b"]}},
    "far_away": {"type": "object", "properties": {"x": {"$ref": "https://example.org/x.json"}}},
    "nowhere": {"type": "object", "properties": {"x": {"$ref": "#/$defs/None"}}},
    "wrapped_self": {"type": "array", "items": {"$ref": "#"}},
}


def strictly(schema):
    return rewrite(schema, STRICT)


def refusal(wire):
    return strict_schema(
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "strict": True, "schema": wire.schema},
            }
        }
    )


@pytest.mark.parametrize("name", SCHEMAS)
def test_strict_mode_takes_what_goes_out(name):
    wire = strictly(SCHEMAS[name])

    assert wire is not None
    assert refusal(wire) is None
    jsonschema.Draft202012Validator.check_schema(wire.schema)


@pytest.mark.parametrize("profile", [STRICT, ANTHROPIC, BOUNDS_FREE])
@pytest.mark.parametrize("name", SCHEMAS)
def test_a_reply_to_the_schema_on_the_wire_becomes_one_to_the_users(name, profile):
    wire = rewrite(SCHEMAS[name], profile)
    if wire is None:  # Anthropic accepts no recursion
        assert name in {"node", "self"}
        return

    reply = json.loads(restore(json.dumps(sample(wire.schema)), wire, SCHEMAS[name]))

    loose = jsonschema.Draft202012Validator(SCHEMAS[name])
    problems = [
        error for error in loose.iter_errors(reply) if error.validator not in {"pattern", "minLength"}
    ]
    assert problems == []


@pytest.mark.parametrize("name", sorted(SCHEMAS.keys() - {"node", "self"}))
def test_anthropic_takes_what_goes_out(name):
    wire = rewrite(SCHEMAS[name], ANTHROPIC)

    assert wire is not None
    assert claude_schema({"output_config": {"format": {"schema": wire.schema}}}) is None


@pytest.mark.parametrize("name", CANNOT_BE_SAID)
@pytest.mark.parametrize("profile", [STRICT, ANTHROPIC])
def test_a_schema_that_would_lose_its_meaning_is_not_rewritten(name, profile):
    assert rewrite(CANNOT_BE_SAID[name], profile) is None


def test_optional_fields_become_nullable_for_openai_and_stay_optional_for_anthropic():
    strict, loose = strictly(OPEN), rewrite(OPEN, ANTHROPIC)

    assert strict.schema["required"] == ["a", "b"]
    assert strict.schema["properties"]["b"]["type"] == ["integer", "null"]
    assert loose.schema["required"] == ["a"]
    assert loose.schema["properties"]["b"]["type"] == "integer"


def test_a_null_stays_where_the_users_schema_takes_it():
    schema = Address.model_json_schema()
    text = restore('{"street": "s", "zip": null, "number": null}', strictly(schema), schema)

    assert json.loads(text) == {"street": "s", "zip": None}
    assert Address.model_validate_json(text).number == 3


def test_text_that_needs_no_change_stays_as_the_model_wrote_it():
    text = '{"a":  "é",\n "b": 2}'

    assert restore(text, strictly(OPEN), OPEN) == text
    assert restore("no json", strictly(OPEN), OPEN) == "no json"


@pytest.mark.parametrize(
    ("schema", "profile"),
    [
        ({"type": "object", "properties": {f"p{at}": {"type": "string"} for at in range(25)}}, ANTHROPIC),
        ({"type": "object", "required": [f"p{at}" for at in range(17)],
          "properties": {f"p{at}": {"type": ["string", "null"]} for at in range(17)}}, ANTHROPIC),
        ({"type": "object", "properties": {"x": {"enum": [str(at) for at in range(1_001)]}}}, STRICT),
        ({"type": "object", "properties": {f"p{at}": {"type": "string"} for at in range(5_001)}}, STRICT),
    ],
)  # fmt: skip
def test_a_schema_past_a_limit_of_the_service_is_not_rewritten(schema, profile):
    assert rewrite(schema, profile) is None


def test_a_schema_eleven_levels_deep_is_not_rewritten():
    deep = {"type": "string"}
    for _ in range(11):
        deep = {"type": "object", "properties": {"x": deep}, "required": ["x"]}

    assert strictly(deep) is None
    assert strictly(deep["properties"]["x"]) is None
    assert strictly(deep["properties"]["x"]["properties"]["x"]) is not None


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
@pytest.mark.parametrize("inner", [True, False, {"type": "object"}])
@pytest.mark.parametrize("place", ["root", "property", "item"])
def test_true_and_false_are_schemas_in_every_branch(keyword, inner, place):
    """Without structured output the schema is sent as it is, boolean subschemas included."""
    branch = {keyword: [inner]}
    properties = {"root": {}, "property": {"a": branch}, "item": {"a": {"items": branch}}}[place]
    schema = {"type": "object", "properties": properties, **(branch if place == "root" else {})}
    text = json.dumps({"a": [{"b": None}] if place == "item" else {"b": None}})

    assert restore(text, WireSchema(schema={}, nullable=True), schema) == text
