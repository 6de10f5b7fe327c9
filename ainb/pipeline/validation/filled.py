"""Texts that were partly filled in: where a rule applies in them, and what is left after redaction.

A prompt may be typed around a variable's text or a row's values. A rule checks only parts that it names, so
the origin of each character counts.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ainb.pipeline.validation.rules import Part, Place, Rule, merged, replace_places


class Source(NamedTuple):
    """Origin of a text.

    Attributes:
        part: Part of the text itself.
        filled: Texts in it that were filled in.
        filled_part: Part of the filled-in texts.
    """

    part: Part
    filled: tuple[str, ...] = ()
    filled_part: Part = "values"

    def places(self, rule: Rule, text: str) -> list[Place]:
        """Places of a rule in a text of this origin."""
        if not self.filled:
            return rule.places(text)
        if self.filled_part not in rule.parts:
            if self.part not in rule.parts:
                return []
            inside = Stretches(text, self.filled)
            return [place for place in rule.places(text) if not inside.hold(place[0], place[1])]
        if self.part in rule.parts:
            return rule.places(text)
        return merged(
            [
                (at + start, at + end, kind)
                for value in dict.fromkeys(self.filled)
                if (places := rule.places(value))
                for at in _occurrences(value, text)
                for start, end, kind in places
            ]
        )

    def redacted(self, rule: Rule, write: Callable[[str, str], str]) -> Source:
        """The origin of a text after redaction.

        Args:
            rule: The rule that was applied.
            write: Returns the replacement for kind and original text.
        """
        filled = (
            replace_places(value, found, write) if (found := rule.places(value)) else value
            for value in self.filled
        )
        return self._replace(filled=tuple(filled))


class Stretches:
    """The filled-in parts of a text."""

    def __init__(self, text: str, filled: Iterable[str]) -> None:
        places = [
            (at, at + len(value), "") for value in dict.fromkeys(filled) for at in _occurrences(value, text)
        ]
        joined = merged(sorted(places))
        self._starts = [start for start, _, _ in joined]
        self._ends = [end for _, end, _ in joined]

    def touch(self, start: int, end: int) -> bool:
        """Whether any character from `start` to `end` was filled in."""
        first = bisect.bisect_right(self._ends, start)
        return first < len(self._starts) and self._starts[first] < end

    def hold(self, start: int, end: int) -> bool:
        """Whether all characters from `start` to `end` were filled in, as one part."""
        first = bisect.bisect_right(self._starts, start) - 1
        return first >= 0 and end <= self._ends[first]


def _occurrences(value: str, text: str) -> Iterable[int]:
    at = text.find(value) if value else -1
    while at >= 0:
        yield at
        at = text.find(value, at + len(value))
