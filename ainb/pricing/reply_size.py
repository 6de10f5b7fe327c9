"""Output tokens of replies to a schema: the usual number, and the most for a matching reply."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ainb import tokens
from ainb.identity_cache import cached_by_identity

MAX_DEPTH: Final = 6
MAX_ITEMS: Final = 100
MAX_CHARS: Final = 2_000
# Other vocabularies need up to half as many tokens more, and a model may put a code fence around its reply.
MARGIN: Final = 1.5
FRAME_TOKENS: Final = 32
LEAST_LIMIT: Final = 128
USUAL_ITEMS: Final = 3
_LONG_TEXT = re.compile(
    r"reason|rationale|explanation|explain|justif|why|summary|comment|analysis|description|advice",
    re.IGNORECASE,
)
_WHOLE_TEXT = re.compile(r"text|translation|answer|reply|content|body|message|story", re.IGNORECASE)
_WORDS: Final = ((_LONG_TEXT, 24), (_WHOLE_TEXT, 30))
_OTHER_WORDS: Final = 4
_WORD: Final = "value "
_FORMATS: Final[Mapping[str, str]] = {
    "date": "2026-12-31",
    "time": "23:59:59.123+02:00",
    "date-time": "2026-12-31T23:59:59.123456+02:00",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
    "ipv4": "255.255.255.255",
}
_LONGEST_INTEGER: Final = -9_223_372_036_854_775_807
_LONGEST_NUMBER: Final = -1.2345678901234567e-100


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplySize:
    """Output tokens of a reply to a schema, without thinking.

    Attributes:
        usual: Tokens of a usual reply.
        limit: Output limit that every matching reply fits into; None if the schema does not bound it.
    """

    usual: int
    limit: int | None


@cached_by_identity  # rows of a batch share one schema
def reply_size(schema: Mapping[str, Any]) -> ReplySize:
    """Compute the size of replies to a JSON schema."""
    usual = json.dumps(_Usual(schema).value(schema, "", 0), ensure_ascii=False)
    return ReplySize(usual=tokens.count_tokens(usual), limit=_limit(schema))


def _limit(schema: Mapping[str, Any]) -> int | None:
    longest = _Longest(schema)
    try:
        text = json.dumps({"value": longest.value(schema, "", 0)}, indent=2, ensure_ascii=False)
    except (_UnboundedError, RecursionError):
        return None
    counted = tokens.count_tokens(text) + longest.text_tokens
    return max(LEAST_LIMIT, math.ceil(MARGIN * counted) + FRAME_TOKENS)


class _UnboundedError(Exception):
    """A matching reply may be of any length."""


class _Sizer:
    """Base of builders of a value that matches a schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def value(self, schema: Any, name: str, depth: int) -> Any:
        """A value of a schema; `name` is the property that holds it."""
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
            return self.unknown()
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self.choice(list(schema["enum"]))
        branches = schema.get("anyOf") or schema.get("oneOf")
        if branches:
            return self.branch([self.value(item, name, depth + 1) for item in branches])
        kinds = schema.get("type", "object" if "properties" in schema else None)
        if isinstance(kinds, list):
            return self.branch([self.value({**schema, "type": kind}, name, depth + 1) for kind in kinds])
        return self._typed(schema, kinds, name, depth)

    def _typed(self, schema: Mapping[str, Any], kind: Any, name: str, depth: int) -> Any:
        if kind == "object":
            return self.members(schema, depth)
        if kind == "array":
            return self.items(schema, name, depth)
        if kind == "string":
            return _FORMATS.get(str(schema.get("format"))) or self.text(schema, name)
        if kind in {"integer", "number"}:
            return self.number(schema, whole=kind == "integer")
        return {"boolean": False, "null": None}[kind] if kind in {"boolean", "null"} else self.unknown()

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for _ in range(MAX_DEPTH):
            reference = schema.get("$ref")
            if isinstance(reference, str):
                place = reference.removeprefix("#/").split("/")
                found: Any = self._root
                for part in place if reference != "#" else ():
                    found = found.get(part) if isinstance(found, Mapping) else None
                schema = found if isinstance(found, Mapping) else {}
                continue
            items = schema.get("allOf")
            if isinstance(items, list) and len(items) == 1 and isinstance(items[0], Mapping):
                schema = {**items[0], **{key: item for key, item in schema.items() if key != "allOf"}}
                continue
            return schema
        return {}

    def members(self, schema: Mapping[str, Any], depth: int) -> Any:
        """An object with every property."""
        properties = schema.get("properties")
        named = properties if isinstance(properties, Mapping) else {}
        return {name: self.value(inner, name, depth + 1) for name, inner in named.items()}

    def unknown(self) -> Any:
        """A value of a schema without constraints."""
        raise NotImplementedError

    def choice(self, values: list[Any]) -> Any:
        """One of the values of an enum."""
        raise NotImplementedError

    def branch(self, values: list[Any]) -> Any:
        """One of the values of a union."""
        raise NotImplementedError

    def items(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        """A list."""
        raise NotImplementedError

    def text(self, schema: Mapping[str, Any], name: str) -> Any:
        """A text in none of the known formats."""
        raise NotImplementedError

    def number(self, schema: Mapping[str, Any], *, whole: bool) -> Any:
        """A number."""
        raise NotImplementedError


class _Usual(_Sizer):
    """Builder of a value of usual length."""

    def unknown(self) -> Any:
        return _WORD * _OTHER_WORDS

    def choice(self, values: list[Any]) -> Any:
        return sorted(values, key=_length)[len(values) // 2]

    def branch(self, values: list[Any]) -> Any:
        return next((value for value in values if value is not None), None)

    def items(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        first = schema.get("prefixItems")
        if isinstance(first, list):
            return [self.value(item, name, depth + 1) for item in first]
        count = max(_whole(schema, "minItems", 0), min(USUAL_ITEMS, _whole(schema, "maxItems", USUAL_ITEMS)))
        return [self.value(schema.get("items"), name, depth + 1)] * min(count, MAX_ITEMS)

    def text(self, schema: Mapping[str, Any], name: str) -> Any:
        words = next((count for pattern, count in _WORDS if pattern.search(name)), _OTHER_WORDS)
        text = (_WORD * words).strip()
        return text[: _whole(schema, "maxLength", len(text))]

    def number(self, schema: Mapping[str, Any], *, whole: bool) -> Any:
        most = schema.get("maximum")
        return (most if isinstance(most, int) else 42) if whole else 0.85


class _Longest(_Sizer):
    """Builder of the longest value; raises `_UnboundedError` for a schema that does not bound it.

    Attributes:
        text_tokens: Most tokens of the texts, one per character; the value contains empty texts in their
            place.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        super().__init__(root)
        self.text_tokens = 0

    def members(self, schema: Mapping[str, Any], depth: int) -> Any:
        is_open = schema.get("additionalProperties", True) is not False and not schema.get("properties")
        if (
            is_open
            or schema.get("patternProperties")
            or schema.get("additionalProperties") not in {None, False}
        ):
            raise _UnboundedError
        return super().members(schema, depth)

    def unknown(self) -> Any:
        raise _UnboundedError

    def choice(self, values: list[Any]) -> Any:
        return max(values, key=_length)

    branch = choice

    def items(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        inner, first = schema.get("items"), schema.get("prefixItems")
        if isinstance(first, list) and inner is False:
            return [self.value(item, name, depth + 1) for item in first]
        most = _whole(schema, "maxItems", MAX_ITEMS + 1)
        named = inner.get("enum") if isinstance(inner, Mapping) else None
        if schema.get("uniqueItems") is True and isinstance(named, list):
            most = min(most, len(named))
        if most > MAX_ITEMS or isinstance(first, list):
            raise _UnboundedError
        before = self.text_tokens
        item = self.value(inner, name, depth + 1)
        self.text_tokens += (self.text_tokens - before) * max(0, most - 1)
        return [item] * most

    def text(self, schema: Mapping[str, Any], name: str) -> Any:
        most = _whole(schema, "maxLength", MAX_CHARS + 1)
        if most > MAX_CHARS:
            raise _UnboundedError
        self.text_tokens += most
        return ""

    def number(self, schema: Mapping[str, Any], *, whole: bool) -> Any:
        ends = [schema.get("minimum"), schema.get("maximum")]
        if whole and all(isinstance(end, int) for end in ends):
            return max(ends, key=_length)
        return _LONGEST_INTEGER if whole else _LONGEST_NUMBER


def _length(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, default=str))


def _whole(schema: Mapping[str, Any], keyword: str, otherwise: int) -> int:
    found = schema.get(keyword)
    return found if isinstance(found, int) and found >= 0 else otherwise
