"""JSON of response bodies: a strict parser, then a lenient one; typed access to the values."""

from __future__ import annotations

import json
import math
from typing import Any, Final, cast

import orjson

Json = dict[str, Any]  # orjson's type: isinstance with dict is 8 times cheaper than with Mapping
_NOTHING: Final[Json] = {}


class UnreadableError(ValueError):
    """A body that does not follow its protocol; the message says what it is instead."""


def parse_json(body: bytes) -> Any:
    """Decode a body.

    The lenient parser accepts what other clients accept: a byte order mark, lone surrogates, control
    characters in strings, ``NaN`` and ``Infinity``, bytes that are not UTF-8 (replaced).

    Raises:
        ValueError: It is not JSON.
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
    """The integer; infinity when it has more digits than Python converts."""
    try:
        return int(digits)
    except ValueError:
        return -math.inf if digits.startswith("-") else math.inf


class SurrogateJoiner:
    """Joins surrogate pairs that a stream has split, and replaces lone surrogates."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Add the next piece; returns the text so far that is valid Unicode."""
        text = self._held + piece
        self._held = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        return joined(text[:-1] if self._held else text)

    def close(self) -> str:
        """End the stream; returns U+FFFD if a lone surrogate was held back, otherwise ""."""
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
    """The value if it is an object, otherwise an empty one."""
    return value if isinstance(value, dict) else _NOTHING


def word_or_none(value: Any) -> str | None:
    """The value if it is a non-empty string, otherwise None."""
    return value if isinstance(value, str) and value else None


def count_or_none(value: Any) -> int | None:
    """The value if it is a number, 5.0 as 5, otherwise None; impossible counts are dropped later."""
    # Nearly every value; a test against a union takes five times as long.
    if value is None or type(value) is int:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else cast(int, value)
