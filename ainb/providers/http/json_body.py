"""JSON of response bodies: a strict parse first, then a lenient one; and typed reads of its values."""

from __future__ import annotations

import json
import math
from typing import Any, Final, cast

import orjson

Json = dict[str, Any]  # what orjson makes: asking for dict is 8 times cheaper than for Mapping
_NOTHING: Final[Json] = {}


class UnreadableError(ValueError):
    """A body that does not follow its protocol; the message says what it is instead."""


def parse_json(body: bytes) -> Any:
    """Decode a body.

    A second, lenient parse reads what other clients read: a byte order mark, lone surrogates, control
    characters in strings, ``NaN`` and ``Infinity``, bytes that are not UTF-8 (replaced).

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        text = body.decode("utf-8-sig", "replace")
        return json.loads(text, strict=False, parse_int=_whole_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _whole_number(digits: str) -> int | float:
    """The integer; an infinity where it has more digits than Python converts."""
    try:
        return int(digits)
    except ValueError:
        return -math.inf if digits.startswith("-") else math.inf


class SurrogateJoiner:
    """Joins surrogate pairs that a stream cut in two, and replaces surrogates that have no partner."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take the next piece; returns the text that is certain, valid Unicode."""
        text = self._held + piece
        self._held = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        return joined(text[:-1] if self._held else text)

    def close(self) -> str:
        """The end of the stream; returns a replacement for a surrogate that was held back."""
        held, self._held = self._held, ""
        return joined(held)


def joined(text: str) -> str:
    """The same text in valid Unicode: surrogate pairs become one character, lone surrogates U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def mapping(value: Any) -> Json:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else _NOTHING


def word_or_none(value: Any) -> str | None:
    """The value where it is a text with something in it."""
    return value if isinstance(value, str) and value else None


def count_or_none(value: Any) -> int | None:
    """The value where it is a number, 5.0 as 5; the sender reports and drops what no count can be."""
    if (
        value is None or type(value) is int
    ):  # nearly every value; a test against a union takes 5 times as long
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else cast(int, value)
