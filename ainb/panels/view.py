"""`View`: content of a panel at one moment, made of blocks that render as HTML and as text."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ainb.panels.markup import OMITTED, Cell, Table, Tone, cell_html, cell_text, escape
from ainb.panels.style import classes, copy_style, style

Bundle = dict[str, Any]
SEPARATOR = " · "
# A static copy has a meter instead of a progress element, and no <figure>, so that searches for a panel's
# figure find the live one.
_STATIC_TAGS = {
    "<figure>": '<div class="figure">',
    "</figure>": "</div>",
    "<progress ": "<meter ",
    "</progress>": "</meter>",
}


class Block(Protocol):
    """A part of a view."""

    def html(self, *, deterministic: bool = False) -> str:
        """As HTML; `deterministic` omits content that differs from run to run."""
        ...

    def text(self, *, deterministic: bool = False) -> str:
        """As lines of text; empty without content."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """Texts on one line, separated by dots.

    Attributes:
        pieces: Texts or cells; empty ones are left out. The first one must not be volatile.
        tone: Style of the line; "title" is bold.
        status: Whether screen readers announce changes.
    """

    pieces: Sequence[Any]
    tone: Tone | str = ""
    status: bool = False

    def html(self, *, deterministic: bool = False) -> str:
        """As a paragraph."""
        role = ' role="status"' if self.status else ""
        look = f' class="{self.tone}"' if self.tone else ""
        first, *rest = self._kept() or [""]
        texts = [cell_html(first, deterministic=deterministic)]
        texts += [_follow(piece, deterministic=deterministic) for piece in rest]
        return f"<p{look}{role}>{''.join(texts)}</p>"

    def text(self, *, deterministic: bool = False) -> str:
        """On one line."""
        texts = (cell_text(piece, deterministic=deterministic) for piece in self._kept())
        return SEPARATOR.join(text for text in texts if text)

    def _kept(self) -> list[Any]:
        return [piece for piece in self.pieces if str(piece)]


def _follow(piece: Any, *, deterministic: bool) -> str:
    """A further piece with its dot, which is part of a volatile piece's span, so that only spans differ."""
    if isinstance(piece, Cell) and piece.volatile:
        return replace(piece, text=SEPARATOR + piece.text).html(deterministic=deterministic)
    return SEPARATOR + cell_html(piece, deterministic=deterministic)


@dataclass(frozen=True, slots=True)
class KeyFigures:
    """A row of large figures with labels.

    Attributes:
        items: Figure and label; both texts or cells.
    """

    items: Sequence[tuple[Any, Any]]

    def html(self, *, deterministic: bool = False) -> str:
        """Side by side."""
        items = (
            f"<div><b>{cell_html(figure, deterministic=deterministic)}</b> "
            f'<span class="quiet">{cell_html(label, deterministic=deterministic)}</span></div>'
            for figure, label in self.items
        )
        return f'<div class="sums">{" ".join(items)}</div>'

    def text(self, *, deterministic: bool = False) -> str:
        """On one line."""
        return SEPARATOR.join(
            " ".join(cell_text(part, deterministic=deterministic) for part in item) for item in self.items
        )


