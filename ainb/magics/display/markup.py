"""HTML of a model's reply (markdown, code, a sandboxed page), which runs no script and loads nothing."""

from __future__ import annotations

import html
from functools import cache
from typing import Any

from ainb.panels.escapes import clean
from ainb.panels.markup import escape, scrolled

# An HTML reply may load nothing: the URL of a remote image could carry the prompt to its server.
FRAME_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "style-src 'unsafe-inline'; img-src data:\">"
    '<meta name="referrer" content="no-referrer">'
)
BEFORE_TABLE, AFTER_TABLE = scrolled("|", "table of the reply").split("|")


def markdown(text: str) -> str:
    """HTML of markdown; HTML in it is shown as text, images are not loaded, links send no referrer."""
    return str(_parser().render(clean(text)))


def code_block(text: str) -> str:
    """A block of code."""
    return f"<pre><code>{escape(text)}</code></pre>"


def sandboxed_page(text: str) -> str:
    """An HTML page in a sandboxed frame: no scripts, no requests."""
    page = html.escape(FRAME_POLICY + clean(text), quote=True)
    return f'<iframe sandbox="" title="the reply as HTML" srcdoc="{page}"></iframe>'


@cache
def _parser() -> Any:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    parser.add_render_rule("link_open", _link_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("table_open", _table_open)
    return parser


def _link_open(renderer: Any, tokens: Any, index: int, options: Any, _env: Any) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer")
    tokens[index].attrSet("referrerpolicy", "no-referrer")  # JupyterLab cuts rel down to noopener
    return str(renderer.renderToken(tokens, index, options, _env))


def _table_open(_renderer: Any, _tokens: Any, _index: int, _options: Any, _env: Any) -> str:
    return f"{BEFORE_TABLE}<table>\n"


def _table_close(_renderer: Any, _tokens: Any, _index: int, _options: Any, _env: Any) -> str:
    return f"</table>{AFTER_TABLE}\n"
