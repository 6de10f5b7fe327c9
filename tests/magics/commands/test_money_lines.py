"""Tests of %ai budget, %ai cache, and the budget of a cell."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ainb import errors
from ainb import session as sessions
from ainb.pipeline.budget.options import Budget
from tests.fault_server import FaultServer

PRICE = "%config Ainb.prices = {'openai:m': {'input_usd_per_million': 1000, 'output_usd_per_million': 1000}}"


@pytest.fixture
def served(terminal, monkeypatch):
    """A server of the model `openai:m`, which costs $0.001 per token."""
    monkeypatch.setenv("OPENAI_API_KEY", "not a real key")
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        terminal.run(PRICE)
        yield server


def test_a_cell_with_a_budget_of_its_own_is_refused_before_it_is_sent(terminal, served):
    refused = terminal.run("%%ai openai:m --max-tokens 100 --budget 0.01\nhello")
    allowed = terminal.run("%%ai openai:m --max-tokens 100 --budget 1\nhello")

    assert isinstance(refused.error, errors.BudgetExceededError)
    assert "the budget of $0.01 for this call" in str(refused.error)
    assert allowed.result.cost_usd > 0
    assert served.hits == 1
    assert "1 call never sent and left out; %ai errors shows them" in terminal.run("%ai cost").out


def test_the_budget_is_set_shown_raised_reset_and_dropped(terminal, served):
    for line in ("%ai budget", "%ai budget off"):
        assert terminal.run(line).out == "there is no budget; %ai budget 5/day sets one\n"

    assert terminal.run("%ai budget 1/day").out == "the budget is $1.00 a day now, $1.00 of it left\n"
    terminal.run("%%ai openai:m --max-tokens 100\nhello")
    shown = terminal.run("%ai budget").out
    (status,) = sessions.current().budget_status()
    assert "The budget of $1.00 a day refuses what does not fit." in shown
    assert status.spent_usd > 0
    assert f"${status.left_usd:.2f}" in shown
    assert "2/day" in str(terminal.run("%%ai openai:m --max-tokens 3000\nhello").error)
    assert "$2.00 a day now" in terminal.run("%ai budget 2").out
    assert sessions.current().budget_status()[0].spent_usd == status.spent_usd
    assert "starts again from zero" in terminal.run("%ai budget reset").out
    assert sessions.current().budget_status()[0].spent_usd == 0
    assert "no budget any more" in terminal.run("%ai budget off").out
    assert terminal.run("%ai budget reset").out == "there is no budget; %ai budget 5/day sets one\n"
    assert terminal.run("%%ai openai:m --max-tokens 3000\nhello").error is None


def test_a_budget_is_changed_in_place_and_kept_by_a_new_session(terminal, served):
    first = sessions.current()

    terminal.run("%ai budget 1/day")
    terminal.run("%config Ainb.budget = '3/day'")
    assert sessions.current() is first
    assert first.budget == Budget(usd=Decimal(3), per="day")

    terminal.run("%config Ainb.deadline = {'timeout_seconds': 7}")
    assert sessions.current() is not first
    assert sessions.current().budget == Budget(usd=Decimal(3), per="day")


def test_a_soft_budget_stays_soft(terminal):
    terminal.run("%config Ainb.budget = {'usd': 1, 'hard': False}")

    terminal.run("%ai budget 2/day")

    assert sessions.current().budget == Budget(usd=Decimal(2), per="day", hard=False)
    assert "only warns" in terminal.run("%ai budget").out


def test_a_session_that_was_handed_over_takes_the_budget_too(terminal):
    sessions.current()
    mine = sessions.Session("scripted:echo")
    sessions.use(mine)

    terminal.run("%ai budget 2")

    assert mine.budget == Budget(usd=Decimal(2))


def test_a_budget_of_users_lists_each(terminal, served):
    terminal.run("%ai budget 1/user")
    assert "Nothing was spent." in terminal.run("%ai budget").out

    terminal.run("%%ai openai:m --max-tokens 10 --user ann\nhello")

    assert "user ann" in terminal.run("%ai budget").out


def test_the_warning_is_one_line_once_and_again_after_a_reset(terminal, served):
    terminal.run("%config Ainb.budget = {'usd': 0.5, 'warn_at': 0.01}")

    said = [
        terminal.run(line).err
        for line in (
            "%%ai openai:m --max-tokens 9\none two three four five six seven",
            "%%ai openai:m --max-tokens 1 --no-cache\nx",
            "%ai budget reset",
            "%%ai openai:m --max-tokens 9 --no-cache\none two three four five six seven",
        )
    ]

    warned = "ainb: 1% of the budget of $0.50 a session is spent; %ai budget shows the rest\n"
    assert said.count(warned) == 2
    assert said[0] == said[3] == warned


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("budget 5/fortnight", "a budget is USD/session|day|user|batch, such as 5/day; it is '5/fortnight'"),
        ("budget -5", "a budget must be a number of USD from 0 to 1,000,000; it is '-5'"),
        ("budget 2000000", "a budget must be a number of USD from 0 to 1,000,000"),
        (
            "budget restet",
            ("%ai budget takes a sum such as 5/day, or reset or off; "
            "it is 'restet'; did you mean 'reset'?"),
        ),
        ("budget 5 a day", "3 words given"),
        ("cache clera", "%ai cache takes clear or prune; it is 'clera'; did you mean 'clear'?"),
        (
            "cache prune --older soon",
            "--older takes a number of seconds above 0, or a span such as 90m, 24h, 7d; it is 'soon'",
        ),
        ("cache clear --older 7d", "--older belongs to %ai cache prune"),
        ("cache prune 7d", "2 words given"),
    ],
)  # fmt: skip
def test_a_wrong_line_says_the_way_out(terminal, line, message):
    before = sessions.current().budget

    cell = terminal.run(f"%ai {line}")

    assert isinstance(cell.error, errors.ConfigError)
    assert message in str(cell.error)
    assert sessions.current().budget == before


def test_the_cache_is_shown_and_cleared(terminal):
    terminal.run("%%ai scripted:echo\nhi")
    terminal.run("%%ai scripted:echo\nhi")

    out = " ".join(terminal.run("%ai cache").out.split())

    assert "reused 1 in this session" in out
    assert "not found 1" in out
    assert "hit rate 50%" in out
    assert "expires never" in out
    assert terminal.run("%ai cache clear").out == (
        "1 stored answer forgotten; the next calls are sent again\n"
    )
    assert terminal.run("%%ai scripted:echo\nhi").result.cached is False


def test_the_cache_is_pruned_by_age(terminal):
    terminal.run("%%ai scripted:echo\nhi")

    assert "give an age" in terminal.run("%ai cache prune").out
    assert terminal.run("%ai cache prune --older 7d").out == "0 stored answers forgotten\n"
    terminal.run("%config Ainb.cache = {'ttl_seconds': 3600}")
    assert terminal.run("%ai cache prune").out == "0 stored answers forgotten\n"
    assert "after 60 min" in terminal.run("%ai cache").out


def test_a_cache_that_is_off_says_so(terminal):
    terminal.run("%config Ainb.cache = False")

    for line in ("cache", "cache clear", "cache prune"):
        assert terminal.run(f"%ai {line}").out.startswith("the cache is off; ")
