"""Extraction of a JSON value from a reply with other text, if exactly one value matches the schema."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from ainb.fences import fences
from ainb.messages import ReplySchema

MAX_CANDIDATES = 40
MAX_SCANNED_CHARACTERS = 200_000
MAX_READ_CHARACTERS = 1_000_000  # by attempts that failed
# Blocks of thinking, by the marks of models: Qwen and DeepSeek, Gemma, Mistral, Kimi; gpt-oss names channels.
_THINKING = re.compile(
    r"<(think|thinking|thought|reasoning|scratchpad)\b[^<>]*>.*?(?:</\1>|\Z)|\[THINK\].*?(?:\[/THINK\]|\Z)"
    r"|\u25c1think\u25b7.*?(?:\u25c1/think\u25b7|\Z)"
    r"|<\|channel\|>(?:analysis|commentary)\b.*?(?:<\|end\|>|<\|return\|>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
# Chat templates that end in the opening mark leave only the closing one in the reply.
_END_OF_THINKING = re.compile(r"</(?:think|thinking)>|\[/THINK\]|\u25c1/think\u25b7", re.IGNORECASE)
_DECODER = json.JSONDecoder(strict=False)
_ARGUMENT_KEYS = ("arguments", "parameters", "input")


def find_value(schema: ReplySchema, text: str) -> Any:
    """Find the value in a reply that matches the schema.

    Args:
        schema: The requested schema.
        text: The reply.

    Returns:
        The checked value: the whole reply if it matches, else the only value in it that does (after a block
        of thinking, in prose, in one of several fences, as a JSON string of JSON, or in a tool call).

    Raises:
        ValueError: No value matches, or several different ones do.
    """
    whole = text.strip()
    shown = visible(text)
    for direct in dict.fromkeys((whole, _alone(shown))):
        try:
            return _checked(schema, direct)
        except ValueError as error:
            problem = error
    found = dict(_matching(schema, shown))
    if not found:
        raise problem
    if len(found) > 1:
        raise ValueError(f"it holds {len(found)} different values that match; it must hold one")
    return next(iter(found.values()))


def visible(text: str) -> str:
    """A reply without blocks of thinking."""
    shown = _THINKING.sub("", text)
    if "think" in shown.lower():
        ends = [match.end() for match in _END_OF_THINKING.finditer(shown)]
        shown = shown[ends[-1] :] if ends else shown
    return shown.strip()


def _checked(schema: ReplySchema, text: str) -> Any:
    """The checked value of a text.

    Raises:
        ValueError: It does not match, or Python cannot represent it.
    """
    try:
        return schema.check(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except OverflowError as error:
        raise ValueError(f"a number is out of range: {error}") from None


def _matching(schema: ReplySchema, shown: str) -> Iterator[tuple[str, Any]]:
    """Canonical text and checked value of each match; inside a match nothing is looked for."""
    for candidate in _candidates(shown):
        for form in (candidate, *_unwrapped(candidate)):
            with contextlib.suppress(ValueError):
                yield _canonical(form), _checked(schema, form)
                break


def _alone(shown: str) -> str:
    """The content of the only fence, if no JSON stands outside of it; else the text itself."""
    found = fences(shown)
    if len(found) != 1:
        return shown
    outside = shown[: found[0].start] + shown[found[0].end :]
    return shown if set(outside) & set("{[") else found[0].content.strip()


def _candidates(shown: str) -> Iterator[str]:
    """Texts that may be the value, each once; their number is bounded."""
    seen: set[str] = set()
    shown = shown[:MAX_SCANNED_CHARACTERS]
    for piece in (shown, *(fence.content for fence in fences(shown))):
        for candidate in (piece.strip(), *_values_in(piece)):
            if candidate and candidate not in seen:
                seen.add(candidate)
                yield candidate
            if len(seen) >= MAX_CANDIDATES:
                return


def _values_in(text: str) -> Iterator[str]:
    """The outermost JSON objects and lists of a text; the search for them is bounded."""
    at = read = 0
    while (start := _next_start(text, at)) is not None and read < MAX_READ_CHARACTERS:
        try:
            _, end = _DECODER.raw_decode(text, start)
        except json.JSONDecodeError as error:
            # An error counts the lines before its place, so that even a short attempt takes time.
            read += max(250, error.pos - start)
            at = start + 1
            continue
        except (ValueError, RecursionError):
            return  # thousands of brackets or of digits
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
