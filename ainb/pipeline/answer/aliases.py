"""Dump of checked values under the field names of the JSON schema, also where fields have aliases."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pydantic


def make_dump(adapter: pydantic.TypeAdapter[Any]) -> Callable[[Any], Any]:
    """Make the function that turns a checked value into JSON data.

    The JSON schema that the provider receives uses validation aliases; pydantic dumps field names or
    serialization aliases. Here top-level fields get the names of the JSON schema. Nested fields get their
    serialization aliases, which are the same unless a field has two aliases.

    Args:
        adapter: Adapter of the schema's type.
    """
    shown = _properties(adapter.json_schema(by_alias=True))
    named = _properties(adapter.json_schema(by_alias=False))
    if not _has_aliases(adapter) or len(named) != len(shown):
        return lambda value: adapter.dump_python(value, mode="json")
    by_name = dict(zip(named, shown, strict=True))

    def dump(value: Any) -> Any:
        plain = adapter.dump_python(value, mode="json", by_alias=True)
        names = adapter.dump_python(value, mode="json", by_alias=False)
        if not isinstance(plain, dict) or not isinstance(names, dict) or len(names) != len(plain):
            return plain
        # Both dumps keep the order of the fields.
        return {by_name.get(name, name): item for name, item in zip(names, plain.values(), strict=True)}

    return dump


def _has_aliases(adapter: pydantic.TypeAdapter[Any]) -> bool:
    import pydantic

    modes: tuple[Literal["validation", "serialization"], ...] = ("validation", "serialization")
    try:
        return any(
            adapter.json_schema(mode=mode, by_alias=True) != adapter.json_schema(mode=mode, by_alias=False)
            for mode in modes
        )
    except pydantic.errors.PydanticUserError:  # a serialiser without a JSON schema
        return True


def _properties(schema: dict[str, Any]) -> list[str]:
    # A model that contains itself is listed under "$defs".
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    return list(schema.get("$defs", {}).get(name, schema).get("properties", {}))
