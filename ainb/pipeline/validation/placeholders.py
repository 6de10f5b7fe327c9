"""Placeholders such as ``<EMAIL_1>`` that replace personal data in requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_PLACEHOLDER = re.compile(r"<[A-Z]++(?>(?:_[A-Z]++)*)_[0-9]++>")


class Placeholders:
    """Numbered placeholders for texts; equal texts get the same one.

    Args:
        known: Texts by placeholder, from an earlier review of the same call.
        taken: Texts that may already contain placeholders.
    """

    def __init__(self, known: Mapping[str, str], taken: Iterable[str]) -> None:
        self.texts = dict(known)
        self._names = {text: name for name, text in known.items()}
        self._numbers: dict[str, int] = {}
        self._taken = {name for text in taken for name in _PLACEHOLDER.findall(text)} | set(known)

    def __call__(self, kind: str, text: str) -> str:
        """The placeholder of a text; creates one if needed."""
        known = self._names.get(text)
        if known is not None:
            return known
        word = re.sub(r"[^A-Z]+", "_", kind.upper()).strip("_") or "TEXT"
        number = self._numbers.get(word, 0) + 1
        while (name := f"<{word}_{number}>") in self._taken:
            number += 1
        self._numbers[word] = number
        self._names[text], self.texts[name] = name, text
        return name


def put_back(text: str, placeholders: Mapping[str, str]) -> str:
    """The text with each known placeholder replaced by its original text."""
    return _PLACEHOLDER.sub(lambda match: placeholders.get(match.group(), match.group()), text)
