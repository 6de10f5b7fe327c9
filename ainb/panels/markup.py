"""HTML of everything that ainb shows: all of it escaped, one scope (`.ainb`), colours only from the front end's own variables."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ainb.panels.escapes import clean, one_line

Tone = Literal["", "quiet", "good", "warn", "bad"]

_STYLE = (
    ".ainb{font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.5;"
    "color:var(--jp-content-font-color1,inherit);max-width:64em}"
    ".ainb p{margin:.2em 0 .6em}"
    ".ainb table{color:inherit;font-size:inherit}"
    ".ainb .as-typed{white-space:pre-wrap}"
    ".ainb .foot{color:var(--jp-content-font-color2,#666);font-size:.88em;margin:.5em 0 0;padding-top:.15em;"
    "border-top:1px solid var(--jp-border-color2,#ddd)}"
    ".ainb .warn{color:var(--jp-warn-color1,#8a5300)}"
)
_PANEL = ".ainb.panel"


def _tone(name: str, colour: str) -> str:
    # The front end's signal colours are too pale for text on white and too dark on black; the text's own colour mends both.
    return f"{_PANEL} .{name}{{color:{colour};color:color-mix(in srgb,{colour} 60%,currentColor)}}"


# By the kind of the box, so that a reply does not carry the rules of tables.
_STYLES = {
    "page": ".ainb.page iframe{box-sizing:border-box;width:100%;height:24em;border:1px solid var(--jp-border-color2,#ddd);background:#fff}",
    "words": ".ainb.words table{border-collapse:collapse;margin:.3em 0 1em}"
    ".ainb.words caption{text-align:left;font-weight:600;padding:0 0 .25em}"
    ".ainb.words th,.ainb.words td{padding:.2em 1.6em .2em 0;text-align:left;vertical-align:top;font-weight:400;"
    "border-bottom:1px solid var(--jp-border-color2,#ddd);background:none}"
    ".ainb.words .of{font-weight:600;margin:.3em 0 .1em}"
    ".ainb.words th[scope=row]{white-space:nowrap}"
    ".ainb.words thead th{font-weight:500;color:var(--jp-content-font-color2,#666)}",
    "wait": ".ainb.wait progress{width:min(32em,100%);height:.8em;accent-color:var(--jp-brand-color1,#1769aa)}",
    "panel": f"{_PANEL}{{max-width:76em;font-variant-numeric:tabular-nums;position:relative}}"
    f"{_PANEL} .sr{{position:absolute;width:1px;height:1px;margin:0;overflow:hidden;clip-path:inset(50%);white-space:nowrap}}"
    f"{_PANEL} p{{margin:.2em 0}}"
    f"{_PANEL} .quiet{{color:var(--jp-content-font-color2,#666)}}"
    f"{_PANEL} .title{{font-weight:600;margin:0 0 .1em}}"
    f"{_PANEL} .sums{{display:flex;flex-wrap:wrap;gap:.2em 2.4em;margin:.1em 0 .8em}}"
    f"{_PANEL} .sums b{{display:block;font-size:1.55em;font-weight:600;line-height:1.25}}"
    f"{_PANEL} .side{{display:flex;flex-wrap:wrap;gap:0 3.2em;align-items:flex-start}}"
    f"{_PANEL} table{{border-collapse:collapse;margin:.5em 0 .9em;border:0;table-layout:auto}}"
    f"{_PANEL} caption{{caption-side:top;text-align:left;font-weight:600;padding:0 0 .25em;color:inherit}}"
    f"{_PANEL} th,{_PANEL} td{{padding:.2em 1.4em .2em 0;text-align:left;vertical-align:top;font-weight:400;max-width:34em;"
    "white-space:normal;overflow-wrap:anywhere;border:0;border-bottom:1px solid var(--jp-border-color2,#ddd);background:none}"
    f"{_PANEL} thead,{_PANEL} thead tr,{_PANEL} tbody tr,{_PANEL} tfoot tr{{background:none;border:0;text-align:left}}"
    f"{_PANEL} th.n,{_PANEL} td.n{{text-align:right;white-space:nowrap}}"
    f"{_PANEL} .w{{white-space:nowrap}}"
    f"{_PANEL} td{{min-width:8em}}{_PANEL} td.n,{_PANEL} td.w{{min-width:0}}{_PANEL} td.m{{min-width:22em}}"
    f"{_PANEL} thead th{{font-weight:500;color:var(--jp-content-font-color2,#666);white-space:nowrap}}"
    f"{_PANEL} tfoot th,{_PANEL} tfoot td{{border-bottom:0;font-weight:600}}"
    f"{_PANEL} .bar{{display:inline-block;height:.62em;min-width:1px;border-radius:1px;opacity:.85;vertical-align:middle;"
    "background:var(--jp-brand-color1,#1769aa)}"
    f"{_tone('good', 'var(--jp-success-color1,#1b6e3c)')}"
    f"{_tone('warn', 'var(--jp-warn-color1,#8a5300)')}"
    f"{_tone('bad', 'var(--jp-error-color1,#b3261e)')}"
    f"{_PANEL} progress{{display:block;width:min(32em,100%);height:.8em;margin:.35em 0;accent-color:var(--jp-brand-color1,#1769aa)}}"
    f"{_PANEL} figure{{margin:.6em 0 .1em}}"
    f"{_PANEL} figure img{{max-width:100%;height:auto;background:none}}",
}
BAR_EM = 9
# Where steady display leaves something out, so that a pattern finds both forms.
LEFT_OUT = '<span class="run"></span>'


def escape(text: object) -> str:
    """The text with nothing in it that HTML or a terminal would act on."""
    return html.escape(clean(str(text)), quote=True)


def as_typed(text: str) -> str:
    """A text with its own line breaks."""
    return f'<p class="as-typed">{escape(text)}</p>'


def style(kind: str) -> str:
    """The rules of a kind of box."""
    return f"<style>{_STYLE}{_STYLES.get(kind, '')}</style>"


def box(*parts: str, kind: str = "reply") -> str:
    """The parts in ainb's own scope, with its style.

    Args:
        parts: HTML.
        kind: "reply", "page" (an HTML reply), "words" (tables), "wait" (a progress bar) or "panel".
    """
    return f'{style(kind)}<div class="ainb {kind}">{"".join(parts)}</div>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A value with its look.

    Attributes:
        text: The value.
        tone: Colour that goes with the words and never stands in for them.
        run: Whether it belongs to this run alone (a time, a rate): steady display leaves it out.
        share: Length of a bar before the text, 0 to 1; None means no bar.
        strong: Whether it stands out.
    """

    text: str
    tone: Tone = ""
    run: bool = False
    share: float | None = None
    strong: bool = False

    def __str__(self) -> str:
        return self.text

    def html(self, *, steady: bool = False) -> str:
        """As HTML; what belongs to the run alone stands in a ``span.run``, which is empty in steady display."""
        text = f"<b>{escape(self.text)}</b>" if self.strong else escape(self.text)
        if self.tone:
            text = f'<span class="{self.tone}">{text}</span>'
        if self.share:
            text = f'<span class="bar" style="width:{self.share * BAR_EM:.1f}em"></span> {text}'
        if not self.run:
            return text
        # One flat span without markup inside, so that a pattern can find it.
        tone = f" {self.tone}" if self.tone else ""
        return f'<span class="run{tone}">{"" if steady else escape(self.text)}</span>'

    def plain(self, *, steady: bool = False) -> str:
        """As text on one line."""
        return "" if steady and self.run else one_line(self.text)


