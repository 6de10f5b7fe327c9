"""Inline schemas: one line such as ``label: positive|negative, score: int 0..10, why: str?`` as JSON schema.

``|`` separates choices, ``a..b`` is a range, ``[x]`` a list, ``{…}`` a nested object, and ``?`` marks an
optional field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn

from ainb.errors import ConfigError
from ainb.suggestions import closest

Json = dict[str, Any]

TYPES: dict[str, Json] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
}
_SYNONYMS = {"string": "str", "text": "str", "integer": "int", "number": "float", "boolean": "bool"}
MAX_CHARACTERS = 10_000
MAX_DEPTH = 8
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<range>[-+]?\d+(?:\.\d+)?\.\.(?:[-+]?\d+(?:\.\d+)?)? | \.\.[-+]?\d+(?:\.\d+)?)
      | "(?P<double>[^"]*)" | '(?P<single>[^']*)'
      | (?P<word>[^\s,:|?\[\]{}"']+)
      | (?P<mark>[,:|?\[\]{}])
    )""",
    re.VERBOSE,
)
# Kind of a token by the group that matched; a mark is its own kind.
_KINDS = {"range": "range", "double": "quoted", "single": "quoted", "word": "word"}
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class _Token:
    """A token of the text; its kind is "range", "quoted", "word", or the mark itself."""

    kind: str
    text: str


def is_inline(text: str) -> bool:
    """Whether a text is an inline schema and not a name."""
    return not all(part.isidentifier() for part in text.strip().split("."))


def read_inline(text: str) -> Json:
    """Read an inline schema into a JSON schema.

    Raises:
        ConfigError: The text cannot be read; the message names the position.
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(
            f"an inline schema has at most {MAX_CHARACTERS:,} characters; it has {len(text):,}; "
            "use a pydantic model"
        )
    return {"title": "reply", **_Reader(text).read()}


class _Reader:
    """Parser of one inline schema."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split(text))
        self._at = 0

    def read(self) -> Json:
        """Read the whole line: fields, or one value without a name."""
        if not self._tokens:
            self._fail("it is empty")
        is_object = len(self._tokens) > 1 and (
            self._kind(1) == ":" or (self._kind(1) == "?" and self._kind(2) == ":")
        )
        found = self._fields("") if is_object else self._value(0)
        if self._at < len(self._tokens):
            self._fail(f"the schema should end before {self._tokens[self._at].text!r}")
        return found

    def _split(self, text: str) -> list[_Token]:
        tokens, at = [], 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                self._fail(f"there is no valid token at {text[at:].strip()[:20]!r}")
            at = found.end()
            kind = str(found.lastgroup)
            value = found.group(kind)
            tokens.append(_Token(_KINDS.get(kind, value), value))
        return tokens

    def _kind(self, ahead: int = 0) -> str:
        place = self._at + ahead
        return self._tokens[place].kind if place < len(self._tokens) else ""

    def _take(self, *kinds: str) -> _Token | None:
        if self._kind() not in kinds:
            return None
        self._at += 1
        return self._tokens[self._at - 1]

    def _fields(self, end: str, depth: int = 0) -> Json:
        properties: Json = {}
        required: list[str] = []
        while self._kind() != end:
            name = self._take("word", "quoted")
            optional = self._take("?") is not None
            if name is None or not self._take(":"):
                self._fail(f"a field is written name: type; found {self._here()}")
            if name.text in properties:
                self._fail(f"the field {name.text!r} is listed twice")
            properties[name.text] = self._value(depth + 1)
            if self._take("?") is None and not optional:
                required.append(name.text)
            if self._take(",") is None:
                break
        if self._kind() != end or not properties:
            self._fail(f"a comma is expected between fields; found {self._here()}")
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def _value(self, depth: int) -> Json:
        if depth > MAX_DEPTH:
            self._fail(f"it is nested deeper than {MAX_DEPTH} levels")
        if self._take("["):
            items = self._value(depth + 1)
            if self._take("]") is None:
                self._fail(f"a list ends with ]; found {self._here()}")
            return {"type": "array", "items": items}
        if self._take("{"):
            fields = self._fields("}", depth)
            self._take("}")
            return fields
        first = self._take("word", "quoted")
        if first is None:
            self._fail(f"a type is expected; found {self._here()}")
        if self._kind() == "|":
            return self._choice(first)
        return self._typed(first)

    def _choice(self, first: _Token) -> Json:
        chosen = [first]
        while self._take("|"):
            item = self._take("word", "quoted")
            if item is None:
                self._fail(f"a choice is expected after |; found {self._here()}")
            chosen.append(item)
        numbers = all(item.kind == "word" and _NUMBER.fullmatch(item.text) for item in chosen)
        values = [_number(item.text) for item in chosen] if numbers else [item.text for item in chosen]
        if len(set(values)) < len(values):
            self._fail("a choice is listed twice")
        whole = all(isinstance(value, int) for value in values)
        return {"type": ("integer" if whole else "number") if numbers else "string", "enum": values}

    def _typed(self, token: _Token) -> Json:
        name = _SYNONYMS.get(token.text.lower(), token.text.lower())
        if token.kind != "word" or name not in TYPES:
            hint = closest(name, list(TYPES))
            self._fail(
                f"{token.text!r} is not a type ({hint}); a choice takes two or more: {token.text}|other"
            )
        written = dict(TYPES[name])
        limits = self._take("range")
        if limits is not None:
            if name not in {"int", "float"}:
                self._fail(f"a range belongs to int or float; {limits.text} follows {name}")
            written |= self._bounds(limits.text, whole=name == "int")
        return written

    def _bounds(self, text: str, *, whole: bool) -> Json:
        low, _, high = text.partition("..")
        bounds = {key: _number(part) for key, part in (("minimum", low), ("maximum", high)) if part}
        if whole and not all(isinstance(value, int) for value in bounds.values()):
            self._fail(f"the range of an int needs whole numbers; it is {text}")
        if len(bounds) > 1 and bounds["minimum"] > bounds["maximum"]:
            self._fail(f"the range {text} is empty")
        return dict(bounds)

    def _here(self) -> str:
        return repr(self._tokens[self._at].text) if self._at < len(self._tokens) else "the end"

    def _fail(self, problem: str) -> NoReturn:
        raise ConfigError(
            f"the schema {self._text[:80]!r} cannot be read: {problem}; "
            'write it as in "label: positive|negative, score: int 0..10, tags: [str], why: str?"'
        )


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)
