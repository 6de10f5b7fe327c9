"""Tests of the counts in panels and ``%ai cost``: paid calls, and separately rejected and free ones."""

from __future__ import annotations

import pytest

import ainb
from ainb.magics.display.frames import register
from ainb.panels import panel
from ainb.testing import script
from ainb.usage.frames.billed import billed_costs

PRICES = {"paid": {"input_usd_per_million": 1000, "output_usd_per_million": 1000}}
PROBLEMS = [
    ({"model": "scripted:no-such-script"}, ainb.ConfigError),
    ({"prompt": " "}, ainb.InvalidPromptError),
    ({"model": "no-such-provider:x"}, ainb.ConfigError),
    ({"model": "scripted:paid", "max_tokens": 10**9, "budget_usd": 0.01}, ainb.BudgetExceededError),
]


@pytest.fixture
def session(tmp_path):
    script("paid", ["an answer"])
    script("down", [503])
    config = ainb.Config(prices=PRICES, home=tmp_path / "home")
    with ainb.Session("scripted:paid", config=config, retry=None, circuit=None) as made:
        yield made


def fails(session, kind=ainb.AinbError, *, prompt="hello", **options):
    with pytest.raises(kind):
        session.ask(prompt, **options)


@pytest.mark.parametrize(("options", "kind"), PROBLEMS)
def test_a_call_that_was_never_sent_lowers_no_share_and_adds_no_cost(session, options, kind):
    session.ask("one")
    before = str(panel("cost", session=session))
    fails(session, kind, **options)

    text = str(panel("cost", session=session))

    assert "1 call today, 100 % ok" in text
    assert (
        text.split("Cost by model")[1].split("\n\n", maxsplit=1)[0].splitlines()[:4]
        == (before.split("Cost by model")[1].split("\n\n", maxsplit=1)[0].splitlines()[:4])
    )
    assert "no-such" not in text


def test_calls_never_sent_are_counted_apart(session):
    session.ask("one")
    fails(session, model="scripted:no-such-script")
    fails(session, model="scripted:down")

    errors = panel("errors", session=session)
    text = str(errors)

    assert "1 call never sent and left out; %ai panel errors shows them." in str(
        panel("cost", session=session)
    )
    assert "50 % ok, besides 1 not sent" in str(panel("cost", session=session)).replace("50.0", "50")
    assert "503 server fault" in text.split("Not sent, last 24 hours", maxsplit=1)[0]
    assert "option" in text.split("Not sent, last 24 hours")[1]
    assert errors.summary_line() == "1 failed call, 1 not sent, last 24 hours"
    assert list(errors.frame["sent"]) == [True, False] or list(errors.frame["sent"]) == [False, True]
    assert session.costs()["calls"].sum() == 3
    assert len(session.usage()) == 3


def test_free_models_are_left_out_until_they_are_asked_for(session):
    session.ask("one")
    session.ask("free", model="scripted:echo")
    fails(session, model="scripted:down")

    cost = panel("cost", session=session)
    text = str(cost)
    everything = panel("cost", session=session)
    everything.by = "all models"

    assert "scripted:echo  " not in text
    assert "2 free calls to scripted:down, scripted:echo left out" in text
    assert "scripted:echo  " in str(everything)
    assert "left out" not in str(everything)
    assert set(cost.frame.index) == {"scripted:paid", "scripted:echo", "scripted:down"}


def test_a_model_that_only_the_cache_answered_is_no_free_model(session):
    session.ask("one")
    session.ask("one")

    billed = billed_costs(session.log, ["request_model", "cache_hit"])

    assert billed.free_calls == 0
    assert int(billed.frame["calls"].sum()) == 2


def test_groups_add_up_with_what_is_left_out(session):
    for number in range(3):
        session.ask(f"question {number}")
    session.ask("free", model="scripted:echo")
    fails(session, model="scripted:no-such-script")
    everything = session.costs()

    for by in (["request_model"], ["day"], ["provider_name", "status"], ["notebook"], ["user"], ["tags"]):
        billed = billed_costs(session.log, by)
        assert billed.frame["calls"].sum() + billed.free_calls + billed.not_sent == everything["calls"].sum()
        assert billed.frame["cost_usd"].sum() == pytest.approx(everything["cost_usd"].sum())
        assert billed_costs(session.log, by, only="all").frame["calls"].sum() == everything["calls"].sum()


def test_models_without_a_price_do_not_make_the_headline_unknown(session):
    session.ask("one")
    session.record(prompt="x", reply="y", model="a-model-without-a-price")

    headline = str(panel("cost", session=session)).splitlines()[0]

    assert "unknown" not in headline
    assert headline.startswith("≥ $0.0")
    assert "spent today, besides 1 call without a price" in headline


def test_where_no_call_has_a_price_the_headline_says_so(tmp_path):
    with ainb.Session("scripted:echo", home=tmp_path / "home") as session:
        session.record(prompt="x", reply="y", model="a-model-without-a-price")

        headline = str(panel("cost", session=session)).splitlines()[0]

    assert headline.startswith("$0.00 spent today, besides 1 call without a price")
    assert "unknown" not in headline


def test_registering_the_display_of_frames_loads_no_pandas():
    class Formatter:
        mimebundle_formatter = property(lambda self: self)
        display_formatter = property(lambda self: self)

        def for_type(self, name, function):
            assert isinstance(name, str)
            assert callable(function)

    register(Formatter())
