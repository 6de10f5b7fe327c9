"""Reply schemas: reads pydantic models, dataclasses, TypedDicts and JSON schemas, and checks replies."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import enum
import functools
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, is_typeddict

from ainb.errors import ConfigError
from ainb.pipeline.answer.aliases import make_dump
from ainb.pipeline.answer.inline import read_inline
from ainb.pipeline.answer.loading import load_jsonschema

_GENERIC = frozenset({list, tuple, set, frozenset, dict, typing.Union, types.UnionType, Literal, Annotated})
COLUMN_TYPES = {"string": "string", "integer": "Int64", "number": "Float64", "boolean": "boolean"}
# A constant, so that a type checker checks both branches for every Python version.
READS_TYPING_TYPED_DICTS: bool = sys.version_info >= (3, 12)
MAX_PROBLEMS = 3
SHORT_CHARACTERS = 500
_BOUNDS = re.compile(r"'(?:minimum|maximum|exclusiveMinimum|exclusiveMaximum|multipleOf|enum|const)':")
# Parts of pydantic's core schema that mean calls of the model's own functions.
_FUNCTIONS = re.compile(r"'function-|'post_init': '|'post_init': True|'default_factory'|'custom_init': True")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A schema that a reply must match.

    Attributes:
        name: Name of the model, or the schema's title, in letters, digits, dashes and underscores.
        json_schema: JSON schema as it is sent to the provider.
        check: Turns the reply's text into the checked value; raises ValueError with one line that names the
            problems.
        fields: Top-level properties and the dtype of their column, in order; a schema that is not an object
            has the one field "value".
        dump: Turns a checked value into plain data by field.
        has_functions: Whether `check` and `dump` run functions of the user (validators, serialisers, …).
    """

    name: str
    json_schema: Mapping[str, Any]
    check: Callable[[str], Any]
    fields: Mapping[str, str]
    dump: Callable[[Any], dict[str, Any]]
    has_functions: bool = False


def read_schema(schema: Any) -> Schema:
    """Read a schema in any accepted form.

    Args:
        schema: A pydantic model, dataclass, TypedDict or Enum, ``list[…]``, ``Literal[…]``, a Union or
            Optional of these, a JSON schema dict, or a schema in one line (`ainb.pipeline.answer.inline`).

    Raises:
        ConfigError: It is none of these, or the JSON schema itself is invalid.
    """
    if isinstance(schema, Schema):
        return schema
    if isinstance(schema, str):
        return _from_json_schema(_parsed(schema))
    if isinstance(schema, Mapping):
        return _from_json_schema(schema)
    if is_schema_class(schema) or is_schema_type(schema):
        return _from_type(schema)
    raise ConfigError(
        "a schema is a pydantic model, a dataclass, a TypedDict, an Enum, list[…], Literal[…], a Union, a "
        'JSON schema dict, or a line such as "label: positive|negative, score: int 0..10"; it is '
        f"{schema!r:.80}"
    )


def _parsed(text: str) -> Mapping[str, Any]:
    """The JSON schema of a text: JSON, or an inline schema."""
    if text.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):
            found = json.loads(text)
            if isinstance(found, dict):
                return found
    return read_inline(text)


def is_schema_type(value: Any) -> bool:
    """Whether a value is a type other than a class of fields: ``list[…]``, ``Literal[…]``, Union, Enum."""
    if isinstance(value, type):
        return issubclass(value, enum.Enum | str | int | float | dt.date) and value is not enum.Enum
    return typing.get_origin(value) in _GENERIC


def is_schema_class(value: Any) -> bool:
    """Whether a value is a class: a pydantic model, a dataclass or a TypedDict."""
    if not isinstance(value, type):
        return False
    # `typing.is_typeddict` does not accept those of typing_extensions.
    is_typed_dict = issubclass(value, dict) and hasattr(value, "__required_keys__")
    return hasattr(value, "model_json_schema") or dataclasses.is_dataclass(value) or is_typed_dict


def _from_type(kind: Any) -> Schema:
    import pydantic

    name = _type_name(kind)
    try:
        adapter = pydantic.TypeAdapter(_readable(kind))
        json_schema = adapter.json_schema()
    except (pydantic.errors.PydanticUserError, NameError) as error:
        raise ConfigError(f"the schema {name} cannot be read ({_one_line(error)}); fix the class") from None

    dump_by_schema = make_dump(adapter)

    def check(text: str) -> Any:
        try:
            value = adapter.validate_json(text)
        except pydantic.ValidationError as error:
            problems = error.errors(include_url=False)[:MAX_PROBLEMS]
            raise ValueError("; ".join(f"{_where(item['loc'])}{item['msg']}" for item in problems)) from None
        load_strictly(text)  # pydantic takes the last of two values of a key
        return value

    def dump(value: Any) -> dict[str, Any]:
        return _by_field(dump_by_schema(value), fields)

    fields = _fields(json_schema)
    return Schema(
        name=name,
        json_schema=_closed(json_schema),
        check=check,
        fields=fields,
        dump=dump,
        has_functions=_FUNCTIONS.search(repr(adapter.core_schema)) is not None,
    )


