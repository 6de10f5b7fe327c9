"""Parses Google-style docstrings and converts them to Markdown."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import Any

from docs.hooks.errors import IncompleteDocsError

WHAT_TO_DO = "What to do: "
_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Example|Source|Sources|Yields):(.*)$")
_ITEM = re.compile(r"^ {4}(\w+)(?: \([^)]*\))?: (.*)$")


@dataclass
class Parts:
    """Parts of a docstring.

    Attributes:
        summary: First paragraph, on one line.
        paragraphs: The other paragraphs before the first section.
        attributes: Text of each attribute, on one line.
    """

    summary: str
    paragraphs: list[str] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)


def read(thing: Any, name: str) -> Parts:
    """Parse the docstring of `thing`.

    Raises:
        IncompleteDocsError: It has no docstring.
    """
    text = getattr(thing, "__doc__", None)
    if not text or not text.strip():
        raise IncompleteDocsError(f"{name} has no docstring")
    lines = inspect.cleandoc(text).split("\n")
    first = next((number for number, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    paragraphs = [
        " ".join(part.split()) for part in re.split(r"\n\s*\n", "\n".join(lines[:first])) if part.strip()
    ]
    return Parts(paragraphs[0], paragraphs[1:], _attributes(lines[first:]))


def what_to_do(parts: Parts, name: str) -> str:
    """The advice of an error's docstring.

    Raises:
        IncompleteDocsError: It has none.
    """
    found = next((text for text in parts.paragraphs if text.startswith(WHAT_TO_DO)), None)
    if found is None:
        raise IncompleteDocsError(f"the docstring of {name} has no paragraph '{WHAT_TO_DO.strip()}'")
    return found.removeprefix(WHAT_TO_DO)


def markdown(text: str) -> str:
    """Text of a docstring as Markdown: double backticks become single ones."""
    return text.replace("``", "`")


def cell(text: str) -> str:
    """Text of a docstring as the cell of a table."""
    return markdown(text).replace("|", "\\|")


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; cells are Markdown already."""
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def _attributes(lines: list[str]) -> dict[str, str]:
    inside, found, current = False, dict[str, str](), ""
    for line in lines:
        section = _SECTION.match(line)
        if section:
            inside = section[1] == "Attributes"
        elif inside and (item := _ITEM.match(line)):
            current = item[1]
            found[current] = item[2].strip()
        elif inside and line.strip():
            found[current] += f" {line.strip()}"
    return found
