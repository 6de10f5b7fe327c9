"""Schema of a pack's answer: one entry per row with its id and the fields of the user's schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ainb.pipeline.answer import Schema

ROWS = "rows"
ID = "id"
VALUE = "value"
ITEM = "ainb_row"
_DEFINITIONS = ("$defs", "definitions")
# Keywords at the root with which an object cannot be reduced to its properties.
_NOT_PLAIN = frozenset(
    {"$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "patternProperties", "dependentSchemas",
     "dependentRequired", "minProperties", "maxProperties", "propertyNames", "unevaluatedProperties"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PackSchema:
    """Schema of a pack's answer.

    Attributes:
        schema: Schema of the whole answer.
        flat: Whether the row's fields are beside its id. Otherwise its answer is in "value": for schemas that
            are not a plain object, or that have a field "id".
    """

    schema: Schema
    flat: bool

    def answer_of(self, entry: Mapping[str, Any]) -> Any:
        """A row's answer in an entry; raises KeyError without one."""
        if self.flat:
            return {name: value for name, value in entry.items() if name != ID}
        return entry[VALUE]


def pack_schema(schema: Schema) -> PackSchema:
    """The schema of a pack whose rows must match `schema`."""
    shape = dict(schema.json_schema)
    definitions = {name: shape.pop(name) for name in _DEFINITIONS if name in shape}
    shape.pop("$schema", None)
    flat = _is_flat(shape) and not _refers_to_root(shape)
    if not flat and _refers_to_root({**shape, **definitions}):
        # The root of the row's schema is nested now, so references to it are rewritten.
        shape = _led_to_item(shape)
        definitions = _led_to_item(definitions)
        definitions.setdefault("$defs", {})[ITEM] = shape
        shape = {"$ref": f"#/$defs/{ITEM}"}
    whole = {
        "title": f"{schema.name}_rows"[:64],
        "type": "object",
        "properties": {ROWS: {"type": "array", "items": _entry(shape, flat=flat)}},
        "required": [ROWS],
        "additionalProperties": False,
        **definitions,
    }
    return PackSchema(
        Schema(name=whole["title"], json_schema=whole, check=read_rows, fields={ROWS: "json"}, dump=dict),
        flat,
    )


def read_rows(text: str) -> list[Any]:
    """Parse the entries of a pack's answer.

    Raises:
        ValueError: The text is not JSON, or JSON without such a list.
    """
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    rows = found.get(ROWS) if isinstance(found, dict) else found
    # A list of other values is a part of an answer.
    bare = (
        rows is found and isinstance(rows, list) and all(isinstance(row, dict) and ID in row for row in rows)
    )
    if not isinstance(rows, list) or (rows is found and not bare):
        raise ValueError(f'there is no list "{ROWS}" in it')
    return rows


def _entry(shape: Mapping[str, Any], *, flat: bool) -> dict[str, Any]:
    if not flat:
        return {
            "type": "object",
            "properties": {ID: {"type": "string"}, VALUE: dict(shape)},
            "required": [ID, VALUE],
            "additionalProperties": False,
        }
    return {
        **shape,
        "properties": {ID: {"type": "string"}, **shape["properties"]},
        "required": [ID, *shape.get("required", ())],
    }


def _is_flat(shape: Mapping[str, Any]) -> bool:
    properties = shape.get("properties")
    is_object = shape.get("type") == "object" and isinstance(properties, Mapping) and bool(properties)
    return is_object and ID not in (properties or {}) and not _NOT_PLAIN & shape.keys()


def _refers_to_root(value: Any) -> bool:
    """Whether the schema has references to its root or into it, other than to definitions."""
    if isinstance(value, list):
        return any(map(_refers_to_root, value))
    if not isinstance(value, Mapping):
        return False
    return _leads_to_root(value.get("$ref")) or any(map(_refers_to_root, value.values()))


def _leads_to_root(target: Any) -> bool:
    return isinstance(target, str) and not target.startswith(tuple(f"#/{name}/" for name in _DEFINITIONS))


def _led_to_item(value: Any) -> Any:
    if isinstance(value, list):
        return [_led_to_item(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    led = {name: _led_to_item(item) for name, item in value.items()}
    if _leads_to_root(led.get("$ref")):
        led["$ref"] = f"#/$defs/{ITEM}{led['$ref'].removeprefix('#')}"
    return led
