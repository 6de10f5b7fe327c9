"""Tests of TeX in replies: commands for links, styles or files are shown as text."""

from __future__ import annotations

import nbformat
import pytest
from nbconvert import HTMLExporter

from ainb.magics.display.reply import DisplayOptions, reply_bundle
from ainb.messages import Reply
from tests.hostile import HOSTILE

RICH = DisplayOptions(rich=True, footer=False, deterministic=False)
LINKS = (
    r"\href{javascript:alert(1)}{x}",
    r"\href {javascript:alert(1)}{x}",
    "\\href\n{javascript:alert(1)}{x}",
    "\\href%comment\n{javascript:alert(1)}{x}",
    r"\href{JaVaScRiPt:alert(1)}{x}",
    r"\href{ javascript:alert(1)}{x}",
    r"\href{data:text/html;base64,PHNjcmlwdD4=}{x}",
    r"\href{vbscript:msgbox(1)}{x}",
    r"\href{file:///etc/passwd}{x}",
    r"\href{//evil.example}{x}",
    r"\href{\text{javascript:}alert(1)}{x}",
    r"\href\relax{javascript:alert(1)}{x}",
    r"\url{javascript:alert(1)}",
    r"\let\a\href \a{javascript:alert(1)}{x}",
    r"\def\a{\href}\a{javascript:alert(1)}{x}",
    r"\newcommand{\a}[1]{\href{#1}{x}}\a{javascript:alert(1)}",
    r"\renewcommand*{\frac}[2]{\href{#1}{#2}}\frac{javascript:alert(1)}{x}",
    r"\require{html}\href{javascript:alert(1)}{x}",
    r"\style{background:url(https://evil.example/b.png)}{x}",
    r"\class{jp-Cell}{x}",
    r"\cssId{jp-main}{x}",
    r"\data{commandlinker-command=x}{y}",
    r"\htmlData{commandlinker-command=terminal:create-new}{x}",
    r"\htmlStyle{position:fixed}{x}",
    r"\includegraphics{https://evil.example/x.png}",
)
DANGEROUS = ("\\href", "\\url", "\\let", "\\def", "\\newcommand", "\\renewcommand", "\\require", "\\style", "\\class", "\\cssId", "\\data", "\\html", "\\includegraphics")  # fmt: skip  # noqa: E501


def latex(text):
    return reply_bundle(Reply(text=text, form="math"), RICH)["text/latex"]


@pytest.mark.parametrize(
    "form", ["{}", "$${}$$", "\\[{}\\]", "$a$ {} $b$", "\\begin{{align}}{}\\end{{align}}"]
)
@pytest.mark.parametrize("link", LINKS)
def test_no_command_reaches_beyond_the_formula(link, form):
    shown = latex(form.format(link))

    assert not [command for command in DANGEROUS if command in shown]
    assert "\\text" in shown


@pytest.mark.parametrize(
    "formula",
    [
        r"\frac{a}{b}",
        r"\hrefs + \urly",
        r"\mathrm{class}(x)",
        r"\href{https://example.org/a}{x}",
        r"\left\lbrace x \right.",
        r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
        r"\text{style} \le \ell \databar",
        r"\leftarrow \default \letter",
    ],
)
def test_other_mathematics_stays_as_it_is(formula):
    assert latex(f"$${formula}$$") == f"$${formula}$$"


def test_a_saved_notebook_turned_into_a_page_holds_no_such_link_and_no_markup():
    outputs = [
        nbformat.v4.new_output("display_data", data=reply_bundle(Reply(text=text, form="math"), RICH))
        for text in (*LINKS, *(text for text in HOSTILE if "\ud800" not in text))
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=outputs)])

    page, _ = HTMLExporter().from_notebook_node(notebook)

    body = page[page.index("<body") :]
    assert not [command for command in DANGEROUS if command + "{" in body]
    for markup in (
        "<script>alert",
        "<img src=x",
        "<svg onload",
        "<iframe src",
        "<meta http-equiv=refresh",
        "<base href=https://evil",
    ):
        assert markup not in body
