"""Tests of schema names: names that a protocol refuses are replaced in requests and restored in replies."""

from __future__ import annotations

import json
import re
from typing import Generic, TypeVar

import hypothesis.strategies as st
import pydantic
import pytest
from hypothesis import given, settings

import ainb
from ainb.pipeline.answer import read_schema
from ainb.providers.schemas.names import clean_schema
from tests.fault_server import Fault, FaultServer

KEY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
SERVICES = ("openai", "anthropic")
T = TypeVar("T")
ODD = [
    "größe",
    "名前",
    "filter[id]",
    "$top",
    "@odata.type",
    "Account Number",
    "a/b",
    "a~b",
    "€",
    "",
    "x" * 65,
    "é" * 70,
    "properties",
    'q"uote',
    "tab\there",
    "🙂",
]


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-made-up-0123456789")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-made-up-0123456789")


def whole(service, text):
    if service == "openai":
        message = {"role": "assistant", "content": text}
        return {"model": "m", "choices": [{"message": message, "finish_reason": "stop"}]}
    return {
        "type": "message",
        "model": "m",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
    }


def sent_schema(body):
    for place in (
        lambda: body["response_format"]["json_schema"]["schema"],
        lambda: body["output_config"]["format"]["schema"],
        lambda: body["tools"][-1]["input_schema"],
    ):
        try:
            return place()
        except KeyError:
            continue
    raise AssertionError(body)


def keys_in(schema):
    """Property keys and definition names at every level."""
    if isinstance(schema, list):
        return [key for item in schema for key in keys_in(item)]
    if not isinstance(schema, dict):
        return []
    found = [key for place in ("properties", "$defs", "definitions") for key in schema.get(place, {})]
    return found + [key for item in schema.values() for key in keys_in(item)]


def renamed(value, names):
    """A value with the names of the sent schema, matched by the position of properties."""
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    return {names.get(key, key): renamed(item, names) for key, item in value.items()}


def obj(properties, **more):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        **more,
    }


TEXT = {"type": "string"}
SHAPES = {
    "flat": lambda key: (obj({key: TEXT, "b": TEXT}), {key: "1", "b": "2"}),
    "nested": lambda key: (obj({"a": obj({key: obj({key: TEXT})})}), {"a": {key: {key: "1"}}}),
    "array": lambda key: (
        obj({key: {"type": "array", "items": obj({key: TEXT})}}),
        {key: [{key: "1"}, {key: "2"}]},
    ),
    "root array": lambda key: ({"type": "array", "items": obj({key: TEXT})}, [{key: "1"}]),
    "defs": lambda key: (
        obj({"a": {"$ref": "#/$defs/Inner"}}, **{"$defs": {"Inner": obj({key: TEXT})}}),
        {"a": {key: "1"}},
    ),
    "union": lambda key: (
        obj({"a": {"anyOf": [obj({key: TEXT}), obj({"n": {"type": "integer"}})]}}),
        {"a": {key: "1"}},
    ),
    "optional": lambda key: (
        {
            "type": "object",
            "properties": {key: TEXT, "b": TEXT},
            "required": ["b"],
            "additionalProperties": False,
        },
        {key: "1", "b": "2"},
    ),
    "open": lambda key: (
        {"type": "object", "properties": {key: TEXT}, "required": [key], "additionalProperties": TEXT},
        {key: "1", "free key": "2"},
    ),
    "recursive": lambda key: (
        {
            "$ref": "#/$defs/N",
            "$defs": {"N": obj({key: TEXT, "more": {"type": "array", "items": {"$ref": "#/$defs/N"}}})},
        },
        {key: "1", "more": [{key: "2", "more": []}]},
    ),
}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("key", ODD)
def test_an_odd_key_is_replaced_and_mapped_back(service, shape, key, tmp_path):
    schema, value = shape(key)
    names = clean_schema(schema).keys
    text = json.dumps(renamed(value, names), ensure_ascii=False)
    wrapped = json.dumps({"value": json.loads(text)}) if isinstance(value, list) else text

    with (
        FaultServer([Fault(body=whole(service, wrapped))]) as server,
        ainb.Session(f"{service}:m", api_base=server.base_url, home=tmp_path, retry=None) as session,
    ):
        reply = session.ask("hi", schema=schema)
        sent = sent_schema(server.requests[0].body)

    assert reply.parsed == value
    assert json.loads(reply.text) == value
    assert all(KEY.fullmatch(found) for found in keys_in(sent)), keys_in(sent)
    assert len(server.requests) == 1


