"""Detects a reply that repeats itself without end, as those of small models do, while it is generated."""

from __future__ import annotations

import re
from typing import Final

TAIL_CHARS: Final = 1_800
STEP_CHARS: Final = 32
LEAST_CHARS: Final = 320
# Consecutive copies of a passage that count as repetition: fewer for a long passage.
TIMES: Final = 4
LONG_TIMES: Final = 3
LONG_CHARS: Final = 100
# A passage with fewer letters may be a table or a list of numbers whose rows only look alike.
LEAST_LETTERS: Final = 12
_NUMBER = re.compile(r"\d")
BLANK_CHARS: Final = 400


class RepetitionWatch:
    """Detector of repetition for one streamed reply.

    Attributes:
        text: The reply so far.
    """

    def __init__(self, *, only_blanks: bool = False) -> None:
        self.text = ""
        self._only_blanks = only_blanks
        self._looked_at = 0

    def feed(self, piece: str) -> bool:
        """Add a piece; returns whether the end of the reply only repeats itself."""
        self.text += piece
        if len(self.text) - self._looked_at < STEP_CHARS:
            return False
        self._looked_at = len(self.text)
        if len(self.text) - len(self.text.rstrip()) >= BLANK_CHARS:
            return True
        return not self._only_blanks and repeated_chars(self.text) > 0

    def trimmed(self) -> str:
        """The reply with the repeated passage once."""
        surplus = 0 if self._only_blanks else repeated_chars(self.text)
        return self.text[: len(self.text) - surplus].rstrip()


def repeated_chars(text: str) -> int:
    """Number of characters at the end of a text that only repeat the passage before them; 0 without any."""
    tail = text[-TAIL_CHARS:]
    if len(tail) < LEAST_CHARS:
        return 0
    # The items of a numbered list may differ in their numbers alone.
    return _repeated(tail, least_letters=0) or _repeated(_NUMBER.sub("0", tail), least_letters=LEAST_LETTERS)


def _repeated(tail: str, *, least_letters: int) -> int:
    turned = tail[::-1]
    borders = _borders(turned)
    for length in range(len(turned), LEAST_CHARS - 1, -1):
        period = length - borders[length - 1]
        times = LONG_TIMES if period >= LONG_CHARS else TIMES
        if length >= times * period and sum(map(str.isalpha, turned[:period])) >= least_letters:
            return length - period
    return 0


def _borders(text: str) -> list[int]:
    """Prefix function (Knuth-Morris-Pratt): per prefix, its longest proper prefix that is also a suffix."""
    found = [0] * len(text)
    length = 0
    for place in range(1, len(text)):
        while length and text[place] != text[length]:
            length = found[length - 1]
        if text[place] == text[length]:
            length += 1
        found[place] = length
    return found
