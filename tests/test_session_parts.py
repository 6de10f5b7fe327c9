"""Tests of Session between calls: schemas, budget, cache, previews."""

from __future__ import annotations

import dataclasses
import threading
from decimal import Decimal

import pydantic
import pytest

import ainb
from ainb.errors import BudgetExceededError, ConfigError, InvalidReplyError
from ainb.pipeline.budget.options import Budget
from ainb.pipeline.cache.options import Cache
from ainb.session import Session
from ainb.testing import FakeClock, Step, script
from tests.fault_server import FaultServer

GOOD = '{"mood": "good"}'
PRICES = {"openai:any": {"input_usd_per_million": 1_000, "output_usd_per_million": 1_000}}


class Label(pydantic.BaseModel):
    mood: str


@dataclasses.dataclass
class Mood:
    mood: str


@pytest.fixture
def priced(monkeypatch, tmp_path):
    """A session whose model costs $0.001 per token."""
    monkeypatch.setenv("OPENAI_API_KEY", "not a real key")
    with (
        FaultServer() as server,
        Session(
            "openai:any", config=ainb.Config(prices=PRICES, home=tmp_path), api_base=server.base_url
        ) as session,
    ):
        yield session, server


@pytest.mark.parametrize("kind", [Label, Mood])
def test_a_stored_reply_holds_an_object_of_the_class(kind):
    played = script("label", [GOOD])
    session = Session("scripted:label")

    replies = [session.ask("how?", schema=kind) for _ in range(3)]

    assert [reply.parsed for reply in replies] == [kind(mood="good")] * 3
    assert [reply.cached for reply in replies] == [False, True, True]
    assert played.played == 1


def test_calls_that_wait_for_the_same_answer_each_hold_an_object():
    script("label", [Step(text=GOOD, delay_seconds=0.2)])
    session = Session("scripted:label")

    replies = [job.result() for job in [session.submit("how?", schema=Label) for _ in range(3)]]

    assert [reply.parsed for reply in replies] == [Label(mood="good")] * 3
    assert sum(reply.coalesced for reply in replies) == 2


def test_what_is_stored_for_a_dict_is_an_object_for_a_class_of_the_same_schema():
    script("label", [GOOD])
    session = Session("scripted:label")
    json_schema = {**Label.model_json_schema(), "additionalProperties": False}

    as_dict, as_object = session.ask("how?", schema=json_schema), session.ask("how?", schema=Label)

    assert (as_dict.parsed, as_object.parsed, as_object.cached) == (
        {"mood": "good"},
        Label(mood="good"),
        True,
    )


def test_a_stored_reply_that_a_changed_class_refuses_says_how_to_ask_anew():
    script("label", [GOOD])
    session = Session("scripted:label")
    session.ask("how?", schema=Label)
    strict = pydantic.create_model(
        "Label",
        mood=(str, ...),
        __validators__={"no": pydantic.field_validator("mood")(lambda _value: int("x"))},
    )

    with pytest.raises(
        InvalidReplyError, match=r"the stored reply does not match the schema Label: .*--refresh"
    ):
        session.ask("how?", schema=strict)


def test_what_is_no_schema_is_refused_before_anything_is_sent():
    played = script("label", [GOOD])

    with pytest.raises(ConfigError, match="a schema is a pydantic model"):
        Session("scripted:label").ask("how?", schema=3)
    assert played.played == 0


def test_a_budget_is_set_looked_at_reset_and_dropped(priced):
    session, _ = priced
    assert (session.budget, session.budget_status()) == (None, [])

    session.set_budget(Budget(usd="1"))
    session.ask("hello", max_tokens=10)
    (before,) = session.budget_status()
    assert session.config.budget == session.budget == Budget(usd="1")
    assert before.spent_usd + before.left_usd == 1
    assert before.spent_usd > 0
    session.set_budget(Budget(usd="0.000001"))
    with pytest.raises(BudgetExceededError):
        session.ask("again", max_tokens=10)
    session.reset_budget()
    assert session.budget_status()[0].spent_usd == 0
    session.set_budget(None)
    session.ask("again", max_tokens=10)


def test_a_raised_budget_lets_calls_go_on_from_another_thread(priced):
    session, _ = priced
    session.set_budget(Budget(usd="0"))
    raised = threading.Thread(target=session.set_budget, args=[Budget(usd="5")])
    raised.start()
    raised.join(10)

    assert session.ask("hello", max_tokens=10).text == "hello"


