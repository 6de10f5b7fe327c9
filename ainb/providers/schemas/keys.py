"""Replaces keys of a value if its schema has the property."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

Json = dict[str, Any]


_BRANCHES = ("anyOf", "oneOf", "allOf")


_CONDITIONS = ("if", "then", "else")


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping, otherwise an empty one."""
    return value if isinstance(value, Mapping) else {}


class KeyReplacer:
    """Replaces keys of a value if a schema that may apply to the value has the property.

    Args:
        root: The user's schema.
        names: New key by old key.
        forward: Whether the old keys are the user's; otherwise the new ones are.
    """

    def __init__(self, root: Mapping[str, Any], names: Mapping[str, str], *, forward: bool) -> None:
        self._root = root
        self._names = names
        self._forward = forward
        self.changed = False

    def renamed(self, value: Any, schemas: Iterable[Any]) -> Any:
        """The value with the new keys."""
        if not isinstance(value, dict | list):
            return value
        possible = self._possible(schemas)
        if not possible:
            return value
        if isinstance(value, list):
            return [self.renamed(item, _of_item(possible, place)) for place, item in enumerate(value)]
        listed = {key for schema in possible for key in mapping(schema.get("properties"))}
        written: Json = {}
        for key, item in value.items():
            new = self._names.get(key, key)
            if (key if self._forward else new) not in listed or new in value:
                new = key
            self.changed = self.changed or new != key
            written[new] = self.renamed(item, _of_key(possible, key if self._forward else new))
        return written

    def _possible(self, schemas: Iterable[Any]) -> list[Mapping[str, Any]]:
        """Schemas that may apply to a value, with references, branches and conditions resolved."""
        found: list[Mapping[str, Any]] = []
        seen: set[int] = set()
        waiting = list(schemas)
        while waiting:
            schema = waiting.pop()
            if not isinstance(schema, Mapping) or id(schema) in seen:
                continue
            seen.add(id(schema))
            found.append(schema)
            waiting += [item for name in _BRANCHES for item in schema.get(name) or ()]
            waiting += [schema[name] for name in _CONDITIONS if name in schema]
            waiting += mapping(schema.get("dependentSchemas")).values()
            if "$ref" in schema:
                waiting.append(_behind(schema["$ref"], self._root))
        return found


def _of_item(schemas: list[Mapping[str, Any]], place: int) -> Iterator[Any]:
    """Schemas of an item of a list."""
    for schema in schemas:
        first = schema.get("prefixItems", schema.get("items"))
        if isinstance(first, list) and place < len(first):
            yield first[place]
        else:
            yield schema.get("additionalItems" if isinstance(schema.get("items"), list) else "items")
        yield schema.get("contains")


def _of_key(schemas: list[Mapping[str, Any]], key: str) -> Iterator[Any]:
    """Schemas of a property."""
    for schema in schemas:
        properties = mapping(schema.get("properties"))
        if key in properties:
            yield properties[key]
            continue
        yield from mapping(schema.get("patternProperties")).values()
        yield schema.get("additionalProperties")
        yield schema.get("unevaluatedProperties")


def _behind(reference: Any, root: Mapping[str, Any]) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found: Any = root
    for part in reference[1:].split("/")[1:]:
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, Mapping):
            found = found.get(name)
        else:
            return None
    return found
