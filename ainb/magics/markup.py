"""HTML of the magics: everything escaped, one scope (`.ainb`), colours only from the front end's own variables."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ainb.magics.escapes import clean, one_line

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
}
# An HTML reply may load nothing: a remote picture would tell its server what was asked.
FRAME_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "style-src 'unsafe-inline'; img-src data:\">"
)


def escape(text: object) -> str:
    """The text with nothing in it that HTML or a terminal would act on."""
    return html.escape(clean(str(text)), quote=True)


def markdown(text: str) -> str:
    """HTML of a reply in markdown; HTML in it is shown as text, pictures are not loaded, links tell nothing."""
    return str(_parser().render(clean(text)))


def as_typed(text: str) -> str:
    """A text with its own line breaks."""
    return f'<p class="as-typed">{escape(text)}</p>'


def code_block(text: str) -> str:
    """A block of code."""
    return f"<pre><code>{escape(text)}</code></pre>"


def frame(text: str) -> str:
    """A page of a model's, shown where no script of it runs and nothing is loaded."""
    page = html.escape(FRAME_POLICY + clean(text), quote=True)
    return f'<iframe sandbox="" title="the reply as HTML" srcdoc="{page}"></iframe>'


def box(*parts: str, kind: str = "reply") -> str:
    """The parts in ainb's own scope, with its style.

    Args:
        parts: HTML.
        kind: "reply", "page" (an HTML reply), "words" (tables) or "wait" (a progress bar).
    """
    style = f"<style>{_STYLE}{_STYLES.get(kind, '')}</style>"
    return f'{style}<div class="ainb {kind}">{"".join(parts)}</div>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of words under a caption.

    Attributes:
        caption: What it shows.
        columns: Names; the first one heads the rows.
        rows: As many values as columns each.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def html(self) -> str:
        """As an HTML table with caption and scopes."""
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.columns)
        body = "".join(
            f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
            for first, *rest in self.rows
        )
        return f"<table><caption>{escape(self.caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def text(self) -> str:
        """In columns of plain text."""
        lines = [[one_line(str(cell)) for cell in row] for row in (self.columns, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rows = (
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
        )
        return "\n".join([one_line(self.caption), *(f"  {row}".rstrip() for row in rows)])


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


@cache
def _parser() -> Any:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    parser.add_render_rule("link_open", _link_open)
    return parser


def _link_open(renderer: Any, tokens: Any, index: int, options: Any, _env: Any) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer")
    return str(renderer.renderToken(tokens, index, options, _env))
