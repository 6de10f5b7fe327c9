"""The compared field of the schema: label or number, and the parsing of truth and answers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ainb.compare.labels import Label, read_label
from ainb.errors import ConfigError
from ainb.pipeline.answer import resolve

Match = Literal["exact", "casefold"]
Kind = Literal["label", "number"]
NUMBERS = ("Int64", "Float64")
_TRUE, _FALSE = ("true", 1), ("false", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """The field that is compared with the truth.

    Attributes:
        name: Name in the schema; "" without a schema: then the reply's text is the label.
        kind: "number" for an integer or number without a fixed set of values, otherwise "label".
        dtype: Dtype of its column in the frame of `Session.map`.
        choices: Labels that the schema allows, in its order; empty if it lists none.
        match: "exact", or "casefold" for strings.
    """

    name: str
    kind: Kind
    dtype: str
    choices: tuple[Label, ...] = ()
    match: Match = "exact"

    def read(self, value: Any) -> Label | None:
        """Parse a truth or an answer as a label; None for a missing value.

        Raises:
            ConfigError: The field is a number or a boolean, and the value is neither.
        """
        label = read_label(_from_json(value) if self.dtype == "json" else value)
        if label is None:
            return None
        if self.dtype in NUMBERS:
            number = _as_number(label)
            return number if self.kind == "number" else read_label(number)
        if self.dtype == "boolean":
            return _as_boolean(label)
        if self.dtype != "json":
            label = str(label)
        return self._as_text(label) if isinstance(label, str) else label

    def _as_text(self, text: str) -> Label | None:
        if not self.name:
            text = text.strip()
        if self.match == "exact":
            return text or (None if not self.name else text)
        folded = text.strip().casefold()
        spelling = {choice.casefold(): choice for choice in self.choices if isinstance(choice, str)}
        return spelling.get(folded, folded) or None


def find_field(schema: Any, name: str | None, match: Match) -> Field:
    """Find the compared field of a schema.

    Args:
        schema: An `ainb.pipeline.answer` Schema; None means that the reply's text is the label.
        name: Name of the field; None if the schema has only one.
        match: How strings are compared.

    Raises:
        ConfigError: The schema has no such field, or it has several and `name` is None.
    """
    if match not in {"exact", "casefold"}:
        raise ConfigError(f"match must be 'exact' or 'casefold'; it is {match!r}")
    if schema is None:
        if name is not None:
            raise ConfigError(f"field={name!r} is a field of a schema, and there is no schema; pass schema=…")
        return Field(name="", kind="label", dtype="string", match=match)
    fields = list(schema.fields)
    if name is None and len(fields) > 1:
        raise ConfigError(f"the schema has several fields; name one with field=: {', '.join(fields)}")
    if name is not None and name not in fields:
        raise ConfigError(f"the schema has no field {name!r}; its fields are: {', '.join(fields)}")
    chosen = fields[0] if name is None else name
    dtype = schema.fields[chosen]
    choices = (False, True) if dtype == "boolean" else _choices(schema.json_schema, chosen)
    kind: Kind = "number" if dtype in NUMBERS and not choices else "label"
    if match == "casefold":
        _check_spelling(choices)
    return Field(name=chosen, kind=kind, dtype=dtype, choices=choices, match=match)


def read_truth(field: Field, column: Iterable[Any], *, name: str) -> list[Label | None]:
    """Parse the truth column by a field; None for missing values.

    Args:
        field: The field.
        column: The values.
        name: Name of the column, for the error.

    Raises:
        ConfigError: The field is a number or a boolean, and a value is neither.
    """
    values = []
    for row, value in enumerate(column):
        try:
            values.append(field.read(value))
        except ConfigError as error:
            raise ConfigError(f"truth column {name!r}, row {row}: {error}") from None
    return values


def read_answers(field: Field, column: Iterable[Any]) -> list[Label | None]:
    """Parse a column of answers by a field; None without an answer that is valid for the field."""
    values: list[Label | None] = []
    for value in column:
        try:
            values.append(field.read(value))
        except ConfigError:
            values.append(None)
    return values


def _from_json(value: Any) -> Any:
    """Decode a nested value: its column, and a truth from a CSV file, hold JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _as_number(label: Label) -> float:
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"the field is a number, and {label!r:.60} is not")
    return number


def _as_boolean(label: Label) -> bool:
    plain = label.strip().casefold() if isinstance(label, str) else label
    if plain in _TRUE:
        return True
    if plain in _FALSE:
        return False
    raise ConfigError(f"the field is true or false, and {label!r:.60} is neither")


def _check_spelling(choices: Sequence[Label]) -> None:
    folded = [choice.casefold() for choice in choices if isinstance(choice, str)]
    twice = next((text for text in folded if folded.count(text) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"match='casefold' cannot tell two labels of the schema apart: {twice!r}; use match='exact'"
        )


def _choices(json_schema: Mapping[str, Any], field: str) -> tuple[Label, ...]:
    """The values that the JSON schema lists for a field; empty without a list."""
    definitions = json_schema.get("$defs", {})
    root = resolve(json_schema, definitions)
    found = _listed(root.get("properties", {}).get(field, root), definitions)
    return tuple(label for label in map(read_label, found or ()) if label is not None)


def _listed(schema: Any, definitions: Mapping[str, Any]) -> list[Any] | None:
    if not isinstance(schema, Mapping):
        return None
    schema = resolve(schema, definitions)
    if "enum" in schema:
        return list(schema["enum"])
    if "const" in schema:
        return [schema["const"]]
    for word in ("anyOf", "oneOf", "allOf"):
        parts = [_listed(part, definitions) for part in schema.get(word, ()) if part.get("type") != "null"]
        if parts and all(part is not None for part in parts):
            return [value for part in parts for value in part or ()]
    return None