PLACES = {
    "fence": "Here it is:\n```json\n{}\n```\nDone.",
    "prose": "The answer is {} as asked.",
    "thinking": "<think>hm {{}}</think>\n{}",
    "unclosed fence": "```json\n{}",
}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_reply_around_the_json_is_mapped_back_too(service, place, tmp_path):
    schema = obj({"größe": TEXT})
    text = place.replace("{{}}", "").replace("{}", '{"grosse": "1"}')

    with (
        FaultServer([Fault(body=whole(service, text))]) as server,
        ainb.Session(f"{service}:m", api_base=server.base_url, home=tmp_path, retry=None) as session,
    ):
        assert session.ask("hi", schema=schema).parsed == {"größe": "1"}
        assert len(server.requests) == 1


@pytest.mark.parametrize("form", ["string of JSON", "tool call", "tool call, text"])
def test_json_inside_json_is_mapped_back_too(form, tmp_path):
    inner = '{"grosse": "1"}'
    text = {
        "string of JSON": json.dumps(inner),
        "tool call": json.dumps({"name": "reply", "arguments": json.loads(inner)}),
        "tool call, text": json.dumps({"name": "reply", "arguments": inner}),
    }[form]

    with (
        FaultServer([Fault(body=whole("openai", text))]) as server,
        ainb.Session("openai:m", api_base=server.base_url, home=tmp_path, retry=None) as session,
    ):
        assert session.ask("hi", schema=obj({"größe": TEXT})).parsed == {"größe": "1"}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "several",
    [
        ["größe", "grosse"],
        ["a b", "a_b", "a/b", "a_b_2"],
        ["名前", "住所", "field"],
        ["x" * 65, "x" * 66, "x" * 64],
        ["é", "e", "è", "ê"],
    ],
)
def test_two_keys_never_become_one(service, several, tmp_path):
    schema = obj(dict.fromkeys(several, TEXT))
    value = {key: str(place) for place, key in enumerate(several)}
    names = clean_schema(schema).keys
    assert len({names.get(key, key) for key in several}) == len(several)

    text = json.dumps(renamed(value, names))
    with (
        FaultServer([Fault(body=whole(service, text))]) as server,
        ainb.Session(f"{service}:m", api_base=server.base_url, home=tmp_path, retry=None) as session,
    ):
        assert session.ask("hi", schema=schema).parsed == value


def test_the_schema_describes_the_real_name():
    schema = obj({"名前": TEXT, "größe": {"type": "number", "description": "in cm"}})

    sent = clean_schema(schema).schema["properties"]

    assert sent["field"]["description"] == "名前"
    assert sent["grosse"]["description"] == "größe: in cm"


def test_keys_of_a_free_object_stay():
    schema = obj({"größe": TEXT, "counts": {"type": "object", "additionalProperties": {"type": "integer"}}})

    value, changed = clean_schema(schema).restore({"grosse": "1", "counts": {"grosse": 3}})

    assert changed
    assert value == {"größe": "1", "counts": {"grosse": 3}}


@pytest.mark.parametrize(
    "reference", ["#/properties/a b/properties/c d", "#/properties/a%20b/properties/c%20d", "#/$defs/E f"]
)
def test_references_follow_the_names(reference):
    schema = obj(
        {"a b": obj({"c d": TEXT}), "x": {"$ref": reference}}, **{"$defs": {"E f": obj({"g h": TEXT})}}
    )

    sent = clean_schema(schema).schema
    found = sent
    for part in sent["properties"]["x"]["$ref"][2:].split("/"):
        found = found[part]

    assert found["type"] in {"string", "object"}
    assert all(KEY.fullmatch(key) for key in keys_in(sent))


