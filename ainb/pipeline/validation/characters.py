"""Unprintable characters: control characters, terminal escapes, direction overrides, lone surrogates.

They hide parts of a text from its reader, or cannot be sent at all. Line breaks, tabs and form feeds are
allowed.

Source: Unicode TR36 and "Trojan Source" (CVE-2021-42574) for the direction overrides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ainb.pipeline.validation.rules import Place

_CONTROL = "\\x00-\\x08\\x0b\\x0e-\\x1a\\x1c-\\x1f\\x7f-\\x9f"
_DIRECTION = "\\u202a-\\u202e\\u2066-\\u2069"
_BROKEN = "\\ud800-\\udfff"
_KINDS = {
    "escape": "terminal escape",
    "control": "control character",
    "direction": "direction override",
    "broken": "broken character",
}
_ODD = re.compile(
    rf"(?P<escape>\x1b\[[0-?]{{0,64}}+[ -/]{{0,8}}+[@-~])|(?P<control>[{_CONTROL}]+|\x1b)"
    rf"|(?P<direction>[{_DIRECTION}]+)|(?P<broken>[{_BROKEN}]+)"
)
_ANY = re.compile(rf"[{_CONTROL}\x1b{_DIRECTION}{_BROKEN}]")
_PLAIN = bytes([*b"\t\n\f\r", *range(32, 127)])
_NOT_PLAIN = bytes(set(range(128)) - set(_PLAIN))
_ESCAPE = re.compile(rb"\x1b\[[0-?]{0,64}+[ -/]{0,8}+[@-~]")


def may_be_odd(text: str) -> bool:
    """Whether `find_odd` finds anything."""
    # Deleting plain characters is ten times as fast as searching for others.
    if text.isascii():
        return bool(text.encode().translate(None, _PLAIN))
    return _ANY.search(text) is not None


def find_odd(text: str) -> Iterator[Place]:
    """Runs of unprintable characters: one place for each run of one kind."""
    for match in _ODD.finditer(text):
        start, end = match.span()
        yield start, end, _KINDS[match.lastgroup or "control"]


def without_odd(text: str) -> str:
    """The text without unprintable characters."""
    if not may_be_odd(text):
        return text
    if not text.isascii():
        return _ODD.sub("", text)
    return _ESCAPE.sub(b"", text.encode()).translate(None, _NOT_PLAIN).decode()
