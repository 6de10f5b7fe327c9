"""Parser of rate-limit headers into one form per dimension (requests, tokens), for all providers' spellings.

Source: the providers' documentation of their headers, as of 2026: OpenAI and Azure, Anthropic, Groq, Mistral.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Literal

from ainb.providers.http.headers import parse_duration, parse_reset

Dimension = Literal["requests", "tokens", "input_tokens", "output_tokens"]
Reading = tuple[Dimension, float | None, float | None, float | None]

_OPENAI = re.compile(r"x-ratelimit-(limit|remaining|reset)-(requests|tokens)")
_ANTHROPIC = re.compile(
    r"anthropic-ratelimit-(requests|tokens|input-tokens|output-tokens)-(limit|remaining|reset)"
)
_MISTRAL = re.compile(r"x-ratelimit-(limit|remaining)-(req|tokens)-minute")
_DIMENSIONS: Mapping[str, Dimension] = {
    "requests": "requests",
    "req": "requests",
    "tokens": "tokens",
    "input-tokens": "input_tokens",
    "output-tokens": "output_tokens",
}
LONGEST_RESET_SECONDS = 120.0
_MOMENT = 1e9


def read_limits(headers: Mapping[str, str], unix_now: float) -> list[Reading]:
    """Parse limits per minute.

    Args:
        headers: Rate-limit headers of a response with lower-case names.
        unix_now: Wall-clock seconds since 1970, for resets that are given as a time.

    Returns:
        Dimension, limit per minute, remaining, seconds to the reset; each number is None when absent,
        negative or garbage. A dimension whose reset is more than two minutes away is a daily limit (Groq's
        requests) and left out. A limit of 0, which Azure sends for "unknown", makes its remaining None as
        well.
    """
    found: dict[Dimension, dict[str, float | None]] = {}
    for name, value in headers.items():
        place = _place(name)
        if place is not None:
            dimension, what = place
            number = _reset(value, unix_now) if what == "reset" else _count(value)
            found.setdefault(dimension, {})[what] = number
    return [
        (dimension, limit or None, None if limit == 0 else parts.get("remaining"), reset)
        for dimension, parts in found.items()
        for limit, reset in [(parts.get("limit"), parts.get("reset"))]
        if reset is None or reset <= LONGEST_RESET_SECONDS
    ]


def _reset(text: str, unix_now: float) -> float | None:
    """Seconds until the reset; durations, which repeat from reply to reply, are parsed once."""
    seconds = None if ":" in text else _duration(text)
    # Large numbers and all other texts are points in time; they differ from reply to reply.
    return seconds if seconds is not None and seconds < _MOMENT else parse_reset(text, unix_now=unix_now)


_duration = functools.lru_cache(maxsize=1024)(parse_duration)


@functools.lru_cache(maxsize=256)
def _place(name: str) -> tuple[Dimension, str] | None:
    if (match := _OPENAI.fullmatch(name)) or (match := _MISTRAL.fullmatch(name)):
        return _DIMENSIONS[match[2]], match[1]
    if match := _ANTHROPIC.fullmatch(name):
        return _DIMENSIONS[match[1]], match[2]
    return None


def _count(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
