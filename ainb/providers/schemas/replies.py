"""Converts replies to a rewritten schema back to replies to the user's own schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ainb.providers.schemas.names import CleanSchema
from ainb.providers.schemas.wire import WireSchema, definition_of, with_all_of_one

MAX_DEPTH: Final = 10
MAX_VALUES: Final = 40
_DECODER = json.JSONDecoder(strict=False)
_ARGUMENTS = ("arguments", "parameters", "input")


def restore(text: str, wire: WireSchema, schema: Mapping[str, Any]) -> str:
    """Convert a reply to the user's schema, also JSON inside other text; the other text is not changed."""
    if not (wire.wrapped or wire.nullable or wire.keys):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _restored_in_place(text, wire, schema)
    value, changed = _restored(value, wire, schema)
    return json.dumps(value, ensure_ascii=False) if changed else text


def _restored_in_place(text: str, wire: WireSchema, schema: Mapping[str, Any]) -> str:
    """A text with the JSON values in it converted: in prose, in fenced blocks, after thinking."""
    parts, at = [], 0
    for value, start, end in _values_in(text):
        value, changed = _restored(value, wire, schema)  # noqa: PLW2901 - the same value
        if changed:
            parts += [text[at:start], json.dumps(value, ensure_ascii=False)]
            at = end
    return "".join([*parts, text[at:]])


def _values_in(text: str) -> Iterator[tuple[Any, int, int]]:
    """The outermost JSON objects and lists of a text, with start and end."""
    at = 0
    for _ in range(MAX_VALUES):
        start = min((place for mark in "{[" if (place := text.find(mark, at)) >= 0), default=-1)
        if start < 0:
            return
        try:
            value, at = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
        else:
            yield value, start, at


def _restored(value: Any, wire: WireSchema, schema: Mapping[str, Any]) -> tuple[Any, bool]:
    """A value converted to the user's schema, and whether it changed."""
    changed = False
    if wire.wrapped and isinstance(value, dict) and set(value) == {"value"}:
        value, changed = value["value"], True
    if wire.keys is not None:
        value, renamed = _renamed(value, wire.keys)
        changed = changed or renamed
    if wire.nullable:
        changed = _drop_nulls(value, schema, schema) or changed
    return value, changed


def _renamed(value: Any, keys: CleanSchema) -> tuple[Any, bool]:
    """A value with the user's keys, also inside JSON in a string and in the arguments of a tool call."""
    try:
        if isinstance(value, str):
            inner, changed = (
                keys.restore(json.loads(value)) if value.lstrip()[:1] in {"{", "["} else (value, False)
            )
            return (json.dumps(inner, ensure_ascii=False), True) if changed else (value, False)
        found, changed = keys.restore(value)
    except (ValueError, RecursionError):
        return value, False
    if changed or not isinstance(value, dict):
        return found, changed
    for name in _ARGUMENTS:
        if name in value and isinstance(value[name], dict | str):
            inner, changed = _renamed(value[name], keys)
            if changed:
                return {**value, name: inner}, True
    return value, False


def _takes_null(schema: Any, root: Mapping[str, Any], depth: int = 0) -> bool:
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return schema is True
    if "$ref" in schema:
        return _takes_null(definition_of(schema["$ref"], root), root, depth + 1)
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return any(_takes_null(item, root, depth + 1) for item in branches)
    if "enum" in schema or "const" in schema:
        return None in schema.get("enum", [schema.get("const", "")])
    kinds = schema.get("type")
    if kinds is None:
        return not schema.keys() & {"properties", "items", "allOf"}
    return "null" in (kinds if isinstance(kinds, list) else [kinds])


def _drop_nulls(value: Any, schema: Any, root: Mapping[str, Any]) -> bool:
    """Remove nulls of optional properties that do not allow null; returns whether there were any."""
    if not isinstance(schema, Mapping) or not isinstance(value, dict | list):
        return False
    schema = _branch(value, schema, root)
    if isinstance(value, list):
        items = schema.get("items")
        found = [_drop_nulls(item, items, root) for item in value]
        return any(found)
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return False
    required = set(schema.get("required", ()))
    surplus = [
        name
        for name, inner in properties.items()
        if name not in required and value.get(name, "") is None and not _takes_null(inner, root)
    ]
    for name in surplus:
        del value[name]
    deeper = [_drop_nulls(item, properties.get(name), root) for name, item in value.items()]
    return bool(surplus) or any(deeper)


def _branch(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with references resolved and with the branch of a union that matches the value."""
    for _ in range(10):
        if "$ref" in schema:
            schema = definition_of(schema["$ref"], root) or {}
            continue
        merged = with_all_of_one(schema)
        if merged is not schema:
            schema = merged
            continue
        branches = schema.get("anyOf") or schema.get("oneOf")
        if not branches:
            return schema
        schema = next((item for item in branches if _fits(value, item, root)), {})
    return schema


def _fits(value: Any, schema: Any, root: Mapping[str, Any]) -> bool:
    if isinstance(schema, Mapping) and "$ref" in schema:
        schema = definition_of(schema["$ref"], root)
    if not isinstance(schema, Mapping):
        return False
    if isinstance(value, list):
        return schema.get("type") == "array"
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not set(value) <= set(properties):
        return False
    if not set(schema.get("required", ())) <= set(value):
        return False
    return all(_is_value(value[name], inner) for name, inner in properties.items() if name in value)


def _is_value(value: Any, schema: Any) -> bool:
    """Whether a value is in a property's enum or const; True without either."""
    if not isinstance(schema, Mapping):
        return True
    listed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    return listed is None or value in listed or value is None
