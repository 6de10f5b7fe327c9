"""Tests of Markdown in replies: formulas and dollar amounts, code, line breaks, tables, links."""

from __future__ import annotations

import pytest

from ainb.magics.display.maths import MATHS
from ainb.magics.display.reply import DisplayOptions, reply_bundle
from ainb.messages import Reply

RICH = DisplayOptions(footer=False)


def shown(text, form="markdown"):
    html = reply_bundle(Reply(text=text, form=form), RICH)["text/html"]
    return html.split("</style>")[1]


MONEY = [
    "It costs $5 to $10.",
    "Between $5 and $10 per month",
    "$5-$10, or 10$",
    "$5, or 10$ in total",
    "from 5$ to 10$",
    "US$5 and CA$6",
    "**$5** and **$10**",
    "$1,000 (was $2,000)",
    "| a | b |\n|---|---|\n| $5 | $10 |",
    "- $3.50 a piece\n- $7.20 a pair",
    "set $HOME and $PATH",
    "$5 (USD$) fee",
    "`$x$` is code, $5 is not",
    "$5 + tax = $6",
    "it is \\$5 and \\$6",
    "the $5 `x$y` thing",
    "$100k/year vs. $120k/year",
    "an unclosed $x^2",
    "$5 for {name} and 10$",
]
FORMULAS = [
    ("$x$", r"\(x\)"),
    ("is $x^2$.", r"\(x^2\)"),
    ("$E = mc^2$", r"\(E = mc^2\)"),
    ("$n$-th", r"\(n\)"),
    (r"$\alpha$", r"\(\alpha\)"),
    (r"\(a_1 * b_1 * c\)", r"\(a_1 * b_1 * c\)"),
    (r"so \[x = 1\] holds", r"\[x = 1\]"),
    ("$$x = 1$$", r"\[x = 1\]"),
    ("$$\na\n= b\n$$", "\\[\na\n= b\n\\]"),
    ("\\[\n- a\n\\]", "\\[\n- a\n\\]"),
    (r"\begin{align}a &= b\\c\end{align}", r"\begin{align}a &amp;= b\\c\end{align}"),
    ("$p < 0.05$", r"\(p &lt; 0.05\)"),
    (r"pay $5 for $\frac{1}{2}$ of it", r"\(\frac{1}{2}\)"),
    ("> $$x$$", r"\[x\]"),
    ("- item\n\n  $$\n  x\n  $$", "\\[\nx\n\\]"),
    (r"$P(A \mid B)$", r"\(P(A \mid B)\)"),
    ("$f(x, y)$", r"\(f(x, y)\)"),
]


@pytest.mark.parametrize("text", MONEY)
def test_dollar_signs_of_money_are_no_formula(text):
    html = shown(text)

    assert MATHS not in html
    assert html.startswith('<div class="ainb reply mathjax_ignore tex2jax_ignore">')
    assert html.count("$") == text.count("$")


@pytest.mark.parametrize(("text", "tex"), FORMULAS)
def test_a_formula_reaches_mathjax_as_it_was_written(text, tex):
    html = shown(text)

    assert f'class="{MATHS}">{tex}<' in html
    assert html.count(MATHS) == 1


def test_bold_money_is_bold():
    assert "<strong>$5</strong> and <strong>$10</strong>" in shown("**$5** and **$10**")


def test_a_formula_cannot_hold_html():
    html = shown("$<img src=x onerror=y>^2$ $$<script>x</script>$$")

    assert "<img" not in html
    assert "<script" not in html


def test_a_line_break_stays_one():
    assert "one<br" in shown("one\ntwo")


@pytest.mark.parametrize("language", ["python", "sql", "json", "bash", "r"])
def test_code_is_highlighted(language):
    html = shown(f'```{language}\n# x\nselect 1 "a"\n```')

    assert f'<code class="code language-{language}"><span class=' in html


def test_code_of_an_unknown_language_stands_as_it_is():
    assert '<code class="language-nothing">a &lt; b\n</code>' in shown("```nothing\na < b\n```")


def test_the_form_code_is_highlighted_where_one_language_is_named():
    assert '<span class="k">def</span>' in shown("```python\ndef f(): ...\n```", "code")
    assert '<span class="k">def</span>' in shown("Here:\n\n```python\ndef f(): ...\n```\nDone.", "code")
    assert "<span" not in shown("def f(): ...", "code")
    assert '<span class="nt">' in shown('{"a": 1}', "json")


def test_only_replies_with_code_carry_its_rules():
    with_code, without = (
        reply_bundle(Reply(text=text), RICH)["text/html"] for text in ("```python\n1\n```", "1")
    )

    assert ".ainb .code" in with_code
    assert ".ainb .code" not in without


def test_texts_are_left_aligned_and_numbers_right_aligned():
    html = shown("| name | n | share |\n|---|---|---|\n| a | 1,000 | 3 % |\n| b | -2.5 | |")

    assert '<th style="text-align:left">name</th>' in html
    assert '<td style="text-align:left">b</td>' in html
    assert "<th>n</th>" in html
    assert "<td>-2.5</td>" in html
    assert "<th>share</th>" in html
    assert '<td style="text-align:center">x</td>' in shown("| a |\n|:-:|\n| x |")


def test_strikethrough_links_and_task_lists_are_rendered():
    html = shown("~~old~~ https://example.org/a_b.\n\n- [ ] open\n- [x] done\n\nnotes.txt and example.com")

    assert "<s>old</s>" in html
    assert html.count("<a ") == 1
    assert 'href="https://example.org/a_b" rel="noopener noreferrer"' in html
    assert "\u2610 open" in html
    assert "\u2611 done" in html
