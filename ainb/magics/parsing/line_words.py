"""Splits the line of a magic into words; handles quotes and braces."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ainb.errors import ConfigError

# Word processors and phones replace straight quotes by curly ones.
QUOTES = {
    '"': '"',
    "'": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}",
    "\N{LEFT SINGLE QUOTATION MARK}": "\N{RIGHT SINGLE QUOTATION MARK}",
}
BRACES = {"{": "}", "[": "]"}
_FLAG = re.compile(r"--?[A-Za-z][\w-]*=")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of the line.

    Attributes:
        text: The word without its quotes.
        quoted: Whether it was in quotes; then it is a value and never an option.
    """

    text: str
    quoted: bool = False


def split_words(line: str) -> list[Word]:
    """Split a line at spaces outside quotes and braces.

    A quote only opens at the start of a word (or after ``--option=``), so an apostrophe inside a word is only
    an apostrophe. ``{"temperature": 0}`` is one word with or without quotes around it.

    Raises:
        ConfigError: A quote or a brace is not closed.
    """
    words: list[Word] = []
    at = 0
    while rest := line[at:].lstrip():
        at = len(line) - len(rest)
        flag = _FLAG.match(line, at)
        prefix = flag.group() if flag else ""
        value, quoted, at = _read_value(line, at + len(prefix))
        words.append(Word(prefix + value, quoted and not prefix))
    return words


def _read_value(line: str, at: int) -> tuple[str, bool, int]:
    """The value that begins at `at`, whether it was quoted, and the position after it."""
    mark = line[at : at + 1]
    if mark in BRACES:
        end = _closing_brace(line, at)
        return line[at:end], False, end
    text, quoted = "", mark in QUOTES
    if quoted:
        text, at = _read_quoted(line, at)
    rest = re.split(r"\s", line[at:], maxsplit=1)[0]
    return text + rest, quoted, at + len(rest)


def _read_quoted(line: str, start: int) -> tuple[str, int]:
    """Read a quoted value as a shell does: in single quotes a backslash escapes only the quote."""
    opening = line[start]
    closing = QUOTES[opening]
    guarded = closing if opening == "'" else closing + "\\"
    letters: list[str] = []
    at = start + 1
    while at < len(line):
        letter = line[at]
        if letter == "\\" and line[at + 1 : at + 2] and line[at + 1] in guarded:
            letters.append(line[at + 1])
            at += 2
            continue
        at += 1
        if letter == closing:
            return "".join(letters), at
        letters.append(letter)
    raise ConfigError(
        f"the quote {opening} at character {start + 1} of the line is not closed; close it with {closing}"
    )


def _closing_brace(line: str, start: int) -> int:
    """End of a value that begins with a brace; braces inside strings do not count."""
    open_braces: list[str] = []
    at, quote = start, ""
    while at < len(line):
        letter = line[at]
        if quote:
            at += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in BRACES:
            open_braces.append(BRACES[letter])
        elif open_braces and letter == open_braces[-1]:
            open_braces.pop()
            if not open_braces:
                return at + 1
        at += 1
    raise ConfigError(
        f"the {line[start]} at character {start + 1} of the line is not closed; "
        f"close it with {BRACES[line[start]]}"
    )
