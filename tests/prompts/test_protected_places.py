"""Tests of protected places in a prompt: LaTeX, shell and code are sent as typed."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.prompts.interpolation import fill

LATEX = r"""
\documentclass[a4paper]{article}\usepackage[utf8]{inputenc}
\newcommand{\R}{R}
\begin{document}\title{Title}\section*{Intro}
The sum $\sum_{i}^{n} x_{i} \in \mathbb{R}$ and $\frac{a}{b}$, $\sqrt[n]{x}$, \emph{name}, \cite{key}.
$$\int_{a}^{b} f(x)\,dx = F\big|_{a}^{b}$$
\(x^{n}\) and \[ y_{k} = \hat{y}_{k} + \varepsilon_{k} \]
\begin{align*}
  \mathbf{x}^{T}\mathbf{y} &= \sum_{i=1}^{n} x_{i} y_{i} \\
  \text{name}_{n} &= \binom{n}{k}
\end{align*}
\begin{tabular}{lcr} \multicolumn{2}{c}{name} \end{tabular}
\end{document}
"""
FENCES = {
    "python": '```python\nfor i in range(n):\n    print(f"{i}: {name} {{i}} {d[key]}")\n    x = {a}\n```',
    "js": "```js\nconst s = `${name} {n}`; function f({a, b}) { return {name}; }\nimport {R} from 'r'\n```",
    "shell": "~~~sh\necho ${HOME} ${name:-x} {a,b} ${n}\nfor f in {a}; do cp $f/{n} ; done\n~~~",
    "jinja": "```jinja\n{{name}} {{ name }} {% for i in items %}{{i}}{% endfor %}\n{#name#} {{{name}}}x\n```",
    "json": '```json\n{"name": {n}, "a": [{i}]}\n```',
    "r": "```{r}\nf <- function(x) {x}\nglue('{name} {n}')\n```",
    "longer": "````\n```\n{name} {n}\n```\n{a} b\n````",
    "unclosed": "```\nx = {name}\n",
    "quoted": "> ```\n> x {name}\n> ```",
    "listed": "1. ```py\n   f'{name}'\n   ```",
    "crlf": "```py\r\nx{name}\r\n```\r\n",
}


class EveryName(defaultdict):
    """A notebook in which every name is defined."""

    def __init__(self):
        super().__init__(lambda: "FILLED")

    def __contains__(self, name):
        return True


def test_a_page_of_latex_goes_out_as_typed():
    assert fill(LATEX, EveryName()).text == LATEX


@pytest.mark.parametrize("kind", FENCES)
def test_code_in_a_fence_goes_out_as_typed(kind):
    page = f"Explain {{topic}}:\n{FENCES[kind]}"

    assert fill(page, EveryName()).text == page.replace("{topic}", "FILLED")


@pytest.mark.parametrize(
    "typed",
    [
        "${HOME} and ${home}",
        "\\frac{a}{b}",
        "\\sqrt[n]{x}",
        "\\frac{\\frac{a}{b}}{n}",
        "\\mathbb{R}",
        "\\binom{n}{k}x",
        "$x_{i}$",
        "$x^{n}$",
        "\\(x_{i}\\)",
        "\\[x^{n}\\]",
        "$$\nx_{i}\n$$",
        "\\begin{eq}x_{i}\\end{eq}",
        "\\name*{a}",
        "a $x$ b $y_{i}$ c",
        "\\f{a{b}c}{n}",
        "$a\\$b_{i}$",
    ],
)
def test_a_name_in_such_a_place_stays_as_typed_and_is_listed(typed):
    filled = fill(typed, EveryName())

    assert filled.text.replace("\\f{aFILLEDc}{n}", typed) == typed
    assert filled.as_typed


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("{a}{b}", "FILLEDFILLED"),
        ("{reply}{n}", "FILLEDFILLED"),
        ("file_{name}.csv", "file_FILLED.csv"),
        ("x^{n}", "xFILLED".replace("x", "x^")),
        ("It costs $5, save as r_{name} for $6", "It costs $5, save as r_FILLED for $6"),
        ("5$ and x_{name} for 6$ ", "5$ and x_FILLED for 6$ "),
        ("$ {price}", "$ FILLED"),
        ("C:\\{name}", "C:\\FILLED"),
        ("`{name}`", "`FILLED`"),
        ("```{name}```", "```FILLED```"),
        ("```\n{name}\n```", "```\nFILLED\n```"),
        ("```py\n  {name}  \nx\n```\n", "```py\n  FILLED  \nx\n```\n"),
        ("[x]{name} (y){name}", "[x]FILLED (y)FILLED"),
        ("```\nx\n```\n{name}_{name}", "```\nx\n```\nFILLED_FILLED"),
        ("\\\\ {name}", "\\\\ FILLED"),
        ("$x$ {name} $y$", "$x$ FILLED $y$"),
        ("a $x\n\ny_{name}$", "a $x\n\ny_FILLED$"),
        ("{{name}} {{{name}}}", "{name} {FILLED}"),
        ("\\word {name}", "\\word FILLED"),
    ],
)
def test_elsewhere_a_name_is_filled(typed, sent):
    filled = fill(typed, EveryName())

    assert filled.text == sent
    assert not filled.as_typed


def test_what_was_filled_is_listed_once_and_in_order():
    filled = fill("{b} {a} {b} $x_{i}$ $y_{i}$ {{a}} {d[key]}", {"a": 1, "b": 2, "i": 3, "d": {"key": 4}})

    assert filled.filled == ("b", "a", "d[key]")
    assert filled.as_typed == ("i",)


@given(st.text(alphabet="{}[]()\\$_^`~\n a1x>-", max_size=200))
@settings(max_examples=300, deadline=None)
def test_without_names_only_double_braces_change_and_with_every_name_only_braced_names(text):
    unescaped = re.sub(r"\{\{([a-z]\w*(?:\.[a-z]\w*|\[(?:-?\d+|[a-z]\w*)\])*)\}\}", r"{\1}", text)
    unnamed = fill(text, {}).text

    assert unnamed == text or ("{{" in text and len(unnamed) >= len(unescaped))
    outside = re.split(r"\{+[^{}]*\}+", text)
    assert all(piece in fill(text, EveryName()).text for piece in outside)


@pytest.mark.parametrize(
    "piece",
    [
        "{",
        "}",
        "[",
        "$",
        "$$",
        "`",
        "```\n",
        "\\(",
        "\\begin{a}",
        "{a}",
        "\\a{",
        "_{a}",
        "$a_{a}",
        "> ",
        "\n\n",
        "\\",
    ],
)
def test_long_repeats_take_linear_time(piece):
    """Quadratic time would take minutes."""
    fill(piece * (200_000 // len(piece)) + "{a} $x_{a}$", EveryName())
