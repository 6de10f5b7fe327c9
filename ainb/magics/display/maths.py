r"""Detects formulas in Markdown and distinguishes them from amounts of money.

``$x^2$``, ``$$…$$``, ``\(…\)``, ``\[…\]``, ``\begin{…}…\end{…}``.

Only these formulas are passed to MathJax, so "$5 … $10" stays text in JupyterLab and in exported pages.
"""

from __future__ import annotations

import re
from typing import Any

from ainb.panels.markup import escape

# MathJax 3 and 4 (JupyterLab), MathJax 2 (exported pages).
MATHS = "mathjax_process tex2jax_process"
_PAIRS = {"$$": "$$", r"\[": r"\]", r"\(": r"\)"}
_ENVIRONMENT = re.compile(r"\\begin\{([a-zA-Z]+\*?)\}")
_TEX = re.compile(r"[\\^_{}]")
_RELATION = re.compile(r"[=<>|]")
_SHORT_WORD = re.compile(r"[A-Za-z]{2,}")
_WORD = re.compile(r"[A-Za-z]{3,}")


def add_maths(parser: Any) -> None:
    """Add rules for formulas to a markdown-it parser."""
    parser.inline.ruler.before("escape", "ainb_maths", _inline)
    parser.block.ruler.before(
        "fence", "ainb_maths_block", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    for name, tag in (("maths", "span"), ("maths_block", "div")):
        parser.add_render_rule(name, _renderer(tag))


def is_formula(content: str) -> bool:
    """Whether a text between two single dollar signs is a formula, and not prose between two prices."""
    if not content.strip() or content != content.strip() or "`" in content or "\n\n" in content:
        return False
    if content[0].isdigit() and "\\" not in content and _SHORT_WORD.search(content):
        return False  # an amount and the text after it
    if _TEX.search(content) or _RELATION.search(content):
        return True
    return not (_WORD.search(content) and re.search(r"\s", content))


def _inline(state: Any, silent: bool) -> bool:  # noqa: FBT001 - the signature of a markdown-it rule
    found = _formula(state.src, state.pos)
    if found is None:
        return False
    tex, end = found
    if not silent:
        state.push("maths", "", 0).content = tex
    state.pos = end
    return True


def _formula(text: str, start: int) -> tuple[str, int] | None:
    """The formula that begins at a position, with its delimiters, and its end."""
    opening = text[start : start + 2]
    if closing := _PAIRS.get(opening):
        end = text.find(closing, start + 2)
        content = text[start + 2 : end]
        if end < 0 or not content.strip() or "\n\n" in content:
            return None
        left, right = (r"\(", r"\)") if opening == r"\(" else (r"\[", r"\]")
        return f"{left}{content}{right}", end + 2
    if text[start] == "$" and not (start and (text[start - 1].isalnum() or text[start - 1] == "$")):
        return _single_dollars(text, start)
    return None


def _single_dollars(text: str, start: int) -> tuple[str, int] | None:
    end = start + 1
    while (end := text.find("$", end)) > 0 and text[end - 1] == "\\":
        end += 1
    content = text[start + 1 : end]
    if end < 0 or text[end + 1 : end + 2].isdigit() or not is_formula(content):
        return None
    return rf"\({content}\)", end + 1


def _block(state: Any, first: int, last: int, silent: bool) -> bool:  # noqa: FBT001 - as above
    if state.is_code_block(first):
        return False
    text = _line(state, first)
    environment = _ENVIRONMENT.match(text)
    opening = text[:2]
    closing = rf"\end{{{environment[1]}}}" if environment else _PAIRS.get(opening)
    if closing is None or opening == r"\(":
        return False
    lines = []
    for number in range(first, last):
        line = _line(state, number)
        begun = line[2:] if number == first else line
        if number > first and state.sCount[number] < state.blkIndent and line:
            return False
        lines.append(line)
        if closing in begun:
            break
    else:
        return False
    content = "\n".join(lines)
    if not content.rstrip().endswith(closing):
        return False  # text follows: the rule for inline formulas applies
    if not silent:
        token = state.push("maths_block", "", 0)
        content = content.strip()
        token.content = content if environment else rf"\[{content[2:-2]}\]"
        token.map = [first, number + 1]
        state.line = number + 1
    return True


def _line(state: Any, number: int) -> str:
    return str(state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]])


def _renderer(tag: str) -> Any:
    def render(_renderer: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
        return f'<{tag} class="{MATHS}">{escape(tokens[index].content)}</{tag}>'

    return render