def _type_name(kind: Any) -> str:
    """Name of a class or a type such as ``list[Label]``."""
    named = isinstance(kind, type) and not isinstance(kind, types.GenericAlias)
    return _clean_name(kind.__name__ if named else re.sub(r"(?:[\w<>]+\.)+", "", repr(kind)))


def _clean_name(name: str) -> str:
    """The name reduced to characters that every provider accepts."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        return name
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64] or "reply"


def _by_field(plain: Any, fields: Mapping[str, str]) -> dict[str, Any]:
    """Plain data by field; a schema that is not an object has the one field "value"."""
    return plain if isinstance(plain, dict) and set(fields) != {"value"} else _under_value(plain)


def _under_value(plain: Any) -> dict[str, Any]:
    return plain if isinstance(plain, dict) and set(plain) == {"value"} else {"value": plain}


def _readable(kind: Any) -> Any:
    """The type in a form that pydantic reads: before Python 3.12 a TypedDict of typing_extensions."""
    if not is_typeddict(kind) or READS_TYPING_TYPED_DICTS:
        return kind
    import typing_extensions

    hints = typing.get_type_hints(kind, include_extras=True)
    make: Any = typing_extensions.TypedDict
    return make(kind.__name__, hints, total=kind.__total__)


def _from_json_schema(schema: Mapping[str, Any]) -> Schema:
    jsonschema = load_jsonschema()
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ConfigError(
            f"the JSON schema is wrong at {'/'.join(map(str, error.path)) or 'its root'}: {error.message}"
        ) from None
    if not schema:
        raise ConfigError("the JSON schema is empty; give it at least a type")
    validator = kind(schema)

    load = functools.partial(load_strictly, refuse_nan=_BOUNDS.search(repr(schema)) is not None)

    def problems_of(value: Any) -> str:
        errors = validator.iter_errors(value)
        return "; ".join([f"{_where(tuple(error.path))}{error.message}" for error in errors][:MAX_PROBLEMS])

    # Many rows have the same short reply, such as a label; jsonschema takes 20 us or more.
    @functools.lru_cache(maxsize=256)
    def remembered(text: str) -> str:
        return problems_of(load(text))

    def check(text: str) -> Any:
        value = load(text)
        if problems := remembered(text) if len(text) <= SHORT_CHARACTERS else problems_of(value):
            raise ValueError(problems)
        return value

    fields = _fields(schema)

    def dump(value: Any) -> dict[str, Any]:
        return _by_field(value, fields)

    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(schema.get("title", "reply")))[:64] or "reply"
    return Schema(name=name, json_schema=schema, check=check, fields=fields, dump=dump)


def load_strictly(text: str, *, refuse_nan: bool = False) -> Any:
    """The value of JSON text.

    Args:
        text: The text.
        refuse_nan: Whether NaN and infinity are errors; NaN passes every comparison with a bound.

    Raises:
        ValueError: It is not JSON, or a key has two different values.
    """
    constant = _refuse_constant if refuse_nan else None
    return json.loads(text, object_pairs_hook=_one_value_per_key, parse_constant=constant)


def _one_value_per_key(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        for name, value in pairs:
            if made[name] != value:
                raise ValueError(f"the key {name!r} has two different values")
    return made


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is outside the bounds of the schema")


def _fields(schema: Mapping[str, Any]) -> dict[str, str]:
    definitions = schema.get("$defs", {})
    properties = resolve(schema, definitions).get("properties")
    if not properties:
        return {"value": _dtype(schema, definitions)}
    return {name: _dtype(inner, definitions) for name, inner in properties.items()}


def resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema, or the definition that it refers to; empty if there is none, or one of true or false."""
    reference = schema.get("$ref", "")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        found = definitions.get(reference.removeprefix("#/$defs/"), {})
        return found if isinstance(found, Mapping) else {}
    return schema


def _dtype(schema: Any, definitions: Mapping[str, Any]) -> str:
    if not isinstance(schema, Mapping):
        return "json"
    schema = resolve(schema, definitions)
    choices = [inner for inner in schema.get("anyOf", ()) if not _is_null(inner)]
    if len(choices) == 1:
        return _dtype(choices[0], definitions)
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if values and all(isinstance(value, str) for value in values):
        return "category"
    kinds = schema.get("type")
    named = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind != "null"]
    return COLUMN_TYPES.get(named[0], "json") if len(named) == 1 and isinstance(named[0], str) else "json"


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _closed(schema: Any) -> Any:
    """The schema with additionalProperties set to false, as strict structured output requires."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(inner) for name, inner in schema.items()}
    if closed.get("type") == "object" and "properties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed


def _where(place: tuple[Any, ...]) -> str:
    return f"{'.'.join(str(part) for part in place)}: " if place else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
