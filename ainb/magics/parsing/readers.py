"""Parsers of option values; each raises ValueError with a description of valid values."""

from __future__ import annotations

import ast
import json
import keyword
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ainb.errors import ConfigError
from ainb.pipeline.answer import is_inline
from ainb.pipeline.budget import MAX_USD, read_usd
from ainb.usage.filters import read_since

Reader = Callable[[str], Any]

_VARIABLE = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)
_SPAN = re.compile(r"(\d{1,12}(?:\.\d{1,6})?|\.\d{1,6})\s*([smhdw]?)")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_RESERVED = frozenset({"model", "messages", "stream"})


class UnsafeValueError(ValueError):
    """Error for a value that may be a secret, so that messages must not repeat it."""


def text(value: str) -> str:
    """Any text that is not empty."""
    if not value.strip():
        raise ValueError("a text; put quotes around it if it has spaces")
    return value


def name(value: str) -> str:
    """A name to bind in the notebook."""
    if not value.isidentifier() or keyword.iskeyword(value):
        raise ValueError("a variable name")
    return value


def number_from(least: float, *, above: bool = False) -> Reader:
    """A number of at least `least` (above it, when `above`)."""
    takes = f"a number {'above' if above else 'of at least'} {least:g}"

    def read(value: str) -> float:
        try:
            found = float(value)
        except ValueError:
            raise ValueError(takes) from None
        if not math.isfinite(found) or found < least or (above and found == least):
            raise ValueError(takes)
        return found

    return read


def seconds(value: str) -> float:
    """A time span above 0: a number of seconds, or with a unit as in 90m, 24h, 7d, 2w."""
    takes = "a number of seconds above 0, or a span such as 90m, 24h, 7d"
    found = _SPAN.fullmatch(value.strip().lower())
    if found is None or not (span := float(found[1]) * _UNIT_SECONDS[found[2] or "s"]):
        raise ValueError(takes)
    return span


def since(value: str) -> str:
    """A point in time: a span back from now, or an ISO date or time."""
    try:
        read_since(value, 0.0)
    except ConfigError:
        raise ValueError("a span back from now such as 90m, 24h, 7d, or a date such as 2026-03-31") from None
    return value


def usd(value: str) -> Decimal:
    """An amount of US dollars."""
    try:
        return read_usd("it", value)
    except ConfigError:
        raise ValueError(f"a number of USD from 0 to {MAX_USD:,}, such as 0.50") from None


def label(value: str) -> dict[str, str]:
    """``KEY=VALUE`` as a dict of one."""
    key, _, rest = (part.strip() for part in value.partition("="))
    if not key or not rest:
        raise ValueError("KEY=VALUE, such as team=search")
    return {key: rest}


def schema(value: str) -> str:
    """A name of the notebook, which may be dotted, or a schema written in place."""
    if not is_inline(value) and any(map(keyword.iskeyword, value.split("."))):
        raise ValueError("the name of an object in the notebook, such as Label")
    return text(value)


def whole_number(value: str) -> int:
    """A whole number of at least 1."""
    if not (value.isascii() and value.isdigit()) or int(value) < 1:
        raise ValueError("a whole number of at least 1")
    return int(value)


def one_of(*choices: str, **synonyms: str) -> Reader:
    """One of `choices`; `synonyms` map other spellings to a choice."""

    def read(value: str) -> str:
        lower = value.lower()
        chosen = synonyms.get(lower, lower)
        if chosen not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return chosen

    return read


def chat_name(value: str) -> str:
    """A name for a chat; the actions of ``%ai chat`` are reserved."""
    if not re.fullmatch(r"[\w.-]{1,60}", value) or value in {"show", "fork", "cut", "reset"}:
        raise ValueError("a name of letters, digits, . _ and -, other than show, fork, cut and reset")
    return value


def models(value: str) -> tuple[str, ...]:
    """Model names separated by commas."""
    found = tuple(name.strip() for name in value.split(","))
    if not all(found):
        raise ValueError("models separated by commas, as in openai:gpt-5-mini,ollama:llama3.2")
    return found


def json_object(value: str) -> dict[str, Any]:
    """A JSON object, or a Python dict."""
    takes = 'a JSON object, such as {"top_p": 0.9}'
    found: Any = None
    for load in (json.loads, ast.literal_eval):
        try:
            found = load(value)
            break
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise ValueError(takes)
    if _RESERVED & found.keys():
        raise ValueError(f"{takes}; without {', '.join(sorted(_RESERVED))}, which are set by the call")
    return found


def url(value: str) -> str:
    """An http URL without a password."""
    takes = "a URL that begins with http:// or https://"
    if not re.match(r"https?://[^\s/]", value):
        raise ValueError(takes)
    if "@" in value.split("://", 1)[1].split("/", 1)[0]:
        raise UnsafeValueError(f"{takes}, without a password; name a variable with --api-key-name")
    return value


def variable(value: str) -> str:
    """The name of an environment variable; a key itself is refused without repeating it."""
    if not _VARIABLE.fullmatch(value) or value.lower().startswith(("sk_", "gsk_", "aiza")):
        raise UnsafeValueError("the name of an environment variable that holds the key, never the key itself")
    return value
