"""HTML and text of tables and reports: everything escaped, one CSS scope (`.ainb`)."""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ainb.panels.escapes import clean, one_line
from ainb.panels.style import NO_MATHS, classes, style

Tone = Literal["", "quiet", "good", "warn", "bad"]

BAR_EM = 9
# CSS classes of the looks of columns.
_CLASSES = {"number": "n", "short": "w", "wide": "m"}
# Replaces omitted content in deterministic display, so that one pattern matches both forms.
OMITTED = '<span class="run"></span>'


def escape(text: object) -> str:
    """The text with HTML escaped and terminal escape sequences removed."""
    return html.escape(clean(str(text)), quote=True)


def as_typed(text: str) -> str:
    """A paragraph that keeps its line breaks."""
    return f'<p class="as-typed {NO_MATHS}">{escape(text)}</p>'


def scrolled(table: str, label: str, *, volatile: bool = False) -> str:
    """A scrollable box around a table, for narrow pages; it can be focused with the keyboard.

    Its role is group and not region: panels and replies of one page may hold tables of the same name.

    Args:
        table: HTML.
        label: Accessible name.
        volatile: Whether it differs from run to run.
    """
    look = "scroll run" if volatile else "scroll"
    return f'<div class="{look}" role="group" tabindex="0" aria-label="{escape(label)}">{table}</div>'


