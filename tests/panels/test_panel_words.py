"""Tests of formatting in panels: numbers, money, durations, tables, escaping."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

import pandas as pd
import pytest

from ainb.panels import formatting
from ainb.panels.markup import Cell, Table
from ainb.panels.style import style
from ainb.panels.view import KeyFigures, Line, ProgressBar, SideBySide, View

NOW = dt.datetime(2026, 11, 23, 15, 0).astimezone()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (31_400, "31 k"),
        (412_000, "412 k"),
        (1_900_000, "1.9 M"),
        (23_000_000, "23 M"),
        (4.2e9, "4.2 G"),
        (None, "\N{EN DASH}"),
        (pd.NA, "\N{EN DASH}"),
    ],
)
def test_large_numbers_are_short(value, text):
    assert formatting.compact(value) == text


@pytest.mark.parametrize(
    ("usd", "unpriced", "text"),
    [
        (1.84, 0, "$1.84"),
        (0.0007, 0, "$0.00070"),
        (0, 0, "$0.00"),
        (3.87, 12, "≥ $3.87"),
        (None, 2, "unknown"),
        (pd.NA, 1, "unknown"),
        (0.0, 1, "unknown"),
        (pd.NA, 0, "\N{EN DASH}"),
        (0.1 + 0.2, 0, "$0.30"),
        (Decimal("1234.5"), 0, "$1,234.50"),
    ],
)
def test_sums_of_money_name_unpriced_calls(usd, unpriced, text):
    assert formatting.dollars(usd, unpriced) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0004, "0.000 s"),
        (0.94, "0.9 s"),
        (40, "40 s"),
        (59.6, "60 s"),
        (200, "3 min"),
        (7_500, "2 h 5 min"),
        (3_600, "1 h"),
        (pd.NA, "\N{EN DASH}"),
    ],
)
def test_durations(value, text):
    assert formatting.seconds(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1, "100 %"),
        (0.99999, "99.9 %"),
        (0.986, "98.6 %"),
        (0.00001, "0.1 %"),
        (0, "0 %"),
        (pd.NA, "\N{EN DASH}"),
    ],
)
def test_all_and_none_are_only_said_when_they_are_exact(share, text):
    assert formatting.percent(share) == text


def test_moments_of_today_go_without_their_date():
    now = NOW.timestamp()

    assert formatting.local_time(NOW.replace(hour=10, minute=42), now) == "10:42"
    assert formatting.local_time(pd.Timestamp(NOW - dt.timedelta(days=2)), now) == "2026-11-21 15:00"
    assert formatting.local_time(pd.NaT, now) == "\N{EN DASH}"


def test_what_is_left_of_a_limit_is_shown_beside_it():
    assert formatting.remaining(71.9, 83) == "71 of 83"
    assert formatting.remaining(pd.NA, pd.NA) == "no limit"


def test_a_provider_says_the_state_of_its_circuit_in_words():
    assert formatting.provider("half-open").detail == "circuit half open"
    assert formatting.provider("open", 12.0).detail == "circuit open"
    assert str(formatting.provider("open", 12.0)) == "paused, next try in 12 s"
    assert formatting.provider("closed").tone == "good"
    assert str(formatting.provider(pd.NA)) == "\N{EN DASH}"


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\x00\" ' & $x^2$"


def hostile_view():
    table = Table(
        caption=HOSTILE,
        columns=(HOSTILE, "b"),
        rows=[
            (HOSTILE, Cell(text=HOSTILE, tone="bad", volatile=True)),
            (Cell(text=HOSTILE, share=0.5), HOSTILE),
        ],
        footer=(HOSTILE, HOSTILE),
        volatile={1},
    )
    return View(
        HOSTILE,
        [
            Line([HOSTILE, Cell(text=HOSTILE, volatile=True)]),
            KeyFigures([(HOSTILE, HOSTILE)]),
            ProgressBar(HOSTILE, 1, 2),
            SideBySide([table]),
        ],
        line=HOSTILE,
        status=HOSTILE,
    )


@pytest.mark.parametrize("deterministic", [False, True])
def test_everything_is_escaped(deterministic):
    bundle = hostile_view().bundle(deterministic=deterministic)

    assert "<script" not in bundle["text/html"]
    assert "<img" not in bundle["text/html"]
    assert "\x1b" not in bundle["text/html"] + bundle["text/plain"]
    assert "\x00" not in bundle["text/html"] + bundle["text/plain"]


def test_steady_html_differs_in_flat_spans_alone():
    import re

    table = Table(
        caption="C",
        columns=("a", "at"),
        rows=[("x", "10:42"), ("y", Cell(text="10:43", tone="bad"))],
        volatile={1},
    )
    view = View("v", [Line(["a", Cell(text="in 40 s", volatile=True), "b"]), table])

    live, steady = view.bundle(), view.bundle(deterministic=True)

    assert "10:42" in live["text/html"]
    assert "40 s" in live["text/html"]
    assert "10:42" not in steady["text/html"]
    pattern = re.compile(r'<span class="run[^"]*">[^<]*</span>')
    assert pattern.sub("", live["text/html"]) == pattern.sub("", steady["text/html"])
    assert live["text/plain"] == steady["text/plain"]
    assert "10:42" not in live["text/plain"]
    assert "10:42" in view.text()
    assert "a · b" in steady["text/plain"]


def test_long_tables_say_how_many_rows_are_left_out():
    table = Table(caption="C", columns=("a",), rows=[(str(number),) for number in range(1_050)], limit=20)

    assert table.html().count("<tr>") == 21
    assert "and 1,030 more" in table.html()
    assert "and 1,030 more" in table.text()


def test_tables_have_a_caption_scopes_and_a_foot():
    html = Table(
        caption="C", columns=("a", "b"), rows=[("x", "1")], footer=("all", "1"), looks={1: "number"}
    ).html()

    assert "<caption>C</caption>" in html
    assert '<th scope="col" class="n">b</th>' in html
    assert '<tr><th scope="row">x</th><td class="n">1</td></tr>' in html
    assert '<tfoot><tr><th scope="row">all</th>' in html


@pytest.mark.parametrize("kind", ["reply", "page", "words", "wait", "panel"])
def test_every_rule_stays_in_the_scope_of_ainb_and_carries_no_comment(kind):
    css = style(kind).removeprefix("<style>").removesuffix("</style>")
    selectors = [part for rule in re.findall(r"([^{}]+)\{", css) for part in rule.split(",")]

    assert {part.split()[0].split(":")[0] for part in selectors} <= {".ainb", f".ainb.{kind}"}
    assert not re.search(r"/\*|\n|\s{2}|;\}|[{};]\s", css)
