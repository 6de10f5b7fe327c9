"""Rewrites JSON schemas for services that support a subset of JSON Schema.

Unsupported keywords are left out of the request; the reply is checked against the user's own schema.

Source: OpenAI, "Structured outputs", supported schemas; Anthropic, "Structured outputs", limitations;
pydantic-ai's transformers.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ainb.identity_cache import cached_by_identity
from ainb.providers.schemas.names import CleanSchema, clean_schema, subschemas
from ainb.providers.schemas.wire import (
    USUAL_LIMITS,
    Json,
    Profile,
    WireSchema,
    definition_name,
    definition_of,
    is_object,
    with_all_of_one,
    wrap,
)

_ANNOTATIONS = frozenset({"title", "description"})
_STRUCTURE = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref"}
)
_BOUNDS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems"}
)
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
# Keywords that cannot be dropped: without them the schema would accept other values.
_STRUCTURAL_REFUSED = frozenset({
    "allOf", "contains", "dependentRequired", "dependentSchemas", "dependencies", "else", "if", "not",
    "patternProperties", "prefixItems", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
    "$dynamicRef",
})  # fmt: skip
_LOOKAROUND = re.compile(r"\(\?[=!<]")
_WORDS = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


STRICT: Final = Profile(keywords=_ANNOTATIONS | _BOUNDS | {"pattern", "format"}, all_required=True)
ANTHROPIC: Final = Profile(
    keywords=_ANNOTATIONS | {"pattern", "format"},
    recursion=False,
    limits=USUAL_LIMITS | {"optional": 24, "unions": 16},
)
BOUNDS_FREE: Final = Profile(keywords=_ANNOTATIONS | {"format"})


def rewrite(schema: Mapping[str, Any], profile: Profile) -> WireSchema | None:
    """The schema in the subset that a service supports; None when it cannot be expressed in it."""
    return _rewriter(profile)(schema)


@cached_by_identity
def _rewriter(profile: Profile) -> Callable[[Mapping[str, Any]], WireSchema | None]:
    # Rows of a batch share one schema, and rewriting it takes longer than all stages of a row.
    return cached_by_identity(functools.partial(_rewritten, profile))


def _rewritten(profile: Profile, schema: Mapping[str, Any]) -> WireSchema | None:
    clean = clean_schema(schema)
    try:
        return _Writer(clean.schema, profile, keys=clean if clean.keys else None).write()
    except (_NotExpressibleError, RecursionError):
        return None


def as_given(schema: Mapping[str, Any], *, nullable: bool = False) -> WireSchema:
    """The user's schema with an object as its root; only names that protocols refuse are replaced."""
    clean = clean_schema(schema)
    wrapped = not is_object(schema)
    sent = wrap(clean.schema) if wrapped else dict(clean.schema)
    return WireSchema(schema=sent, wrapped=wrapped, nullable=nullable, keys=clean if clean.keys else None)


class _NotExpressibleError(Exception):
    """The schema needs something that the profile does not support."""


