"""Schemas as sent: the supported subset of a service (`Profile`) and the changes (`WireSchema`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ainb.providers.schemas.names import CleanSchema

Json = dict[str, Any]


USUAL_LIMITS: Final = {"properties": 5_000, "enum_values": 1_000, "name_chars": 120_000}
_DEFINITION = re.compile(r"#/(?:\$defs|definitions)/([^/]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The subset of JSON Schema that a service supports.

    Attributes:
        keywords: Supported keywords beside the structural ones.
        all_required: Whether every property must be required; optional ones become nullable.
        recursion: Whether a schema may refer to itself.
        max_depth: Levels of objects and lists.
        limits: Limits of the whole schema: "properties", "enum_values", "name_chars" (characters of names and
            enum values), "optional" (properties) and "unions" (``anyOf`` and lists of types).
    """

    keywords: frozenset[str]
    all_required: bool = False
    recursion: bool = True
    max_depth: int = 10
    limits: Mapping[str, int] = field(default_factory=lambda: USUAL_LIMITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class WireSchema:
    """A schema as sent.

    Attributes:
        schema: The JSON schema on the wire; its root is an object.
        wrapped: Whether the reply is in the property ``value``, because the user's schema is not an object.
        nullable: Whether optional properties became required and nullable.
        keys: Replaced property keys; None when none was replaced.
    """

    schema: Json
    wrapped: bool = False
    nullable: bool = False
    keys: CleanSchema | None = None


def wrap(schema: Mapping[str, Any]) -> Json:
    """An object with the schema as its one property ``value``; definitions stay at the root."""
    inner = dict(schema)
    definitions: Json = {name: inner.pop(name) for name in ("$defs", "definitions") if name in inner}
    return {
        "type": "object",
        "properties": {"value": inner},
        "required": ["value"],
        "additionalProperties": False,
        **definitions,
    }


def with_all_of_one(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with an ``allOf`` of one item merged; any other schema is returned itself."""
    items = schema.get("allOf")
    if isinstance(items, list) and len(items) == 1 and isinstance(items[0], Mapping):
        return {**items[0], **{name: item for name, item in schema.items() if name != "allOf"}}
    return schema


def is_object(schema: Mapping[str, Any]) -> bool:
    """Whether replies of a schema are objects, so that it can be the root on the wire."""
    if "$ref" in schema:
        found = definition_of(schema["$ref"], schema)
        return found is not None and "$ref" not in found and is_object(found)
    return schema.get("type") == "object" or ("properties" in schema and "type" not in schema)


def definition_name(reference: Any) -> str | None:
    """Name of the definition that a reference points to; None for any other reference."""
    found = _DEFINITION.fullmatch(reference) if isinstance(reference, str) else None
    return found.group(1).replace("~1", "/").replace("~0", "~") if found else None


def definition_of(reference: Any, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema that a reference points to; None when the root does not hold it."""
    if reference == "#":
        return root
    name = definition_name(reference)
    for place in ("$defs", "definitions"):
        found = root.get(place)
        if name is not None and isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            inner: Mapping[str, Any] = found[name]
            return inner
    return None