@dataclass(frozen=True, slots=True)
class ProgressBar:
    """A progress bar.

    Attributes:
        label: Accessible name.
        value: Amount done.
        total: Total amount; None while it is unknown.
    """

    label: str
    value: int
    total: int | None

    def html(self, *, deterministic: bool = False) -> str:
        """As a progress element, with its meaning as text inside."""
        span = f' value="{self.value}" max="{max(1, self.total)}"' if self.total is not None else ""
        text = f"{self.value:,} of {self.total or '?'}"
        return f'<progress aria-label="{escape(self.label)}"{span}>{text}</progress>'

    def text(self, *, deterministic: bool = False) -> str:
        """Empty: the line beside it has the numbers."""
        return ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as an image with its description.

    Attributes:
        png: The image.
        description: Description of the content, in one sentence.
        width: In CSS pixels.
        height: In CSS pixels; 0 means unknown. With it the page does not jump when the image is replaced.
        span: Dates of the chart, which differ from run to run.
    """

    png: bytes
    description: str
    width: int
    height: int = 0
    span: str = ""

    def html(self, *, deterministic: bool = False) -> str:
        """The image above its description; deterministic display shows the image in a separate output."""
        image = base64.b64encode(self.png).decode()
        size = f'width="{self.width}"' + (f' height="{self.height}"' if self.height else "")
        alt = escape(SEPARATOR.join(filter(None, (self.description, self.span))))
        picture = f'<img {size} alt="{alt}" src="data:image/png;base64,{image}">'
        figure = OMITTED if deterministic else f"<figure>{picture}</figure>"
        return f"{figure}{self._words().html(deterministic=deterministic)}"

    def text(self, *, deterministic: bool = False) -> str:
        """The description."""
        return self._words().text(deterministic=deterministic)

    def _words(self) -> Line:
        return Line([self.description, Cell(text=self.span, volatile=True)], "quiet")


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Blocks side by side where the page is wide enough."""

    blocks: Sequence[Block]

    def html(self, *, deterministic: bool = False) -> str:
        """In columns."""
        columns = (f"<div>{block.html(deterministic=deterministic)}</div>" for block in self.blocks)
        return f'<div class="side">{"".join(columns)}</div>'

    def text(self, *, deterministic: bool = False) -> str:
        """One below the other, with an empty line between."""
        return "\n\n".join(filter(None, (block.text(deterministic=deterministic) for block in self.blocks)))


@dataclass(frozen=True, slots=True)
class View:
    """Content of a panel at one moment.

    Attributes:
        label: Accessible name.
        blocks: Its parts.
        line: A summary on one line, for a terminal.
        deterministic_line: The same without content that differs from run to run.
        status: Status for screen readers; changes rarely.
        saved: The view for a file that is saved at this moment; None means the same view.
    """

    label: str
    blocks: Sequence[Block]
    line: str = ""
    deterministic_line: str = ""
    status: str = ""
    saved: View | None = None

    def inner(self, *, deterministic: bool = False, copy: str = "") -> str:
        """HTML without the style."""
        body = "".join(block.html(deterministic=deterministic) for block in self.blocks)
        look = f"{classes('panel')} copy-{copy}" if copy else classes("panel")
        for live, static in _STATIC_TAGS.items() if copy else ():
            body = body.replace(live, static)
        return f'<div class="{look}" role="group" aria-label="{escape(self.label)}">{body}</div>'

    def copy(self, name: str) -> Bundle:
        """Bundle of the static copy beside the live form, so that a file saved at any moment has the content.

        Args:
            name: Name by which the live form finds and hides it.
        """
        view = self.saved or self
        return {
            "text/plain": view.text(deterministic=True),
            "text/html": style("panel") + copy_style(name) + view.inner(copy=name),
        }

    def bundle(self, *, deterministic: bool = False) -> Bundle:
        """``text/plain`` and ``text/html`` that need no kernel; the text is the same in every mode."""
        return {
            "text/plain": self.text(deterministic=True),
            "text/html": style("panel") + self.inner(deterministic=deterministic),
        }

    def text(self, *, deterministic: bool = False) -> str:
        """Texts of the blocks with content, with an empty line before tables."""
        lines: list[str] = []
        for block in self.blocks:
            text = block.text(deterministic=deterministic)
            if text and lines and isinstance(block, Table | SideBySide):
                lines.append("")
            lines += [text] if text else []
        return "\n".join(lines)

    def charts(self) -> list[Chart]:
        """The charts among the blocks."""
        groups = (block.blocks if isinstance(block, SideBySide) else [block] for block in self.blocks)
        return [block for group in groups for block in group if isinstance(block, Chart)]