@dataclass(slots=True)
class _Writer:
    """Rewrites one schema."""

    root: Mapping[str, Any]
    profile: Profile
    keys: CleanSchema | None
    counts: Counter[str] = field(default_factory=Counter)  # of what the profile limits
    nullable: bool = False
    definitions: dict[str, Any] = field(default_factory=dict)
    under_way: list[str] = field(default_factory=list)

    def write(self) -> WireSchema:
        wrapped = not is_object(self.root)
        if wrapped and any(item.get("$ref") == "#" for item in subschemas(self.root)):
            raise _NotExpressibleError
        top = {name: item for name, item in self.root.items() if name not in {"$defs", "definitions"}}
        if not wrapped and "$ref" in top:
            top = {**(definition_of(top["$ref"], self.root) or {})}  # the root must not be a reference
        written = self._write(top, 2 if wrapped else 1)
        if wrapped:
            written = wrap(written)
        if self.definitions:
            written["$defs"] = self.definitions
        if any(self.counts[name] > limit for name, limit in self.profile.limits.items()):
            raise _NotExpressibleError
        return WireSchema(schema=written, wrapped=wrapped, nullable=self.nullable, keys=self.keys)

    def _write(self, schema: Any, depth: int) -> Json:
        if not isinstance(schema, Mapping) or depth > self.profile.max_depth:
            raise _NotExpressibleError
        schema = self._merged(schema)
        if _STRUCTURAL_REFUSED & schema.keys():
            raise _NotExpressibleError
        if "$ref" in schema:
            return self._reference(schema, depth)
        if not schema.keys() & {"type", "enum", "const", "anyOf", "properties"}:
            raise _NotExpressibleError
        written = self._kept(schema)
        self._add_values(schema, written)
        if "anyOf" in schema:
            self.counts["unions"] += 1
            written["anyOf"] = [self._write(item, depth) for item in schema["anyOf"]]
        kinds = schema.get("type")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        self.counts["unions"] += len(kinds) > 1
        if "object" in kinds or "properties" in schema:
            self._add_properties(schema, written, depth)
        if "array" in kinds:
            written["items"] = self._write(schema.get("items"), depth + 1)
        return written

    def _merged(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema with ``oneOf`` as ``anyOf``, and with an ``allOf`` of one item merged."""
        if "oneOf" in schema and "anyOf" not in schema:
            schema = {**schema, "anyOf": schema["oneOf"]}
        return with_all_of_one(schema)

    def _kept(self, schema: Mapping[str, Any]) -> Json:
        written = {
            name: item for name, item in schema.items() if name in self.profile.keywords or name == "type"
        }
        if written.get("format") not in _FORMATS:
            written.pop("format", None)
        pattern = written.get("pattern")
        if not isinstance(pattern, str) or _LOOKAROUND.search(pattern):
            written.pop("pattern", None)
        return written

    def _add_values(self, schema: Mapping[str, Any], written: Json) -> None:
        values = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if values is None:
            return
        if not isinstance(values, list) or not all(type(value) in _WORDS for value in values):
            raise _NotExpressibleError
        self.counts["enum_values"] += len(values)
        self.counts["name_chars"] += sum(len(str(value)) for value in values)
        written["enum"] = list(values)
        if "type" not in written:
            kinds = list(dict.fromkeys(_WORDS[type(value)] for value in values))
            written["type"] = kinds[0] if len(kinds) == 1 else kinds

    def _add_properties(self, schema: Mapping[str, Any], written: Json, depth: int) -> None:
        properties, more = schema.get("properties"), schema.get("additionalProperties", False)
        if not isinstance(properties, Mapping) or not properties or more is not False:
            raise _NotExpressibleError  # free property names cannot be expressed
        required = set(map(str, schema.get("required", ())))
        self.counts["properties"] += len(properties)
        self.counts["name_chars"] += sum(map(len, properties))
        written["type"] = written.get("type", "object")
        written["properties"] = {}
        for name, inner in properties.items():
            said = self._write(inner, depth + 1)
            if name not in required:
                self.counts["optional"] += 1
                said = self._optional(said)
            written["properties"][name] = said
        kept = (
            list(properties)
            if self.profile.all_required
            else [name for name in properties if name in required]
        )
        written["required"] = kept
        written["additionalProperties"] = False

    def _optional(self, said: Json) -> Json:
        if not self.profile.all_required:
            return said
        self.nullable = True
        return _or_null(said)

    def _reference(self, schema: Mapping[str, Any], depth: int) -> Json:
        reference = schema["$ref"]
        if reference == "#":
            if not self.profile.recursion:
                raise _NotExpressibleError
            return {"$ref": "#"}
        target, name = definition_of(reference, self.root), definition_name(reference)
        if target is None or name is None:
            raise _NotExpressibleError
        siblings = {key: item for key, item in schema.items() if key not in {"$ref", "default"}}
        recursive = name in self.under_way
        if recursive and not self.profile.recursion:
            raise _NotExpressibleError
        if siblings and not recursive:
            self.under_way.append(name)
            written = self._write({**target, **siblings}, depth)
            self.under_way.pop()
            return written
        self._define(name, target)
        return {"$ref": f"#/$defs/{name}"}

    def _define(self, name: str, target: Mapping[str, Any]) -> None:
        if name in self.definitions:
            return
        self.definitions[name] = {}  # placeholder, so that a recursive definition ends
        self.under_way.append(name)
        self.definitions[name] = self._write(target, 1)
        self.under_way.pop()


def _or_null(said: Json) -> Json:
    """The schema, or null."""
    kinds = said.get("type")
    if "anyOf" in said:
        if any(item.get("type") == "null" for item in said["anyOf"]):
            return said
        return {**said, "anyOf": [*said["anyOf"], {"type": "null"}]}
    if kinds is None:
        return {"anyOf": [said, {"type": "null"}]}
    named = kinds if isinstance(kinds, list) else [kinds]
    if "null" in named:
        return said
    if named in (["object"], ["array"]):
        return {"anyOf": [said, {"type": "null"}]}
    written = {**said, "type": [*named, "null"]}
    if "enum" in said and None not in said["enum"]:
        written["enum"] = [*said["enum"], None]
    return written
