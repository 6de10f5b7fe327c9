"""Text of a model made safe for a terminal: escape sequences and control characters out, line breaks and tabs kept."""

from __future__ import annotations

import re

MAX_HELD = 4096
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, screen
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC and its like: titles, links
    r"|\x1b[ -/]*[0-OQ-WYZ`-~]"  # two- and three-letter escapes that open nothing
)
_UNFINISHED = re.compile(
    r"(?:(?:\x1b\[|\x9b)[0-?]*[ -/]*|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*\x1b?|\x1b[ -/]*)\Z"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def clean(text: str) -> str:
    """The text without terminal escape sequences, control characters (line breaks and tabs stay) and lone surrogates."""
    return _CONTROL.sub("", _SEQUENCE.sub("", text))


def one_line(text: str) -> str:
    """The cleaned text with every run of white space as one blank."""
    return " ".join(clean(text).split())


class Cleaner:
    """Cleans a text that comes in pieces; a sequence that is cut between two pieces is held back until it is whole."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be shown once `piece` has come."""
        text = self._held + piece
        unfinished = _UNFINISHED.search(text)
        at = unfinished.start() if unfinished else len(text)
        if len(text) - at > MAX_HELD:  # nobody writes so long a title: it only opens and never closes
            at = len(text)
        self._held = text[at:]
        return clean(text[:at])

    def end(self) -> str:
        """What was held back when no more pieces come."""
        held, self._held = self._held, ""
        return clean(held)
