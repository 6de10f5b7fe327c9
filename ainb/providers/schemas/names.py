"""Replaces names in schemas that protocols do not accept, and restores the user's names in replies.

Property keys and names of definitions that do not match the pattern are replaced in the request, each by a
name that is unique in the schema.

Source: Anthropic API, "Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'"; OpenAI API reference,
    names of functions and response formats.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from ainb.identity_cache import cached_by_identity
from ainb.providers.schemas.keys import Json, KeyReplacer, mapping

MAX_CHARS: Final = 64
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REFUSED = {_KEY: re.compile(r"[^A-Za-z0-9_.-]+"), NAME: re.compile(r"[^A-Za-z0-9_-]+")}
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_DEPENDENT = frozenset({"dependencies", "dependentRequired"})
_DEFINITIONS = frozenset({"$defs", "definitions"})
_LISTS = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
_SINGLE = frozenset({
    "additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
    "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip
_EXAMPLES = frozenset({"default", "example"})


def clean_name(name: str) -> str:
    """A name of at most 64 ASCII letters, digits, dashes and underscores; "reply" when none is left."""
    return _cleaned(name, NAME) or "reply"


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanSchema:
    """A schema with names that protocols accept.

    Attributes:
        schema: The schema as sent; the user's own object when no name was replaced.
        asked: The user's schema.
        keys: Property key in the request by the user's key; empty when no key was replaced.
    """

    schema: Mapping[str, Any]
    asked: Mapping[str, Any]
    keys: Mapping[str, str]

    def restore(self, value: Any) -> tuple[Any, bool]:
        """A reply's value under the user's keys, and whether any key was replaced."""
        walk = KeyReplacer(self.asked, {sent: key for key, sent in self.keys.items()}, forward=False)
        return walk.renamed(value, [self.asked]), walk.changed


@cached_by_identity  # rows of a batch share one schema
def clean_schema(schema: Mapping[str, Any]) -> CleanSchema:
    """The schema with names that protocols accept."""
    try:
        return _clean(schema)
    except RecursionError:
        return CleanSchema(schema=schema, asked=schema, keys={})


def _clean(schema: Mapping[str, Any]) -> CleanSchema:
    found = list(subschemas(schema))
    keys = replacements((key for item in found for key in mapping(item.get("properties"))), _KEY)
    definitions = replacements(
        (name for item in found for place in _DEFINITIONS for name in mapping(item.get(place))), NAME
    )
    if not keys and not definitions:
        return CleanSchema(schema=schema, asked=schema, keys={})
    written = _Writer(schema, keys, definitions).write(schema)
    return CleanSchema(schema=written, asked=schema, keys=keys)


def replacements(names: Iterable[str], pattern: re.Pattern[str]) -> dict[str, str]:
    """A unique accepted name for each name that is not accepted."""
    taken = dict.fromkeys(names)
    refused = [name for name in taken if not pattern.fullmatch(name)]
    made: dict[str, str] = {}
    for name in refused:
        base = _cleaned(name, pattern) or "field"
        sent, number = base, 2
        while sent in taken:
            sent = f"{base[: MAX_CHARS - len(str(number)) - 1]}_{number}"
            number += 1
        made[name] = sent
        taken[sent] = None
    return made


def _cleaned(name: str, pattern: re.Pattern[str]) -> str:
    if pattern.fullmatch(name):
        return name
    letters = unicodedata.normalize("NFKD", name).replace("ß", "ss")
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return _REFUSED[pattern].sub("_", plain).strip("_")[:MAX_CHARS].strip("_")


def subschemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    """The schema and every schema in it, those of its definitions too."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    for keyword, inner in schema.items():
        if keyword in _NAMED or keyword == "dependencies":
            within: Iterable[Any] = mapping(inner).values()
        elif keyword in _LISTS or (keyword == "items" and isinstance(inner, list)):
            within = inner if isinstance(inner, list) else ()
        else:
            within = (inner,) if keyword in _SINGLE else ()
        for item in within:
            yield from subschemas(item)


class _Writer:
    """Writes a copy of a schema with other names."""

    def __init__(
        self, root: Mapping[str, Any], keys: Mapping[str, str], definitions: Mapping[str, str]
    ) -> None:
        self._root = root
        self._keys = keys
        self._definitions = definitions

    def write(self, schema: Any) -> Any:
        if not isinstance(schema, Mapping):
            return schema
        return {keyword: self._keyword(schema, keyword, value) for keyword, value in schema.items()}

    def _keyword(self, schema: Mapping[str, Any], keyword: str, value: Any) -> Any:
        if keyword in _NAMED or keyword in _DEPENDENT:
            return self._named(keyword, value)
        if keyword in _LISTS or keyword in _SINGLE:
            return [self.write(item) for item in value] if isinstance(value, list) else self.write(value)
        if keyword == "examples" and isinstance(value, list):
            return [self._example(schema, item) for item in value]
        if keyword in _EXAMPLES:
            return self._example(schema, value)
        change = {"required": self._list, "$ref": self._reference, "discriminator": self._discriminator}
        return change[keyword](value) if keyword in change else value

    def _named(self, keyword: str, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        if keyword == "patternProperties":
            return {name: self.write(inner) for name, inner in value.items()}
        names = self._definitions if keyword in _DEFINITIONS else self._keys
        written: Json = {}
        for name, inner in value.items():
            said = self._list(inner) if isinstance(inner, list) else self.write(inner)
            if keyword == "properties" and name in names:
                said = _described(said, name)
            written[names.get(name, name)] = said
        return written

    def _list(self, value: Any) -> Any:
        """Names of properties."""
        if not isinstance(value, list | tuple):
            return value
        return [self._keys.get(item, item) if isinstance(item, str) else item for item in value]

    def _reference(self, reference: Any) -> Any:
        """A JSON pointer into the schema: keywords and names alternate."""
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return reference
        parts, keyword, changed = ["#"], None, False
        for part in reference[2:].split("/"):
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            names = self._definitions if keyword in _DEFINITIONS else self._keys
            is_name = keyword in _NAMED and keyword != "patternProperties"
            sent = names.get(name) if is_name else None
            changed = changed or sent is not None
            parts.append(part if sent is None else sent)
            # Positions distinguish names from keywords: a property may be called "properties".
            keyword = None if keyword in _NAMED else name
        return "/".join(parts) if changed else reference

    def _discriminator(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        written = dict(value)
        name = value.get("propertyName")
        if isinstance(name, str):
            written["propertyName"] = self._keys.get(name, name)
        if isinstance(value.get("mapping"), Mapping):
            written["mapping"] = {kind: self._reference(item) for kind, item in value["mapping"].items()}
        return written

    def _example(self, schema: Mapping[str, Any], value: Any) -> Any:
        return KeyReplacer(self._root, self._keys, forward=True).renamed(value, [schema])


def _described(schema: Any, key: str) -> Any:
    """The schema of a property with the user's name in its description."""
    if not isinstance(schema, Mapping):
        return {"description": key} if schema is True else schema
    said = schema.get("description")
    return {**schema, "description": f"{key}: {said}" if isinstance(said, str) and said else key}
