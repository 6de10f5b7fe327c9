"""Tests of the comparison panel: HTML, text, terminal, and ``%ai compare``."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import ainb
from ainb.compare.overview import common_scale, row_shares
from ainb.panels import compare as panel
from ainb.panels.compare import comparison_view
from ainb.panels.compare_cells import BAR_EM
from ainb.panels.output import slot as slots
from tests.compare.conftest import table
from tests.hostile import HOSTILE
from tests.shells import fresh_shell

AB = {"short": "{a}", "examples": "{b}"}


@pytest.fixture
def session(tmp_path):
    with ainb.Session("scripted:echo", home=tmp_path / "home", retry=None) as made:
        yield made


@pytest.fixture
def result(session):
    return session.compare(table(240, good=0.7, better=0.9), AB, truth="label")


def test_it_shows_verdict_figures_matrices_and_disagreements(result):
    text = comparison_view(result).text()

    assert text.startswith("2 variants on 240 labelled rows\nVerdict: examples is better than short: +")
    assert "accuracy (95 %)  70 % to 100 %" in text
    assert "$ / 1,000 rows" in text
    assert "every row was answered · first: short" in text
    assert "short: answers by truth" in text
    assert re.search(r"short and examples answer differently, the first 10 of \d+", text)
    assert re.search(r"·*─+●─+·*", text)


def test_as_a_page_intervals_are_bars_of_one_scale_and_counts_are_shaded(result):
    html = comparison_view(result).bundle()["text/html"]

    bars = re.findall(r"margin-left:([\d.]+)em;width:([\d.]+)em", html)
    assert len(bars) == 4
    assert all(float(gap) + float(width) <= BAR_EM + 0.1 for gap, width in bars)
    assert html.count('aria-hidden="true"') == 2
    assert html.count("background:rgba(47,134,214,") == 18
    assert html.count("<caption>") == 4
    assert html.count('scope="row"') == 2 + 3 + 3 + 10


def test_a_page_of_static_display_leaves_out_the_time_that_the_run_took(result):
    live, static = (comparison_view(result).bundle(deterministic=fixed) for fixed in (False, True))

    assert live["text/plain"] == static["text/plain"]
    assert "median s" not in static["text/plain"]
    assert re.search(r'<td class="n"><span class="run">\d', live["text/html"])
    assert re.search(r'<td class="n"><span class="run"></span>', static["text/html"])


def test_rows_that_failed_have_columns_and_a_line_of_their_own(session):
    frame = table(40)
    frame["a"] = frame["a"].astype("object")
    frame.iloc[4, frame.columns.get_loc("a")] = None
    frame.iloc[5, frame.columns.get_loc("label")] = None

    text = comparison_view(session.compare(frame, AB, truth="label")).text()

    assert "failed  invalid  answered only" in text
    assert "failed and invalid rows count as wrong · 1 row without a truth left out" in text
    assert re.search(r"r4 .*no answer", text)
    assert "Verdict: too few rows to tell" in text


@pytest.mark.parametrize("prompts", [{"only": "{a}"}, AB])
def test_of_numbers_it_shows_errors_and_no_matrix(session, prompts):
    frame = pd.DataFrame({"t": np.arange(60) % 7})
    frame["a"], frame["b"] = frame["t"] + 1, frame["t"]
    prompts = {name: f'{{"value": {text}}}' for name, text in prompts.items()}
    schema = {"type": "object", "properties": {"value": {"type": "integer"}}}

    text = comparison_view(session.compare(frame, prompts, truth="t", schema=schema)).text()

    assert "mean error (95 %)" in text
    assert "answers by truth" not in text
    assert ("nearer: first, this" in text) == (len(prompts) > 1)


def test_many_classes_and_many_variants_are_named_not_drawn(session):
    frame = table(200, labels=[f"class {number}" for number in range(20)])
    many = session.compare(frame, AB, truth="label")
    few = session.compare(table(60), {f"v{number}": "{a}" for number in range(6)}, truth="label")

    assert "20 classes are too many to draw; see .confusion('short')" in comparison_view(many).text()
    assert "and 2 more: see .confusion(…)" in comparison_view(few).text()
    assert "v0 and v1 answer alike on every row" in comparison_view(few).text()


def test_answers_that_are_no_class_are_summed_up_where_they_are_many(session):
    frame = table(60)
    frame.iloc[:40, frame.columns.get_loc("a")] = [f"The label is {number}" for number in range(40)]

    text = comparison_view(session.compare(frame, {"free": "{a}"}, truth="label")).text()

    head, *rows = re.search(r"(truth .*)\n(.*)\n(.*)\n(.*)", text).groups()
    assert head.split() == ["truth", "negative", "neutral", "positive", "other", "answers"]
    assert sum(int(row.split()[-1]) for row in rows) == 40


def test_hostile_text_is_text(session):
    texts = [text for text in HOSTILE if text.isprintable() and text.isascii()]
    frame = pd.DataFrame({"text": texts, "label": texts, "a": texts[::-1], "b": texts})
    names = {texts[0]: "{a}", texts[1]: "{b} {text}"}

    bundle = comparison_view(session.compare(frame, names, truth="label")).bundle()

    assert "<script" not in bundle["text/html"]
    assert "<img" not in bundle["text/html"]
    assert "\x1b" not in bundle["text/html"] + bundle["text/plain"]


@pytest.mark.parametrize(
    ("display", "shown"), [("off", 0), ("html", 1), ("static", 1), ("widgets", 1), ("auto", 1)]
)
def test_in_a_notebook_it_is_one_output_that_stays(result, monkeypatch, display, shown):
    published = []
    shell = SimpleNamespace(
        kernel=SimpleNamespace(_allow_stdin=True),
        user_ns={},
        display_pub=SimpleNamespace(publish=lambda bundle, **_: published.append(bundle)),
    )
    monkeypatch.setattr(slots, "find_shell", lambda: shell)
    result.display = display

    result._ipython_display_()

    assert len(published) == shown
    assert all(set(bundle) == {"text/plain", "text/html"} for bundle in published)


def test_a_fault_of_the_display_is_one_line(result, monkeypatch):
    said = []
    monkeypatch.setattr(slots, "find_shell", lambda: SimpleNamespace(kernel=object(), user_ns={}))
    result.display = "html"

    panel.show(result, on_error=said.append)

    assert len(said) == 1
    assert "display error" in said[0]


def test_a_terminal_shows_text_and_the_command_shows_it_again(result, capsys):
    with fresh_shell() as shell:
        shell.run_line_magic("load_ext", "ainb")
        shell.user_ns.update(result=result, other=3)
        shell.run_cell("result")
        first = capsys.readouterr().out
        shell.run_cell("%ai compare result")
        again = capsys.readouterr().out
        said = []
        for line in ("compare other", "compare nothing", "compare"):
            with pytest.raises(ainb.ConfigError) as caught:
                shell.run_line_magic("ai", line)
            said.append(str(caught.value))

    assert "Verdict: examples is better than short" in first
    assert first.endswith(again)
    assert said[0] == "'other' holds no comparison, but int; comparisons here are: result"
    assert said[1] == "'nothing' is not defined; comparisons here are: result"
    assert "is written %ai compare NAME" in said[2]


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [
        ([0.7], [0.8], (0.7, 0.8)),
        ([0.701], [0.974], (0.7, 1.0)),
        ([0.0], [1.0], (0.0, 1.0)),
        ([0.993], [1.0], (0.99, 1.0)),
        ([0.42, 0.55], [0.61, 0.71], (0.4, 0.8)),
    ],
)
def test_the_scale_has_round_ends_that_hold_every_interval(low, high, ends):
    middle = [(one + other) / 2 for one, other in zip(low, high, strict=True)]

    scale = common_scale(pd.DataFrame({"low": low, "accuracy": middle, "high": high}))

    assert (scale.start, scale.end) == pytest.approx(ends)
    for bar in scale.bars:
        assert 0 <= bar.low <= bar.value <= bar.high <= 1


@pytest.mark.parametrize("size", [0.003, 0.7, 3.2, 41, 99, 12_345])
def test_the_scale_of_errors_holds_them_whatever_their_size(size):
    scale = common_scale(
        pd.DataFrame({"mae_low": [size * 0.8, pd.NA], "mae": [size, 1.0], "mae_high": [size * 1.1, pd.NA]})
    )

    assert scale.start <= size * 0.8
    assert scale.end >= size * 1.1
    assert scale.bars[1] is None


def test_shares_of_a_row_without_counts_are_zero():
    assert row_shares(pd.DataFrame([[1, 3], [0, 0]])).tolist() == [[0.25, 0.75], [0.0, 0.0]]
