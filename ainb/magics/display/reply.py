"""MIME bundle of a Reply: ``text/plain``, ``text/html`` or ``text/latex``, and a footer."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ainb.errors import InvalidReplyError
from ainb.magics.display.markup import HIGHLIGHTED, code_block, code_language, markdown, sandboxed_page
from ainb.messages import Reply
from ainb.panels.escapes import clean, one_line
from ainb.panels.markup import as_typed, box, escape

Bundle = dict[str, Any]

# The sentence that a form adds to the prompt; markdown and text send it as typed.
FORM_SUFFIXES = {
    "code": "Answer with code only, in one fenced block, without any explanation.",
    "json": "Answer with valid JSON only, without a fence and without any explanation.",
    "html": "Answer with HTML only, without a fence and without any explanation.",
    "math": "Answer with LaTeX mathematics only, between $$ and $$, without any explanation.",
}
TRUNCATED = "cut at max_tokens"
INCOMPLETE = "the stream ended before the reply did; run the cell again"
EMPTY = "the model sent no text; run the cell again"
SHOWN_FIELDS = 6
NOT_JSON = "not JSON, shown as it came"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayOptions:
    """How replies are shown.

    Attributes:
        rich: Whether HTML is shown.
        footer: Whether a line with model, time, tokens and cost is shown below.
        deterministic: Whether values that differ from run to run (seconds, cache) are left out, for replayed
            notebooks.
    """

    rich: bool = True
    footer: bool = True
    deterministic: bool = False


def reply_bundle(reply: Reply, options: DisplayOptions) -> Bundle:
    """A reply as ``text/plain`` and, where it is shown, ``text/html`` or ``text/latex``."""
    text, notes = plain_text(reply)
    bundle: Bundle = {"text/plain": text}
    if not options.rich:
        return bundle
    if reply.form == "math":
        bundle["text/latex"] = _latex(text)
    else:
        kind = "page" if reply.form == "html" else "reply"
        body = _body(reply, text)
        bundle["text/html"] = box(body, footer(reply, options, notes), kind=kind, code=HIGHLIGHTED in body)
    return bundle


def plain_text(reply: Reply) -> tuple[str, tuple[str, ...]]:
    """The reply's text in the requested form, safe for a terminal, and notes on it."""
    notes = _notes(reply)
    if reply.form in {"markdown", "text"}:
        return clean(reply.text), notes
    if reply.form != "json":
        return clean(reply.code), notes
    try:
        return clean(json.dumps(reply.json(), indent=2, ensure_ascii=False)), notes
    except (InvalidReplyError, RecursionError):
        return clean(reply.text), (NOT_JSON, *notes)


def _notes(reply: Reply) -> tuple[str, ...]:
    if reply.finish_reason == "length":
        return (TRUNCATED,)
    if reply.complete:
        return ()
    return (INCOMPLETE,) if reply.text else (EMPTY,)


def live_bundle(text: str) -> Bundle:
    """MIME bundle of the text received so far."""
    body = markdown(text)
    return {"text/plain": clean(text), "text/html": box(body, code=HIGHLIGHTED in body)}


def _body(reply: Reply, text: str) -> str:
    if reply.form in {"code", "json"}:
        return code_block(text, "json" if reply.form == "json" else code_language(reply.text))
    if reply.form == "html":
        return sandboxed_page(text)
    return as_typed(text) if reply.form == "text" else markdown(text)


# TeX commands that insert links, styles, attributes or files, in MathJax and KaTeX; \let and \def may
# rename others.
_PAGE_COMMANDS = re.compile(
    r"\\(?:href(?!\s*\{\s*https?://)|url|includegraphics|require|style|class|cssId|data|html[A-Za-z@]*|let|futurelet"
    r"|[gex]?def|(?:re)?newcommand|(?:re)?newenvironment|DeclareMathOperator|providecommand)(?![A-Za-z@])\*?"
)


def _latex(text: str) -> str:
    """Mathematics for a TeX renderer; commands that could change the page are shown as text."""
    bare = _PAGE_COMMANDS.sub(r"\\text", text.strip())
    return bare if bare.startswith(("$", "\\[", "\\(", "\\begin")) else f"$${bare}$$"


def footer(reply: Reply, options: DisplayOptions, notes: tuple[str, ...] = ()) -> str:
    """The footer as HTML; empty when it is off and there are no notes."""
    pieces = (
        [escape(piece) for piece in facts(reply, deterministic=options.deterministic)]
        if options.footer
        else []
    )
    pieces += [f'<span class="warn">{escape(note)}</span>' for note in notes]
    return f'<p class="foot">{" · ".join(pieces)}</p>' if pieces else ""


def facts(reply: Reply, *, deterministic: bool = False) -> list[str]:
    """Texts of the footer: model, seconds, tokens and cost, if known.

    Args:
        reply: The reply.
        deterministic: Leave out values that differ from run to run.
    """
    pieces = [one_line(reply.model)] if reply.model else []
    if reply.cached and not deterministic:
        return [*pieces, _saved(reply), *_fields(reply)]
    if not deterministic and reply.duration_s is not None:
        pieces.append(f"{reply.duration_s:.1f} s")
    usage = reply.usage
    if usage.input_tokens is not None and usage.output_tokens is not None:
        thought = f" ({usage.reasoning_output_tokens:,} thinking)" if usage.reasoning_output_tokens else ""
        pieces.append(f"{usage.input_tokens:,} in, {usage.output_tokens:,} out{thought}")
    if not deterministic and reply.attempts > 1:
        pieces.append(f"{reply.attempts} attempts")
    if not deterministic:
        pieces += _cost(reply)
    return [*pieces, *_fields(reply)]


def braced(fields: Sequence[str]) -> str:
    """Fields as typed, at most six of them."""
    more = len(fields) - SHOWN_FIELDS
    shown = ", ".join(f"{{{one_line(name)}}}" for name in fields[:SHOWN_FIELDS])
    return f"{shown} and {more} more" if more > 0 else shown


def _fields(reply: Reply) -> list[str]:
    filled = [f"filled {braced(reply.filled)}"] if reply.filled else []
    return [*filled, f"as typed {braced(reply.as_typed)}"] if reply.as_typed else filled


def _cost(reply: Reply) -> list[str]:
    if reply.cost_usd is None:
        return ["price unknown"] if reply.cost_source == "unpriced" else []
    return ["free" if reply.cost_usd == 0 else money(reply.cost_usd)]


def _saved(reply: Reply) -> str:
    if reply.coalesced:
        origin = "shared with an identical call"
    else:
        origin = "from cache, older than asked for" if reply.stale else "from cache"
    return f"{origin}, saved {money(reply.saved_usd)}" if reply.saved_usd else origin


def money(usd: Decimal) -> str:
    """US dollars with the significant digits."""
    if usd >= Decimal("0.1"):
        return f"${usd:,.2f}"
    if usd >= Decimal("0.01"):
        return f"${usd:.3f}"
    return f"${usd:.4f}" if usd >= Decimal("0.00005") else "<$0.0001"
