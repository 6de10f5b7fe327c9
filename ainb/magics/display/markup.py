"""HTML of a model's reply (Markdown, code, a sandboxed page) that runs no script and loads nothing."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

from ainb.magics.display.maths import add_maths
from ainb.panels.escapes import clean
from ainb.panels.markup import escape, scrolled

# An HTML reply may load nothing: the URL of a remote image could carry the prompt to its server.
FRAME_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "style-src 'unsafe-inline'; img-src data:\">"
    '<meta name="referrer" content="no-referrer">'
)
FENCE = re.compile(r"^ {0,3}(?:`{3,}|~{3,})([^`\n]*)$", re.MULTILINE)
BEFORE_TABLE, AFTER_TABLE = scrolled("|", "table of the reply").split("|")


NUMBER = re.compile(r"[\s$€£≥≤<>~+\u2212-]*\d[\d,. ]*\s?(?:%|[a-zA-Zµ]{1,3})?\s*")
TASKS = {"[ ] ": "\u2610 ", "[x] ": "\u2611 ", "[X] ": "\u2611 "}
HIGHLIGHTED = '<code class="code'


def markdown(text: str) -> str:
    """HTML of markdown; HTML in it is shown as text, images are not loaded, links send no referrer."""
    return str(_parser().render(clean(text)))


def code_block(text: str, language: str = "") -> str:
    """A block of code, highlighted where the language is known."""
    code = highlighted(text, language)
    return f'<pre>{HIGHLIGHTED}">{code}</code></pre>' if code else f"<pre><code>{escape(text)}</code></pre>"


def code_language(text: str) -> str:
    """The language of all fenced blocks of a reply; empty if they have none or several."""
    named = [info.strip() for info in FENCE.findall(text)[::2]]
    return named[0] if len(set(named)) == 1 else ""


def highlighted(code: str, language: str) -> str:
    """Highlighted HTML of code; empty if the language is not known."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return ""
    html = str(highlight(code, lexer, HtmlFormatter(nowrap=True)))
    return html if code.endswith("\n") else html.removesuffix("\n")


def sandboxed_page(text: str) -> str:
    """An HTML page in a sandboxed frame: no scripts, no requests."""
    page = html.escape(FRAME_POLICY + clean(text), quote=True)
    return f'<iframe sandbox="" title="the reply as HTML" srcdoc="{page}"></iframe>'


@cache
def _parser() -> Any:
    from markdown_it import MarkdownIt

    # Unlike CommonMark, a line break in the reply is a line break in the output.
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "linkify": True})
    parser.enable(["table", "strikethrough", "linkify"]).disable("image")
    # Only text with a scheme becomes a link; a file name such as notes.md does not.
    cast(Any, parser.linkify).set({"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
    add_maths(parser)
    parser.core.ruler.push("ainb_tables", _align_tables)
    parser.core.ruler.push("ainb_tasks", _mark_tasks)
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("link_open", _link_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("table_open", _table_open)
    return parser


def _fence(_renderer: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
    token = tokens[index]
    language = token.info.split(maxsplit=1)[0] if token.info.strip() else ""
    code = highlighted(token.content, language) if language else ""
    if code:
        return f'<pre>{HIGHLIGHTED} language-{escape(language)}">{code}</code></pre>\n'
    look = f' class="language-{escape(language)}"' if language else ""
    return f"<pre><code{look}>{escape(token.content)}</code></pre>\n"


def _align_tables(state: Any) -> None:
    """Align columns of text to the left: front ends align every cell of a table to the right."""
    cells: list[tuple[int, Any, str]] = []
    column = 0
    for place, token in enumerate(state.tokens):
        if token.type == "tr_open":
            column = 0
        elif token.type in {"th_open", "td_open"}:
            cells.append((column, token, state.tokens[place + 1].content))
            column += 1
        elif token.type == "table_close":
            _align(cells)
            cells = []


def _align(cells: Sequence[tuple[int, Any, str]]) -> None:
    numeric: dict[int, bool] = {}
    for column, token, text in cells:
        if token.type == "td_open" and text.strip():
            numeric[column] = numeric.get(column, True) and NUMBER.fullmatch(text) is not None
    for column, token, _ in cells:
        if not numeric.get(column) and token.attrGet("style") is None:
            token.attrSet("style", "text-align:left")


def _mark_tasks(state: Any) -> None:
    """Show ``[ ]`` and ``[x]`` at the start of a list item as check boxes."""
    for before, token in zip(state.tokens[1:], state.tokens[2:], strict=False):
        if token.type == "inline" and before.type == "paragraph_open" and before.level and token.children:
            first = token.children[0]
            if first.type == "text" and first.content[:4] in TASKS:
                first.content = TASKS[first.content[:4]] + first.content[4:]


def _link_open(renderer: Any, tokens: Any, index: int, options: Any, _env: Any) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer")
    tokens[index].attrSet("referrerpolicy", "no-referrer")  # JupyterLab reduces rel to noopener
    return str(renderer.renderToken(tokens, index, options, _env))


def _table_open(_renderer: Any, _tokens: Any, _index: int, _options: Any, _env: Any) -> str:
    return f"{BEFORE_TABLE}<table>\n"


def _table_close(_renderer: Any, _tokens: Any, _index: int, _options: Any, _env: Any) -> str:
    return f"</table>{AFTER_TABLE}\n"
