"""Removes terminal escape sequences and control characters from a model's text."""

from __future__ import annotations

import re

MAX_HELD = 4096
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, screen
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC: titles, links
    r"|\x1b[ -/]*[0-OQ-WYZ`-~]"  # two- and three-letter escapes without a body
)
_UNFINISHED = re.compile(
    r"(?:(?:\x1b\[|\x9b)[0-?]*[ -/]*"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*\x1b?"
    r"|\x1b[ -/]*)\Z"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def clean(text: str) -> str:
    """The text without escape sequences, lone surrogates and control characters; keeps line breaks, tabs."""
    return _CONTROL.sub("", _SEQUENCE.sub("", text))


def one_line(text: str) -> str:
    """The cleaned text on one line, with single spaces."""
    return " ".join(clean(text).split())


class Cleaner:
    """Cleans a text in pieces; a sequence split between two pieces is held back until it is complete."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Text that can be shown after `piece`."""
        text = self._held + piece
        unfinished = _UNFINISHED.search(text)
        at = unfinished.start() if unfinished else len(text)
        if len(text) - at > MAX_HELD:  # longer than any title: a sequence that is never closed
            at = len(text)
        self._held = text[at:]
        return clean(text[:at])

    def end(self) -> str:
        """The text held back, after the last piece."""
        held, self._held = self._held, ""
        return clean(held)
