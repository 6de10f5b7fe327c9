"""What a panel shows at one moment, as blocks that know how to be HTML and how to be text."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ainb.panels.escapes import one_line
from ainb.panels.markup import OMITTED, Cell, Table, Tone, cell_html, cell_text, escape
from ainb.panels.style import classes, style

Bundle = dict[str, Any]
SEPARATOR = " · "


class Block(Protocol):
    """A part of a view."""

    def html(self, *, deterministic: bool = False) -> str:
        """As HTML; `deterministic` leaves out what belongs to this run alone."""
        ...

    def text(self, *, deterministic: bool = False) -> str:
        """As lines of text; empty when there is nothing to say."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """Facts on one line, a dot between them.

    Attributes:
        pieces: Texts or cells; empty ones are left out. The first one is not of this run alone.
        tone: How the whole line looks; "title" is bold.
        status: Whether screen readers say it when it changes.
    """

    pieces: Sequence[Any]
    tone: Tone | str = ""
    status: bool = False

    def html(self, *, deterministic: bool = False) -> str:
        """As a paragraph."""
        role = ' role="status"' if self.status else ""
        look = f' class="{self.tone}"' if self.tone else ""
        first, *rest = self._kept() or [""]
        return f"<p{look}{role}>{cell_html(first, deterministic=deterministic)}{''.join(_follow(piece, deterministic=deterministic) for piece in rest)}</p>"

    def text(self, *, deterministic: bool = False) -> str:
        """On one line."""
        texts = (cell_text(piece, deterministic=deterministic) for piece in self._kept())
        return SEPARATOR.join(text for text in texts if text)

    def _kept(self) -> list[Any]:
        return [piece for piece in self.pieces if str(piece)]


def _follow(piece: Any, *, deterministic: bool) -> str:
    """A later fact with its dot; one of this run takes the dot along, so that steady display differs in its span alone."""
    if isinstance(piece, Cell) and piece.volatile:
        return replace(piece, text=SEPARATOR + piece.text).html(deterministic=deterministic)
    return SEPARATOR + cell_html(piece, deterministic=deterministic)


@dataclass(frozen=True, slots=True)
class KeyFigures:
    """A row of large figures, each with what it is.

    Attributes:
        items: Figure and label; both texts or cells.
    """

    items: Sequence[tuple[Any, Any]]

    def html(self, *, deterministic: bool = False) -> str:
        """Side by side."""
        items = (
            f'<div><b>{cell_html(figure, deterministic=deterministic)}</b> <span class="quiet">{cell_html(label, deterministic=deterministic)}</span></div>'
            for figure, label in self.items
        )
        return f'<div class="sums">{" ".join(items)}</div>'

    def text(self, *, deterministic: bool = False) -> str:
        """On one line."""
        return SEPARATOR.join(
            f"{cell_text(figure, deterministic=deterministic)} {cell_text(label, deterministic=deterministic)}"
            for figure, label in self.items
        )


@dataclass(frozen=True, slots=True)
class ProgressBar:
    """How much of something is done.

    Attributes:
        label: What is counted, for those who do not see it.
        value: So much.
        total: Of so much; None while nobody knows.
    """

    label: str
    value: int
    total: int | None

    def html(self, *, deterministic: bool = False) -> str:
        """As a progress element, with its meaning as text inside."""
        span = f' value="{self.value}" max="{max(1, self.total)}"' if self.total is not None else ""
        return f'<progress aria-label="{escape(self.label)}"{span}>{self.value:,} of {self.total or "?"}</progress>'

    def text(self, *, deterministic: bool = False) -> str:
        """Nothing: the line beside it says the numbers."""
        return ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture that says in words what it shows.

    Attributes:
        png: The picture.
        says: What it shows, in one sentence.
        width: In CSS pixels.
    """

    png: bytes
    description: str
    width: int

    def html(self, *, deterministic: bool = False) -> str:
        """The picture above its sentence; steady display leaves the picture to a separate output."""
        image = base64.b64encode(self.png).decode()
        picture = (
            f'<img width="{self.width}" alt="{escape(self.description)}" src="data:image/png;base64,{image}">'
        )
        figure = OMITTED if deterministic else f"<figure>{picture}</figure>"
        return f'{figure}<p class="quiet">{escape(self.description)}</p>'

    def text(self, *, deterministic: bool = False) -> str:
        """The sentence."""
        return one_line(self.description)


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Blocks that stand side by side where there is room."""

    blocks: Sequence[Block]

    def html(self, *, deterministic: bool = False) -> str:
        """In columns."""
        columns = (f"<div>{block.html(deterministic=deterministic)}</div>" for block in self.blocks)
        return f'<div class="side">{"".join(columns)}</div>'

    def text(self, *, deterministic: bool = False) -> str:
        """One below the other."""
        return "\n\n".join(filter(None, (block.text(deterministic=deterministic) for block in self.blocks)))


@dataclass(frozen=True, slots=True)
class View:
    """A panel at one moment.

    Attributes:
        label: Its name, for those who do not see it.
        blocks: What it shows.
        line: The whole of it on one line, for a terminal.
        steady_line: The same without what belongs to this run alone.
        status: What a screen reader is told; changes seldom.
    """

    label: str
    blocks: Sequence[Block]
    line: str = ""
    deterministic_line: str = ""
    status: str = ""

    def inner(self, *, deterministic: bool = False) -> str:
        """Its HTML without the style."""
        body = "".join(block.html(deterministic=deterministic) for block in self.blocks)
        return f'<div class="{classes("panel")}" role="group" aria-label="{escape(self.label)}">{body}</div>'

    def bundle(self, *, deterministic: bool = False) -> Bundle:
        """``text/plain`` and ``text/html`` that need no kernel; the text is the same in every mode."""
        return {
            "text/plain": self.text(deterministic=True),
            "text/html": style("panel") + self.inner(deterministic=deterministic),
        }

    def text(self, *, deterministic: bool = False) -> str:
        """All of it as text."""
        return "\n".join(_with_space(self.blocks, deterministic=deterministic))

    def charts(self) -> list[Chart]:
        """Its charts."""
        return _charts(self.blocks)


def _with_space(blocks: Sequence[Block], *, deterministic: bool) -> list[str]:
    """Texts of the blocks that have one, with an empty line around tables."""
    lines: list[str] = []
    for block in blocks:
        text = block.text(deterministic=deterministic)
        if not text:
            continue
        if lines and isinstance(block, Table | SideBySide):
            lines.append("")
        lines.append(text)
    return lines


def _charts(blocks: Sequence[Block]) -> list[Chart]:
    found: list[Chart] = []
    for block in blocks:
        if isinstance(block, Chart):
            found.append(block)
        elif isinstance(block, SideBySide):
            found += _charts(block.blocks)
    return found
