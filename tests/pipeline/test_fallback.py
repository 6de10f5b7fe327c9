"""Tests of fallback: the next model is used if one is down, and not if the request is at fault."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal

import pytest

import ainb
from ainb.engine import ENGINE
from ainb.errors import (
    CircuitOpenError,
    ConfigError,
    InvalidReplyError,
    PermanentProviderError,
    TransientProviderError,
)
from ainb.events import Notice
from ainb.pipeline.answer.schema import read_schema
from ainb.pipeline.circuit.state_machine import Circuit
from ainb.pipeline.retry.policy import Retry
from ainb.runtime import Runtime
from ainb.session import Session
from ainb.testing.faults import SCRIPTS, Step, script
from tests.fault_server import Fault, FaultServer

QUICK = Retry(attempts=2, base_seconds=0.001)


@pytest.fixture(autouse=True)
def no_scripts_are_left_over():
    yield
    SCRIPTS.clear()


def session(**fields):
    return Session("scripted:first", **{"retry": QUICK, **fields})


def last_row(used):
    return used.usage().iloc[-1]


def test_the_next_model_answers_when_attempts_are_used_up():
    script("first", [Step(status=503)])
    script("second", ["from the second"])
    with session(fallback="scripted:second") as used:
        reply = used.ask("hi")
        row = last_row(used)

    assert (reply.text, reply.model, reply.attempts) == ("from the second", "second", 3)
    assert (row.request_model, row.response_model, row.status, row.attempts) == ("second", "second", "ok", 3)
    assert json.loads(row.tags) == {"fallback_from": "scripted:first"}


def test_a_call_that_needs_no_fallback_is_as_without_one():
    script("first", ["fine"])
    with session(fallback=["scripted:second"]) as used:
        assert used.ask("hi").text == "fine"
        assert last_row(used).request_model == "first"
        assert not isinstance(last_row(used).tags, str)


def test_an_answer_is_kept_under_the_model_that_gave_it():
    script("first", [Step(status=503), Step(status=503), "the first is back"])
    script("second", ["once"])
    with session(fallback="scripted:second") as used:
        assert used.ask("hi").text == "once"
        assert used.ask("hi", model="scripted:second").cached
        assert used.ask("hi").text == "the first is back"


def test_a_kept_answer_of_the_fallback_is_given_again_while_the_first_is_down():
    script("first", [Step(status=503)])
    script("second", ["once", Step(status=500)])
    with session(fallback="scripted:second") as used:
        used.ask("hi")
        again = used.ask("hi")

    assert (again.text, again.cached) == ("once", True)


def test_an_open_circuit_goes_straight_to_the_next_model():
    script("first", [Step(status=503)])
    script("second", ["x"])
    circuit = Circuit(minimum_calls=2, failure_rate=0.5)
    with session(fallback="scripted:second", circuit=circuit, cache=None) as used:
        used.ask("one")
        reply = used.ask("two")

    assert (reply.text, reply.attempts) == ("x", 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_refused_request_uses_no_fallback(status):
    script("first", [Step(status=status)])
    script("second", ["never"])
    with session(fallback="scripted:second") as used, pytest.raises(PermanentProviderError) as caught:
        used.ask("hi")

    assert caught.value.status_code == status


def test_a_used_up_quota_goes_to_the_next_model():
    script("first", [Step(status=429, code="insufficient_quota")])
    script("second", ["x"])
    with session(fallback="scripted:second") as used:
        assert used.ask("hi").attempts == 2


def test_a_reply_that_does_not_match_the_schema_uses_no_fallback():
    script("first", ["no JSON"])
    script("second", ['{"a": 1}'])
    with session(fallback="scripted:second") as used:
        call = used.make_call("hi")
        call.request = dataclasses.replace(call.request, schema=read_schema({"type": "object"}))
        with pytest.raises(InvalidReplyError):
            ENGINE.run(used.handle(call))


def test_when_all_are_down_the_first_error_is_raised_from_the_last_and_all_is_said():
    script("first", [Step(status=503)])
    script("second", [Step(status=500)])
    script("third", [Step(status=529)])
    with session(fallback="scripted:second, scripted:third") as used:
        call = used.make_call("hi")
        with pytest.raises(TransientProviderError, match="answered 503") as caught:
            ENGINE.run(used.handle(call))

    assert caught.value.__cause__.status_code == 529
    assert call.notes == [
        "scripted:first is down (TransientProviderError); asking scripted:second",
        "scripted:second is down (TransientProviderError); asking scripted:third",
    ]


def test_the_fallbacks_own_refusal_is_raised_from_the_first_error():
    script("first", [Step(status=503)])
    script("second", [Step(status=400)])
    with session(fallback="scripted:second") as used, pytest.raises(PermanentProviderError) as caught:
        used.ask("hi")

    assert caught.value.__cause__.status_code == 503


def test_a_stream_with_shown_text_uses_no_fallback():
    script("first", [Step(text="half\nof it", cut=True)])
    script("second", ["never"])
    pieces = []
    with session(fallback="scripted:second") as used, pytest.raises(TransientProviderError):
        used.ask("hi", on_text=pieces.append)

    assert pieces == ["half\n"]


def test_a_fallback_without_a_key_is_said_at_the_start_and_passed_over_in_the_outage(monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    script("first", ["fine", Step(status=503)])
    script("third", ["from the third"])
    events = []
    runtime = Runtime(sink=events.append)
    with session(fallback="anthropic:claude-x,scripted:third", runtime=runtime) as used:
        notices = [event.text for event in events if isinstance(event, Notice)]
        used.ask("one")
        reply = used.ask("two")

    assert notices == [
        (
            "the fallback anthropic:claude-x cannot be used: ANTHROPIC_API_KEY is not set; set it with "
            "%ai login ANTHROPIC_API_KEY"
        )
    ]
    assert reply.text == "from the third"
    assert [event.text for event in events if isinstance(event, Notice)] == notices  # and no second notice


@pytest.mark.parametrize("wrong", ["opnai:x", "scripted:"])
def test_a_fallback_that_names_no_model_is_refused_before_anything_is_sent(wrong, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-first-0123456789")
    with FaultServer() as server, Session("openai:m", api_base=server.base_url, fallback=wrong) as used:
        with pytest.raises(ConfigError):
            used.ask("hi")
        assert server.hits == 0


def test_a_fallback_that_is_no_list_of_models_is_refused():
    with pytest.raises(ConfigError, match="fallback takes models, as a list or with commas"):
        session(fallback=3)


def test_another_service_gets_its_own_address_and_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-first-0123456789")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-second-0123456789")
    with FaultServer([503]) as down, FaultServer(["hello"]) as up:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", up.base_url)
        with Session(
            "openai:gpt-5-mini", api_base=down.base_url, retry=None, fallback="anthropic:claude-haiku-4-5"
        ) as used:
            reply = used.ask("hi there")
            row = last_row(used)

    assert (reply.provider, reply.text) == ("anthropic", "hello")
    assert up.requests[0].headers["x-api-key"] == "sk-ant-second-0123456789"
    # 2 input tokens at $1 per million, 1 output token at $5.
    assert (row.provider_name, row.cost_source) == ("anthropic", "table")
    assert float(row.cost_usd) == pytest.approx(7e-6)


def test_a_budget_books_the_fallbacks_price(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-first-0123456789")
    prices = {"scripted:second": {"input_usd_per_million": 5_000, "output_usd_per_million": 5_000}}
    script("second", ["three words here"])
    with FaultServer([Fault(status=503)]) as down:
        monkeypatch.setenv("OPENAI_BASE_URL", down.base_url)
        config = ainb.Config(prices=prices, budget=ainb.config.tree.Budget(usd=5000), retry=None)
        with Session("openai:gpt-5-mini", config=config, fallback="scripted:second") as used:
            reply = used.ask("two words", max_tokens=10)

            assert reply.cost_usd == Decimal("0.025")
            assert float(used.status().loc["budget session", "spent_usd"]) == 0.025


def test_the_configured_fallback_counts_and_a_call_may_name_another(monkeypatch):
    monkeypatch.setenv("AINB_FALLBACK", "scripted:second")
    script("first", [Step(status=503)])
    script("second", ["second"])
    script("third", ["third"])
    with session(cache=None) as used:
        assert used.ask("hi").text == "second"
        assert used.ask("hi", fallback="scripted:third").text == "third"
        with pytest.raises((TransientProviderError, CircuitOpenError)):
            used.ask("hi", fallback="")


def test_a_batch_falls_back_row_by_row():
    script("first", ["a", Step(status=503), Step(status=503), "c"])
    script("second", ["b"])
    with session(fallback="scripted:second", cache=None) as used:
        frame = used.map(["1", "2", "3"], "{value}")

    assert set(frame["status"]) == {"ok"}