def box(*parts: str, kind: str = "reply", code: bool = False) -> str:
    """The parts in ainb's CSS scope, with its style.

    Args:
        parts: HTML.
        kind: "reply", "page" (an HTML reply), "words" (tables), "wait" (a progress bar) or "panel".
        code: Whether highlighted code is among them.
    """
    return f'{style(kind, code=code)}<div class="{classes(kind)}">{"".join(parts)}</div>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A value of a table or line with its style.

    Attributes:
        text: The value.
        tone: Colour, in addition to what the words say.
        volatile: Whether it differs from run to run (a time, a rate): deterministic display omits it.
        share: Length of a bar before the text, 0 to 1; None means no bar.
        strong: Whether it is bold.
        detail: Tooltip.
    """

    text: str
    tone: Tone = ""
    volatile: bool = False
    share: float | None = None
    strong: bool = False
    detail: str = ""

    def __str__(self) -> str:
        return self.text

    def html(self, *, deterministic: bool = False) -> str:
        """As HTML; a volatile value is in a ``span.run``, which is empty in deterministic display."""
        text = f"<b>{escape(self.text)}</b>" if self.strong else escape(self.text)
        title = f' title="{escape(self.detail)}"' if self.detail else ""
        if self.tone or title:
            text = f'<span class="{self.tone}"{title}>{text}</span>'
        if self.share:
            text = f'<span class="bar" style="width:{self.share * BAR_EM:.1f}em"></span> {text}'
        if not self.volatile:
            return text
        # One flat span without markup inside, so that a pattern can find it.
        tone = f" {self.tone}" if self.tone else ""
        return f'<span class="run{tone}">{"" if deterministic else escape(self.text)}</span>'

    def plain(self, *, deterministic: bool = False) -> str:
        """As text on one line."""
        return "" if deterministic and self.volatile else one_line(self.text)


def cell_html(value: Any, *, deterministic: bool = False) -> str:
    """A value or a `Cell` as HTML."""
    return value.html(deterministic=deterministic) if isinstance(value, Cell) else escape(value)


def cell_text(value: Any, *, deterministic: bool = False) -> str:
    """A value or a `Cell` as text on one line."""
    return value.plain(deterministic=deterministic) if isinstance(value, Cell) else one_line(str(value))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table that is made from records.

    Attributes:
        name: Its heading.
        value: Makes the value or cell from the parts of a record.
        look: "number" is aligned right, "short" is not wrapped, "wide" holds sentences; "" is none of these.
        volatile: Whether it differs from run to run.
    """

    name: str
    value: Callable[..., Any]
    look: Literal["", "number", "short", "wide"] = ""
    volatile: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with a caption.

    Attributes:
        caption: Caption.
        columns: Names; cells of the first column are row headers.
        rows: A value or cell per column.
        footer: A last row of totals; None means none.
        looks: Look of columns by index, as in `Column`.
        volatile: Indices of columns that differ from run to run; deterministic text omits them, deterministic
            HTML leaves them empty.
        limit: Rows shown; the number of further rows is printed below. None means all.
        history: Whether it shows earlier runs; deterministic display omits it.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    footer: Sequence[Any] | None = None
    looks: Mapping[int, str] = field(default_factory=dict)
    volatile: Collection[int] = ()
    limit: int | None = None
    history: bool = False

    @classmethod
    def of(
        cls, caption: str, records: Iterable[tuple[Any, ...]], columns: Sequence[Column], **more: Any
    ) -> Table:
        """A table with one row per record; `more` are further attributes."""
        return cls(
            caption=caption,
            columns=[column.name for column in columns],
            rows=[[column.value(*record) for column in columns] for record in records],
            looks={place: column.look for place, column in enumerate(columns)},
            volatile={place for place, column in enumerate(columns) if column.volatile},
            **more,
        )

    def html(self, *, deterministic: bool = False) -> str:
        """As an HTML table with caption and scopes."""
        # A recorded run may have earlier rows and its replay none; their pages must be equal.
        if self.history and (deterministic or not self.rows):
            return OMITTED
        table = self.table_html(deterministic=deterministic)
        return scrolled(table, self.caption, volatile=self.history)

    def table_html(self, *, deterministic: bool = False) -> str:
        """As an HTML table without a scrollable box; empty for a history without rows."""
        if self.history and not self.rows:
            return ""
        head = "".join(
            f'<th scope="col"{self._class(place)}>{escape(name)}</th>'
            for place, name in enumerate(self.columns)
        )
        body = "".join(self._row(row, deterministic=deterministic) for row in self._shown())
        foot = (
            f"<tfoot>{self._row(self.footer, deterministic=deterministic)}</tfoot>"
            if self.footer is not None
            else ""
        )
        more = f'<p class="quiet">{escape(self._more())}</p>' if self._more() else ""
        return (
            f"<table><caption>{escape(self.caption)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody>{foot}</table>{more}"
        )

    def text(self, *, deterministic: bool = False) -> str:
        """In columns of plain text."""
        if self.history and (deterministic or not self.rows):
            return ""
        kept = [place for place in range(len(self.columns)) if not (deterministic and place in self.volatile)]
        rows = [self.columns, *self._shown(), *([self.footer] if self.footer is not None else [])]
        lines = [[cell_text(row[place], deterministic=deterministic) for place in kept] for row in rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = [
            "  ".join(
                cell.rjust(width) if self.looks.get(place) == "number" else cell.ljust(width)
                for cell, width, place in zip(line, widths, kept, strict=True)
            )
            for line in lines
        ]
        more = [f"  {self._more()}"] if self._more() else []
        return "\n".join([one_line(self.caption), *(f"  {text}".rstrip() for text in texts), *more])

    def _shown(self) -> Sequence[Sequence[Any]]:
        return self.rows if self.limit is None else self.rows[: self.limit]

    def _more(self) -> str:
        hidden = len(self.rows) - len(self._shown())
        return f"and {hidden:,} more" if hidden else ""

    def _row(self, row: Sequence[Any], *, deterministic: bool) -> str:
        first, *rest = (
            self._cell(place, value, deterministic=deterministic) for place, value in enumerate(row)
        )
        cells = "".join(f"<td{self._class(place)}>{text}</td>" for place, text in enumerate(rest, 1))
        return f'<tr><th scope="row"{self._class(0)}>{first}</th>{cells}</tr>'

    def _cell(self, place: int, value: Any, *, deterministic: bool) -> str:
        if place in self.volatile:
            value = (
                replace(value, volatile=True)
                if isinstance(value, Cell)
                else Cell(text=str(value), volatile=True)
            )
        return cell_html(value, deterministic=deterministic)

    def _class(self, place: int) -> str:
        look = _CLASSES.get(self.looks.get(place, ""))
        return f' class="{look}"' if look else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBlock:
    """A text with line breaks under a caption."""

    caption: str
    content: str

    def html(self) -> str:
        """As a paragraph under a caption."""
        return f'<p class="of">{escape(self.caption)}</p>{as_typed(self.content)}'

    def text(self) -> str:
        """Indented below its caption."""
        lines = clean(self.content).splitlines()
        return "\n".join([one_line(self.caption), *(f"  {line}".rstrip() for line in lines)])


@dataclass(frozen=True, slots=True)
class Report:
    """Result of a subcommand: lines, then tables and texts.

    Attributes:
        lines: Sentences.
        tables: Tables and texts below them.
    """

    lines: Sequence[str] = ()
    tables: Sequence[Table | TextBlock] = field(default=())

    def bundle(self) -> dict[str, str]:
        """The report as ``text/plain`` and ``text/html``."""
        paragraphs = [f"<p>{escape(line)}</p>" for line in self.lines]
        return {
            "text/plain": str(self),
            "text/html": box(*paragraphs, *(table.html() for table in self.tables), kind="words"),
        }

    def __str__(self) -> str:
        return "\n\n".join(
            [
                *(["\n".join(map(one_line, self.lines))] if self.lines else []),
                *(t.text() for t in self.tables),
            ]
        )