def test_requirements_discriminators_and_examples_follow_the_names():
    schema = {
        "type": "object",
        "properties": {"a b": TEXT, "c d": TEXT},
        "required": ["a b"],
        "dependentRequired": {"a b": ["c d"]},
        "dependentSchemas": {"a b": {"required": ["c d"]}},
        "discriminator": {"propertyName": "a b", "mapping": {"x": "#/$defs/X y"}},
        "examples": [{"a b": "1", "other": "2"}],
        "default": {"c d": "1"},
        "$defs": {"X y": TEXT},
    }

    sent = clean_schema(schema).schema

    assert sent["required"] == ["a_b"]
    assert sent["dependentRequired"] == {"a_b": ["c_d"]}
    assert sent["dependentSchemas"] == {"a_b": {"required": ["c_d"]}}
    assert sent["discriminator"] == {"propertyName": "a_b", "mapping": {"x": "#/$defs/X_y"}}
    assert sent["examples"] == [{"a_b": "1", "other": "2"}]
    assert sent["default"] == {"c_d": "1"}


def test_a_schema_with_plain_names_is_sent_as_it_is():
    schema = obj({"a": TEXT, "b-c.d_e": TEXT})
    assert clean_schema(schema).schema is schema


names = st.text(max_size=70)
leaves = st.just(TEXT)
schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.dictionaries(names, inner, min_size=1, max_size=4).map(obj),
        inner.map(lambda item: {"type": "array", "items": item}),
    ),
    max_leaves=8,
)


def value_of(schema):
    if schema["type"] == "object":
        return {key: value_of(inner) for key, inner in schema["properties"].items()}
    return [value_of(schema["items"])] * 2 if schema["type"] == "array" else "x"


@given(schemas)
@settings(max_examples=300, deadline=None)
def test_any_names_survive_there_and_back(schema):
    clean = clean_schema(schema)

    assert all(KEY.fullmatch(key) for key in keys_in_properties(clean.schema))
    value, _ = clean.restore(value_of(clean.schema))
    assert value == value_of(schema)


def keys_in_properties(schema):
    if schema["type"] == "array":
        return keys_in_properties(schema["items"])
    return [
        found
        for key, inner in schema.get("properties", {}).items()
        for found in (key, *keys_in_properties(inner))
    ]


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


Size = pydantic.create_model("Größe", wert=(int, ...))


@pytest.mark.parametrize(
    "schema",
    [
        Page[int],
        Page[Size],
        Size,
        list[Size],
        {"title": "Größe (cm)", **obj({"a": TEXT})},
        {"title": "名前", **obj({"a": TEXT})},
        {"title": "x" * 99, **obj({"a": TEXT})},
        {"title": "", **obj({"a": TEXT})},
        pydantic.create_model("Ünïcode " * 20, a=(int, ...)),
    ],
)
def test_schema_names_are_accepted_by_every_protocol(schema):
    found = read_schema(schema)
    assert NAME.fullmatch(found.name)
    assert all(KEY.fullmatch(key) for key in keys_in(clean_schema(found.json_schema).schema))


TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": obj({"filter[id]": TEXT})}}
    for name in ("Page[int]", "Page_int", "größe", "x" * 80)
]


def tool_reply(service, name, value):
    if service == "anthropic":
        block = {"type": "tool_use", "id": "t", "name": name, "input": value}
        return {"type": "message", "model": "m", "content": [block], "stop_reason": "tool_use"}
    call = {"type": "function", "id": "t", "function": {"name": name, "arguments": json.dumps(value)}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"model": "m", "choices": [{"message": message, "finish_reason": "tool_calls"}]}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("which", "sent"), list(enumerate(["Page_int_2", "Page_int", "grosse", "x" * 64])))
def test_tools_are_renamed_and_their_calls_mapped_back(service, which, sent, tmp_path):
    asked = TOOLS[which]["function"]["name"]
    choice = {"type": "function", "function": {"name": asked}}

    with (
        FaultServer([Fault(body=tool_reply(service, sent, {"filter_id": "7"}))]) as server,
        ainb.Session(f"{service}:m", api_base=server.base_url, home=tmp_path, retry=None) as session,
    ):
        (call,) = json.loads(session.ask("hi", tools=TOOLS, tool_choice=choice).text)
        body = server.requests[0].body

    tools = [tool.get("function", tool) for tool in body["tools"]]
    assert tools[which]["name"] == sent
    assert all(NAME.fullmatch(tool["name"]) for tool in tools)
    assert len({tool["name"] for tool in tools}) == len(TOOLS)
    assert body["tool_choice"].get("function", body["tool_choice"])["name"] == sent
    assert call["name"] == asked
    assert json.loads(call["arguments"]) == {"filter[id]": "7"}
