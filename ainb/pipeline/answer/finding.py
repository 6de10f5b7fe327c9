"""Extraction of a JSON value from a reply with other text, if exactly one value matches the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ainb.messages import ReplySchema

MAX_CANDIDATES = 40
MAX_SCANNED_CHARACTERS = 200_000
_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_DECODER = json.JSONDecoder(strict=False)
_ARGUMENT_KEYS = ("arguments", "parameters", "input")


def find_value(schema: ReplySchema, text: str, code: str) -> Any:
    """Find the value in a reply that matches the schema.

    Args:
        schema: The requested schema.
        text: The reply.
        code: The reply's fenced blocks, or the reply without fences.

    Returns:
        The checked value: that of `code` if it matches, else the only value in the reply that does (after a
        block of thinking, in prose, in one of several fences, as a JSON string of JSON, or in a tool call).

    Raises:
        ValueError: No value matches, or several different ones do.
    """
    try:
        return schema.check(code)
    except ValueError as error:
        problem = error
    found: dict[str, Any] = {}
    for candidate in _candidates(text):
        try:
            value = schema.check(candidate)
        except ValueError:
            continue
        found.setdefault(_canonical(candidate), value)
    if not found:
        raise problem
    if len(found) > 1:
        raise ValueError(f"it holds {len(found)} different values that match; it must hold one")
    return next(iter(found.values()))


def visible(text: str) -> str:
    """A reply without blocks of thinking."""
    return _THINKING.sub("", text).strip()


def _candidates(text: str) -> Iterator[str]:
    """Texts that may be the value, each once; their number is bounded."""
    seen: set[str] = set()
    shown = visible(text[:MAX_SCANNED_CHARACTERS])
    pieces = [shown, *(match.group(1) for match in _FENCE.finditer(shown))]
    for piece in pieces:
        for candidate in (piece.strip(), *_values_in(piece)):
            for form in (candidate, *_unwrapped(candidate)):
                if form and form not in seen:
                    seen.add(form)
                    yield form
                if len(seen) >= MAX_CANDIDATES:
                    return


def _values_in(text: str) -> Iterator[str]:
    """The outermost JSON objects and lists of a text."""
    at = 0
    while (start := _next_start(text, at)) is not None:
        try:
            _, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        yield text[start:end]
        at = end


def _next_start(text: str, at: int) -> int | None:
    starts = [place for mark in "{[" if (place := text.find(mark, at)) >= 0]
    return min(starts, default=None)


def _unwrapped(text: str) -> Iterator[str]:
    """JSON inside JSON: a string that contains it, or the arguments of a tool call."""
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return
    if isinstance(value, str):
        yield value.strip()
    for call in value if isinstance(value, list) else [value]:
        if not isinstance(call, dict):
            continue
        function = call.get("function")
        for holder in (call, function if isinstance(function, dict) else {}):
            for key in _ARGUMENT_KEYS:
                if key in holder and ("name" in holder or holder is call):
                    given = holder[key]
                    yield given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def _canonical(text: str) -> str:
    """Canonical text of a JSON value, to compare values."""
    try:
        return json.dumps(json.loads(text, strict=False), sort_keys=True)
    except (ValueError, RecursionError):
        return text
