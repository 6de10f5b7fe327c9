"""Fenced blocks of Markdown, found in time that is linear in the text, whatever a model has written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_OPENING = re.compile(r"[ \t]*(`{3,}|~{3,})([^`]*)")
_CLOSING = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t\r]*")


@dataclass(frozen=True, slots=True)
class Fence:
    """One fenced block.

    Attributes:
        start: Offset of its first line.
        end: Offset after its last line, the closing mark included.
        content: Text between the marks, with its last line break.
        is_closed: Whether it has a closing mark; without one it reaches to the end of the text.
    """

    start: int
    end: int
    content: str
    is_closed: bool


def fences(text: str) -> list[Fence]:
    """The fenced blocks of a text, in order; of blocks without a closing mark the first one only."""
    if "```" not in text and "~~~" not in text:
        return []
    lines = list(_lines(text))
    closings = [_mark(_CLOSING.fullmatch(line)) for _, line in lines]
    last = {mark: number for number, mark in enumerate(closings)}
    found: list[Fence] = []
    unclosed: int | None = None
    number = 0
    while number < len(lines):
        start, line = lines[number]
        opening = _OPENING.fullmatch(line)
        number += 1
        if opening is None:
            continue
        mark = opening.group(1)
        if last.get(mark, -1) < number:
            unclosed = number - 1 if unclosed is None else unclosed
            continue
        inside = number
        while closings[number] != mark:
            number += 1
        found.append(_fence(text, start, lines[inside][0], lines[number]))
        number += 1
    if unclosed is not None and not any(fence.end > lines[unclosed][0] for fence in found):
        start, line = lines[unclosed]
        found.append(Fence(start, len(text), text[start + len(line) + 1 :], is_closed=False))
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    for line in text.split("\n"):
        yield at, line
        at += len(line) + 1


def _mark(match: re.Match[str] | None) -> str | None:
    return None if match is None else match.group(1)


def _fence(text: str, start: int, inside: int, closing: tuple[int, str]) -> Fence:
    end, line = closing
    return Fence(start, end + len(line), text[inside:end], is_closed=True)
