"""Tests of %ai cost, %ai usage and %ai errors: display and returned frames."""

from __future__ import annotations

import pytest
from pandas.testing import assert_frame_equal

from ainb import session as sessions
from ainb.testing import script
from tests.fault_server import FaultServer

PRICE = "%config Ainb.prices = {'openai:m': {'input_usd_per_million': 1000, 'output_usd_per_million': 1000}}"


@pytest.fixture
def served(terminal, monkeypatch):
    """Servers of `openai:m`, which costs $0.001 per token, and `openai:other`, which has no price."""
    monkeypatch.setenv("OPENAI_API_KEY", "not a real key")
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        terminal.run(PRICE)
        yield server


def test_cost_shows_a_table_and_gives_the_frame(terminal, served):
    terminal.run("%%ai openai:m\none two three")
    terminal.run("%%ai openai:m\none two three")

    cell = terminal.run("%ai cost")

    frame = sessions.current().costs(["request_model"])
    assert_frame_equal(cell.result, frame)
    spent = frame.loc["m", "cost_usd"]
    assert spent > 0
    assert f"2 calls, ${spent:.4f}".rstrip("0") in cell.out
    assert "the cache saved $" in cell.out
    assert cell.out.splitlines()[3].split()[0] == "model"


def test_money_that_is_not_known_is_said(terminal, served):
    terminal.run("%%ai openai:m\none")
    terminal.run("%%ai openai:other\none")

    out = terminal.run("%ai cost").out

    total, *_ = out.splitlines()
    assert total.startswith("2 calls, $")
    assert "besides 1 call without a price" in total
    assert "unknown (1 call unpriced)" in out
    assert "unknown (1 call unpriced)" in terminal.run("%ai usage").out


@pytest.mark.parametrize("line", ["status day", "status,day", "status, day"])
def test_cost_groups_by_any_columns(terminal, line):
    terminal.run("%%ai scripted:echo\nhi")

    frame = terminal.run(f"%ai cost {line}").result

    assert list(frame.index.names) == ["status", "day"]


def test_cost_and_usage_can_be_limited_to_a_period(terminal):
    terminal.run("%%ai scripted:echo\nhi")

    assert terminal.run("%ai cost --since 1h").result["calls"].sum() == 1
    assert terminal.run("%ai cost --since 2999-01-01").result["calls"].sum() == 0
    assert terminal.run("%ai usage --since=2999-01-01").out.startswith("0 calls, $0.00\n")


def test_usage_shows_the_latest_first_and_gives_every_column(terminal):
    for number in range(25):
        terminal.run(f"%%ai scripted:echo\n{'word ' * (number + 1)}")

    cell = terminal.run("%ai usage")

    assert_frame_equal(cell.result, sessions.current().usage())
    assert "The table shows 20 of 25 calls, the latest first" in cell.out
    rows = [line.split() for line in cell.out.splitlines() if "scripted:echo" in line]
    assert [int(row[4]) for row in rows] == list(range(25, 5, -1))


def test_cost_shows_the_costliest_of_many_groups(terminal, served):
    for number in range(21):
        terminal.run(f"%%ai openai:m --user u{number:02}\n{'word ' * (number + 1)}")

    cell = terminal.run("%ai cost user")

    assert len(cell.result) == 21
    assert "20 of 21 groups, the costliest first" in cell.out
    shown = [word for word in cell.out.split() if word.startswith("u") and word[1:].isdigit()]
    assert shown == [f"u{number:02}" for number in range(20, 0, -1)]


def test_errors_are_listed_singly_or_by_kind(terminal):
    script("down", [400])
    terminal.run("%%ai scripted:down\nhi")
    terminal.run("%%ai scripted:down\nhi")
    terminal.run("%%ai scripted:down --budget 0\n ")

    each, kinds = terminal.run("%ai errors"), terminal.run("%ai errors error_type http_status")

    assert each.out.startswith("2 failed calls\n")
    assert "PermanentProviderError 400" in each.out
    assert "scripted answered 400" in each.out
    assert len(each.result) == 2
    assert kinds.result["calls"].tolist() == [2]
    assert "PermanentProviderError" in kinds.out


def test_an_empty_log_is_one_line(terminal):
    assert terminal.run("%ai errors").out.startswith("0 failed calls\n")
    assert terminal.run("%ai cost").out.startswith("0 calls, $0.00\n")
    assert terminal.run("%ai usage").result.shape[0] == 0


def test_a_frame_is_shown_again_as_any_frame_is(terminal):
    terminal.run("%%ai scripted:echo\nhi")

    first = terminal.run("x = %ai cost\nx")
    later = terminal.run("x")

    assert first.out.count("echo") == 1
    assert "cost_usd" not in first.out
    assert "calls" in later.out
    copied = terminal.run("y = %ai cost\ny.copy()")
    assert copied.out.count("echo") == 2


@pytest.mark.parametrize("command", ["cost", "errors"])
def test_a_span_without_its_option_is_told_where_it_stands(terminal, command):
    cell = terminal.run(f"%ai {command} 7d")

    assert str(cell.error) == "a time span belongs after --since; write --since 7d"