def cell_html(value: Any, *, steady: bool = False) -> str:
    """A value or a `Cell` as HTML."""
    return value.html(steady=steady) if isinstance(value, Cell) else escape(value)


def cell_text(value: Any, *, steady: bool = False) -> str:
    """A value or a `Cell` as text on one line."""
    return value.plain(steady=steady) if isinstance(value, Cell) else one_line(str(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of words under a caption.

    Attributes:
        caption: What it shows.
        columns: Names; the first one heads the rows.
        rows: As many values or cells as columns each.
        foot: A last row of sums; None means none.
        numbers: Which columns hold numbers and stand at the right.
        run: Which columns belong to this run alone; steady text leaves them out, steady HTML leaves them empty.
        whole: Which columns hold short words that are not to be broken.
        long: Which columns hold sentences.
        limit: Rows shown; how many more there are is said below. None means all.
        history: Whether it tells of earlier runs: steady display leaves it out.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    foot: Sequence[Any] | None = None
    numbers: Collection[int] = ()
    run: Collection[int] = ()
    whole: Collection[int] = ()
    long: Collection[int] = ()
    limit: int | None = None
    history: bool = False

    def html(self, *, steady: bool = False) -> str:
        """As an HTML table with caption and scopes."""
        if steady and self.history:
            return LEFT_OUT
        head = "".join(
            f'<th scope="col"{self._class(place)}>{escape(name)}</th>'
            for place, name in enumerate(self.columns)
        )
        body = "".join(self._row(row, steady=steady) for row in self._shown())
        foot = f"<tfoot>{self._row(self.foot, steady=steady)}</tfoot>" if self.foot is not None else ""
        more = f'<p class="quiet">{escape(self._more())}</p>' if self._more() else ""
        opening = '<table class="run">' if self.history else "<table>"
        return (
            f"{opening}<caption>{escape(self.caption)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody>{foot}</table>{more}"
        )

    def text(self, *, steady: bool = False) -> str:
        """In columns of plain text."""
        if steady and self.history:
            return ""
        kept = [place for place in range(len(self.columns)) if not (steady and place in self.run)]
        rows = [self.columns, *self._shown(), *([self.foot] if self.foot is not None else [])]
        lines = [[cell_text(row[place], steady=steady) for place in kept] for row in rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = [
            "  ".join(
                cell.rjust(width) if place in self.numbers else cell.ljust(width)
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

    def _row(self, row: Sequence[Any], *, steady: bool) -> str:
        first, *rest = (self._cell(place, value, steady=steady) for place, value in enumerate(row))
        cells = "".join(f"<td{self._class(place)}>{text}</td>" for place, text in enumerate(rest, 1))
        return f'<tr><th scope="row"{self._class(0)}>{first}</th>{cells}</tr>'

    def _cell(self, place: int, value: Any, *, steady: bool) -> str:
        if place in self.run:
            value = replace(value, run=True) if isinstance(value, Cell) else Cell(text=str(value), run=True)
        return cell_html(value, steady=steady)

    def _class(self, place: int) -> str:
        if place in self.numbers:
            return ' class="n"'
        if place in self.whole:
            return ' class="w"'
        return ' class="m"' if place in self.long else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A text with its own line breaks under a caption.

    Attributes:
        caption: What it shows.
        content: The text.
    """

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
    """What a subcommand shows: lines, then tables and passages.

    Attributes:
        lines: Sentences.
        tables: What stands below them.
    """

    lines: Sequence[str] = ()
    tables: Sequence[Table | Passage] = field(default=())

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