def test_the_cache_is_looked_at_pruned_and_cleared():
    clock = FakeClock()
    runtime = ainb.assembly.Runtime(clock=clock)
    session = Session("scripted:echo", cache=Cache(where="memory"), runtime=runtime)
    session.ask("old")
    clock.advance(1_000)
    session.ask("new")
    session.ask("new")

    assert (session.cache_status()["hits"], session.cache_status()["misses"]) == (1, 2)
    assert session.prune_cache() == 0
    assert session.prune_cache(500) == 1
    assert session.clear_cache() == 1
    assert session.clear_cache() == 0


def test_a_cache_that_is_off_holds_nothing():
    session = Session("scripted:echo", cache=None)

    assert (session.cache_status(), session.clear_cache(), session.prune_cache(1)) == ({}, 0, 0)


def test_a_preview_sends_nothing_and_writes_no_row(priced):
    session, server = priced

    preview = session.preview(session.make_call("one two three", max_tokens=100))

    assert (server.hits, len(session.usage())) == (0, 0)
    estimate = preview.estimate
    assert (estimate.output_tokens_likely, estimate.output_tokens_high) == (100, 100)
    assert estimate.cost_high == Decimal(estimate.input_tokens + 100) / 1_000
    assert preview.stored is False
    session.ask("one two three", max_tokens=100)
    assert session.preview(session.make_call("one two three", max_tokens=100)).stored
    assert not session.preview(session.make_call("one two three", max_tokens=100, cache="refresh")).stored


def test_a_preview_learns_how_long_replies_are(priced):
    session, _ = priced
    for number in range(5):
        session.ask(f"{number} and a few words more", max_tokens=4_000)

    usual = session.usage()["output_tokens"].median()

    preview = session.preview(session.make_call("x", max_tokens=4_000))
    assert preview.estimate.output_tokens_likely == round(usual)
    few = session.preview(session.make_call("x", model="openai:other"))
    assert few.estimate.output_tokens_likely == 256


def test_a_preview_counts_every_answer_and_the_schema(priced):
    session, _ = priced

    one = session.preview(session.make_call("x", max_tokens=100)).estimate
    several = session.preview(session.make_call("x", max_tokens=100, n=3, schema=Label)).estimate

    assert several.output_tokens_high == 300
    assert several.input_tokens > one.input_tokens


def test_a_preview_says_what_validation_would_do():
    session = Session("scripted:echo", validation=ainb.Validation(preset="strict"))

    blocked = session.preview(
        session.make_call("<script>alert(1)</script>", values=("<script>alert(1)</script>",))
    )
    fine = session.preview(session.make_call("hello"))

    assert "script" in blocked.refusal
    assert (fine.refusal, fine.notes) == (None, ())


def test_a_preview_of_rows_is_of_the_first_that_can_be_filled():
    session = Session("scripted:echo")

    preview, line = session.preview_map([None, "b", "c"], "say {value}", limit=3)

    assert preview.request.messages[-1].text == "say b"
    assert "3 rows" in line
    assert len(session.usage()) == 0


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "it takes a table or a list"),
        (iter("ab"), "it takes a table or a list"),
        ([None], "no row can be filled"),
    ],
)
def test_rows_that_cannot_be_previewed_are_refused(rows, said):
    with pytest.raises(ConfigError, match=said):
        Session("scripted:echo").preview_map(rows, "say {value}")


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"retry": 5}, "Session: retry takes a table of options or false; it is 5"),
        ({"rate_limit": 100}, "Session: rate_limit takes a table of options or false; it is 100"),
        ({"cache": 3}, "Session: cache takes a table of options or false; it is 3"),
        ({"budget": "5/fortnight"}, "a budget is USD/session"),
        ({"rate_limit": {"rpm": 5}}, "Session: rate_limit has no option 'rpm'"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_refused_in_one_line(named, said):
    with pytest.raises(ConfigError) as refused:
        Session("scripted:echo", **named)
    assert said in str(refused.value)


@pytest.mark.parametrize("budget", ["5/day", {"usd": 5, "per": "day"}, Budget(usd=5, per="day")])
def test_options_of_a_stage_may_be_given_short_or_as_a_dict(budget):
    with Session("scripted:echo", budget=budget, cache=False) as session:
        assert session.config.budget == Budget(usd=5, per="day")
        assert session.config.cache is None


@pytest.mark.parametrize("prompt", [None, 5])
def test_a_prompt_of_the_wrong_kind_is_refused_in_one_line(prompt):
    with (
        Session("scripted:echo") as session,
        pytest.raises(ConfigError, match="a prompt is a text or a list of messages; it is"),
    ):
        session.ask(prompt)
