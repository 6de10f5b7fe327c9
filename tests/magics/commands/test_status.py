"""Tests of %ai without arguments and of %ai status."""

from __future__ import annotations

import pandas as pd
import pytest

from ainb import session as sessions
from ainb.magics.display.numbers import as_text, byte_size, duration, local_time, percent
from ainb.panels.formatting import UNKNOWN, count
from ainb.testing import script


def lines(cell):
    return [" ".join(line.split()) for line in cell.out.splitlines()]


def test_alone_it_says_what_was_spent_and_what_is_stored(terminal):
    terminal.run("%%ai scripted:echo\nhi")
    terminal.run("%ai budget 5/day")

    shown = lines(terminal.run("%ai"))

    assert "spent today $0.00" in shown
    assert "budget $5.00 a day, $5.00 left" in shown
    assert any(line.startswith("cache 1 stored, ") for line in shown)
    assert not any(line.startswith("circuits") for line in shown)


def test_circuits_that_are_not_closed_are_said(terminal):
    terminal.run("%config Ainb.circuit = {'minimum_calls': 2, 'failure_rate': 0.5}")
    terminal.run("%config Ainb.retry = False")
    script("down", [503])
    for _ in range(3):
        terminal.run("%%ai scripted:down\nhi")

    assert "circuits scripted:down open" in lines(terminal.run("%ai"))
    shown = lines(terminal.run("%ai status"))
    (line,) = [line for line in shown if line.startswith("scripted:down") and "open" in line]
    assert "100% of 2" in line
    assert line.endswith(" s")


def test_status_shows_a_table_for_every_part_and_gives_the_frame(terminal):
    terminal.run("%config Ainb.rate_limit = {'requests_per_minute': 600, 'tokens_per_minute': 6000}")
    terminal.run("%ai budget 5/day")
    terminal.run("%%ai scripted:echo\nhi")

    cell = terminal.run("%ai status")

    assert isinstance(cell.result, pd.DataFrame)
    assert list(cell.result.index) == list(sessions.current().status().index)
    shown = lines(cell)
    assert [line for line in shown if line in {"Circuits", "Queues", "Buckets", "Cache", "Budget"}] == [
        "Circuits",
        "Queues",
        "Buckets",
        "Cache",
        "Budget",
    ]
    assert any(line.startswith("scripted:echo scripted closed") for line in shown)
    assert any(line.startswith("scripted:echo requests ") for line in shown)


def test_status_of_stages_that_are_off_leaves_them_out(terminal):
    for stage in ("cache", "circuit", "rate_limit", "retry", "budget"):
        terminal.run(f"%config Ainb.{stage} = False")
    terminal.run("%%ai scripted:echo\nhi")

    cell = terminal.run("%ai status")

    assert cell.error is None
    assert "cache off" in lines(cell)
    assert "Circuits" not in cell.out


def test_nothing_called_yet_is_said(terminal):
    assert "No model was called yet." in terminal.run("%ai status").out


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (count(1234), "1,234"),
        (count(None), UNKNOWN),
        (count(pd.NA), UNKNOWN),
        (percent(0.256), "26%"),
        (percent(pd.NA), UNKNOWN),
        (duration(0.04), "0.0 s"),
        (duration(119.9), "119.9 s"),
        (duration(7200), "120 min"),
        (duration(None), UNKNOWN),
        (byte_size(999), "999 B"),
        (byte_size(78_000), "78.0 kB"),
        (byte_size(5e12), "5,000.0 GB"),
        (byte_size(None), UNKNOWN),
        (as_text("x"), "x"),
        (as_text(float("nan")), UNKNOWN),
        (local_time(pd.NaT), UNKNOWN),
    ],
)
def test_what_is_unknown_is_a_dash_and_never_0(shown, text):
    assert shown == text
