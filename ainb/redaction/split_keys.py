"""Search for key values that are split or encoded: line breaks, zero-width characters, percent encoding.

A text is compared twice: first only the letters and digits of text and value, which is fast and enough for
nearly all texts; then with separators between the characters of a key removed and percent codes decoded.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Mapping

Place = tuple[int, int, str]

_NO_WIDTH = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
)
_BREAK = "\r\n\x0b\x0c\x85\u2028\u2029"
# The same characters as escapes of JSON and of HTML.
_ESCAPED = (
    r"\\{1,8}(?:[nrtbf]|u00[aA][dD]|u200[b-fB-F89]|u202[89a-eA-E]|u20[67][0-9a-fA-F]"
    r"|u[fF][eE][fF]{2}|u034[fF])"
)
_MARKUP = r"&(?:shy|ZeroWidthSpace|#173|#8203|#[xX](?:[aA][dD]|200[bB]));|<w?br ?/?>"
# Continuation in the next line: of a quotation, a comment or a shell command; of a literal in a program.
_NEXT_LINE = rf"[ \t]{{0,8}}\\?[{_BREAK}]++[ \t>|#*]{{0,80}}+"
_NEXT_LITERAL = rf"[\"'][ \t]{{0,8}}[+.&\\]?[ \t]{{0,8}}[{_BREAK}]++[ \t]{{0,80}}+[+.&]?[ \t]{{0,8}}[\"']"
_BETWEEN = rf"(?>(?:[{_NO_WIDTH}]++|{_NEXT_LINE}|{_NEXT_LITERAL}|(?:{_ESCAPED})[ \t]{{0,80}}+|{_MARKUP})+)"
_CODE = r"%(?:25){0,4}([0-9A-Fa-f]{2})"
_PIECES = re.compile(f"{_CODE}|{_BETWEEN}")
# Mail marks a continued line with "=", which may also be a character of the key: a text is joined once
# without the mark, and once without any "=", to be compared with values without it.
_PIECES_OF_MAIL = re.compile(f"{_CODE}|=\r?\n|{_BETWEEN}")
_PIECES_WITHOUT_MARKS = re.compile(f"{_CODE}|=|{_BETWEEN}")
_PADDING = re.compile(f"(?:(?:{_BETWEEN})?=){{0,8}}")
# An incomplete escape or percent code, which the next piece of a stream may complete.
_UNFINISHED = re.compile(
    r"(?:\\(?:u[0-9a-fA-F]{0,3})?|%(?:25)*[0-9A-Fa-f]?|&[#A-Za-z0-9]{0,20}|<w?b?r? ?/?)\Z"
)
_UNFINISHED_BREAK = re.compile(
    rf"[\"']?[ \t]{{0,8}}[+.&\\=]?[ \t]{{0,8}}(?:[{_BREAK}]++[ \t]{{0,80}}[+.&]?[ \t]{{0,8}})?\Z"
)
# Maximum number of characters of a stream that are held back.
MAX_HELD = 4_096
_ESCAPES = re.compile(f"{_ESCAPED}|{_MARKUP}".encode())
_CODES = re.compile(_CODE.encode())
_NOT_LETTERS = bytes(byte for byte in range(256) if not chr(byte).isalnum() or byte > 127)  # noqa: PLR2004 - ASCII
_PLAIN = bytes(set(range(32, 127)) - set(b"%\\&<"))


def may_be_split(text: str) -> bool:
    """Whether a text contains anything that may split or encode a key; most one-line texts do not."""
    # Deleting plain characters is many times faster than searching for others.
    return not text.isascii() or bool(text.encode().translate(None, _PLAIN))


def may_hold_split(text: str, values: Iterable[str]) -> bool:
    """Fast pre-check: whether `find_split` may find one of the values."""
    values = list(values)
    if not values or not may_be_split(text):
        return False
    letters = _letters(text)
    return any(_letters(value) in letters for value in values)


def find_split(text: str, values: Mapping[str, str]) -> list[Place]:
    """Find values in a text, whole, split or encoded.

    Args:
        text: Anything.
        values: Name by value.

    Returns:
        ``(start, end, name)`` of each place, in the order of the values.
    """
    if not may_hold_split(text, values):
        return []
    found = _places(_Joined(text, _PIECES), values)
    if "=\n" in text or "=\r" in text:
        found += _places(_Joined(text, _PIECES_OF_MAIL), values)
        joined = _Joined(text, _PIECES_WITHOUT_MARKS)
        for value, name in values.items():
            for start, end, _ in _places(joined, {_without_marks(value): name}):
                padded = _end_of_padding(text, end, len(value) - len(value.rstrip("=")))
                if padded is not None:
                    found.append((start, padded, name))
    return found


def _places(joined: _Joined, values: Mapping[str, str]) -> list[Place]:
    return [
        (joined.origin(at)[0], joined.origin(at + len(value) - 1)[1], name)
        for value, name in values.items()
        for at in occurrences(value, joined.text)
    ]


def _without_marks(value: str) -> str:
    """A value without "="; a value of "=" alone is unchanged."""
    return value.replace("=", "") or value


def _end_of_padding(text: str, end: int, count: int) -> int | None:
    """End of a value that ends with `count` "=", perhaps in the next line; None if there are fewer."""
    match = _PADDING.match(text, end) if count else None
    if match is None:
        return None if count else end
    return match.end() if match[0].count("=") >= count else None


def beginning_of_value(text: str, values: Iterable[str]) -> int:
    """Start of the longest suffix of a text that may be the beginning of a value, whole, split or encoded.

    Returns:
        A position in the text; its length when no suffix begins a value.
    """
    values = list(values)
    whole = [(value, len(value)) for value in values]
    # With "=" at its end, a value is complete only when another character has followed.
    without_marks = [
        (part, len(part) + value.endswith("=")) for value in values for part in [_without_marks(value)]
    ]
    kinds = ((_PIECES, whole), (_PIECES_OF_MAIL, whole), (_PIECES_WITHOUT_MARKS, without_marks))
    tail_starts = max(0, len(text) - MAX_HELD)
    tail = text[tail_starts:]
    starts = [
        joined.origin(at)[0]
        for kind, wanted in kinds
        for rest in dict.fromkeys((tail, _UNFINISHED_BREAK.sub("", _UNFINISHED.sub("", tail))))
        for joined in (_Joined(rest, kind),)
        for value, length in wanted
        for at in occurrences(value[0], joined.text)
        if len(joined.text) - at < length and value.startswith(joined.text[at:])
    ]
    if starts:
        return tail_starts + min(starts)
    unfinished = _UNFINISHED.search(tail)
    return tail_starts + unfinished.start() if unfinished else len(text)


def occurrences(part: str, text: str) -> Iterator[int]:
    """Positions of a part in a text, without overlap."""
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + len(part))


def _letters(text: str) -> bytes:
    """ASCII letters and digits of a text, with escapes removed and percent codes decoded."""
    raw = text.encode("utf-8", "replace")
    if b"\\" in raw or b"&" in raw or b"<" in raw:
        raw = _ESCAPES.sub(b"", raw)
    if b"%" in raw:
        raw = _CODES.sub(lambda match: bytes([int(match[1], 16)]), raw)
    return raw.translate(None, _NOT_LETTERS)


class _Joined:
    """A text without separators and encodings, with the origin of each of its characters."""

    def __init__(self, text: str, kind: re.Pattern[str]) -> None:
        pieces: list[str] = []
        # For each piece: its start in the joined text, its start in the original text, and its width there if
        # it is a percent code.
        self._starts: list[int] = []
        self._origins: list[tuple[int, int]] = []
        length = end = 0
        for match in kind.finditer(text):
            for piece, start, width in (
                (text[end : match.start()], end, 1),
                (chr(int(match[1], 16)) if match[1] else "", match.start(), len(match[0])),
            ):
                if piece:
                    pieces.append(piece)
                    self._starts.append(length)
                    self._origins.append((start, width))
                    length += len(piece)
            end = match.end()
        self._starts.append(length)
        self._origins.append((end, 1))
        self.text = "".join([*pieces, text[end:]])

    def origin(self, at: int) -> tuple[int, int]:
        """Start and end, in the original text, of the character at `at`."""
        piece = bisect.bisect_right(self._starts, at) - 1
        start, width = self._origins[piece]
        start += at - self._starts[piece]
        return start, start + width
