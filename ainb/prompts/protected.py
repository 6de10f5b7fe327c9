r"""Protected places of a prompt, where names stay as typed: LaTeX, shell variables and code fences.

A name is not filled directly after ``\word`` or an argument of it (``\frac{a}{b}``, ``\sqrt[n]{x}``), after
``_`` or ``^`` inside mathematics, directly after ``$``, and in a multi-line code fence unless it is alone on
its line. Each kind of place takes one pass over the text, in linear time.

Source: fences as in CommonMark 0.31, section 4.5; ``$…$`` as in Pandoc's ``tex_math_dollars``.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator

from ainb.fork import Cached

Region = tuple[int, int]

_FENCE = re.compile(
    r"^(?P<prefix>[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)(?P<mark>`{3,}|~{3,})(?P<info>[^\n]*)", re.MULTILINE
)
_GROUPS = re.compile(r"\\(?P<command>[A-Za-z]+\*?)|\\.|(?P<bracket>[{}\[\]])", re.DOTALL)
_MATH = re.compile(
    r"\\begin\{(?P<begin>[^{}\n]{1,60})\}|\\end\{(?P<end>[^{}\n]{1,60})\}"
    r"|\\(?P<escaped>.)|(?P<dollars>\$\$?)",
    re.DOTALL,
)
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_CLOSERS = {"(": ")", "[": "]"}


class ProtectedPlaces:
    """Protected places of one text: whether a field stays as typed even if it is a name."""

    def __init__(self, text: str) -> None:
        self._text = text

    def cover(self, start: int, end: int) -> bool:
        """Whether the field from `start` to `end`, braces included, stays as typed."""
        before = self._text[start - 1 : start]
        if before == "$" or start in self._arguments:
            return True
        if before in {"_", "^"} and _inside(self._math, start):
            return True
        return self.in_fence(start) and not self._alone(start, end)

    def in_fence(self, start: int) -> bool:
        """Whether `start` lies in a code fence of several lines, its first and last line included."""
        return _inside(self._fences, start)

    def _alone(self, start: int, end: int) -> bool:
        line_end = self._text.find("\n", end)
        behind = self._text[end : len(self._text) if line_end < 0 else line_end]
        before = self._text[self._text.rfind("\n", 0, start) + 1 : start]
        return not behind.strip() and not before.strip(" \t>")

    @Cached
    def _fences(self) -> list[Region]:
        return list(_find_fences(self._text))

    @Cached
    def _math(self) -> list[Region]:
        return _merge([*_dollar_math(self._text), *_bracket_math(self._text)])

    @Cached
    def _arguments(self) -> frozenset[int]:
        return frozenset(_command_arguments(self._text))


def _find_fences(text: str) -> Iterator[Region]:
    end = 0
    for opening in _FENCE.finditer(text):
        mark = opening["mark"]
        if opening.start() < end or (mark[0] == "`" and "`" in opening["info"]):
            continue
        closing = re.compile(rf"^[ \t>]*{re.escape(mark[0])}{{{len(mark)},}}[ \t\r]*$", re.MULTILINE)
        closed = closing.search(text, opening.end())
        end = len(text) if closed is None else closed.end()
        yield opening.start(), end


def _command_arguments(text: str) -> Iterator[int]:
    r"""Positions of the opening brackets of arguments: those that touch ``\word`` or the argument before."""
    stack: list[tuple[str, bool]] = []
    touching = -1
    for token in _GROUPS.finditer(text):
        bracket = token["bracket"]
        if token["command"]:
            touching = token.end()
        elif bracket in {"{", "["}:
            is_argument = token.start() == touching
            stack.append((bracket, is_argument))
            if is_argument:
                yield token.start()
        elif bracket is not None and _closes_argument(stack, bracket):
            touching = token.end()


def _closes_argument(stack: list[tuple[str, bool]], bracket: str) -> bool:
    """Close the bracket that matches `bracket`; returns whether it was an argument."""
    if bracket == "]" and (not stack or stack[-1][0] != "["):
        return False
    # A "[" that is never closed, as in [0, 1), must not hide the enclosing brace.
    while stack and bracket == "}" and stack[-1][0] != "{":
        stack.pop()
    return bool(stack) and stack.pop()[1]


def _dollar_math(text: str) -> Iterator[Region]:
    r"""Regions of ``$$…$$``, and of ``$…$`` within a paragraph and without blanks inside the dollar signs."""
    paragraphs = [found.start() for found in _BLANK_LINE.finditer(text)]
    opened: dict[str, int] = {}
    for token in _MATH.finditer(text):
        mark, at = token["dollars"], token.start()
        if mark is None:
            continue
        start = opened.get(mark)
        if mark == "$$":
            opened.pop("$", None)
            if start is None:
                opened[mark] = at
            else:
                yield start, token.end()
                del opened[mark]
        elif start is not None and _closes(text, at) and not _between(paragraphs, start, at):
            yield start, token.end()
            del opened[mark]
        elif text[at + 1 : at + 2].strip():
            opened[mark] = at


def _closes(text: str, at: int) -> bool:
    return bool(text[at - 1 : at].strip()) and not text[at + 1 : at + 2].isdigit()


def _between(positions: list[int], start: int, end: int) -> bool:
    place = bisect.bisect_left(positions, start)
    return place < len(positions) and positions[place] < end


def _bracket_math(text: str) -> Iterator[Region]:
    r"""Regions of ``\(…\)``, ``\[…\]`` and ``\begin{…}…\end{…}``."""
    brackets: dict[str, int] = {}
    environments: dict[str, list[int]] = {}
    for token in _MATH.finditer(text):
        if token["begin"]:
            environments.setdefault(token["begin"], []).append(token.start())
        elif token["end"]:
            if started := environments.get(token["end"]):
                yield started.pop(), token.end()
        elif (escaped := token["escaped"]) in _CLOSERS:
            brackets.setdefault(_CLOSERS[escaped], token.start())
        elif escaped in brackets:
            yield brackets.pop(escaped), token.end()


def _merge(regions: Iterable[Region]) -> list[Region]:
    merged: list[Region] = []
    for start, end in sorted(regions):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _inside(regions: list[Region], position: int) -> bool:
    place = bisect.bisect_right(regions, (position, float("inf"))) - 1
    return place >= 0 and position < regions[place][1]
