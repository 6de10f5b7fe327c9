"""Keys taken out of a reply that comes in pieces: what may be the beginning of one is held back until it is known to be none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping


class KeyFilter:
    """Hands pieces on without the values of keys, also where one is cut between two pieces.

    Args:
        values: Value to name.
        show: Takes what may be shown.
    """

    def __init__(self, values: Mapping[str, str], show: Callable[[str], None]) -> None:
        self._values = dict(values)
        self._longest = max(map(len, self._values), default=0)
        self._show = show
        self._held = ""

    def feed(self, piece: str) -> None:
        """Show what of the text so far can be no part of a key."""
        text = self._held + piece
        for value, name in self._values.items():
            text = text.replace(value, f"[redacted {name}]")
        at = len(text) - self._unsure(text, self._values)
        self._held = text[at:]
        if at:
            self._show(text[:at])

    def end(self) -> None:
        """Show what was held back; no more pieces come."""
        held, self._held = self._held, ""
        if held:
            self._show(held)

    def _unsure(self, text: str, values: Iterable[str]) -> int:
        """Length of the longest end of the text that begins a value."""
        tail = text[-(self._longest - 1) :] if self._longest > 1 else ""
        return max(
            (
                len(tail) - at
                for at, letter in enumerate(tail)
                for value in values
                if value[0] == letter and value.startswith(tail[at:])
            ),
            default=0,
        )
