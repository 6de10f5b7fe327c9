"""Tests of unknown models: a parameter that was refused once is left out from then on, and no other one."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

import ainb
from ainb.config import Config
from ainb.engine import ENGINE
from ainb.errors import PermanentProviderError
from ainb.events import CallFinished
from ainb.runtime import Runtime
from ainb.session import Session
from ainb.testing import FakeClock
from tests.fault_server import Fault
from tests.providers.rule_servers import (
    RuleServer,
    anthropic_error,
    claude_one_of,
    claude_sampling_refused,
    claude_thinking,
    efforts,
    json_schema_unavailable,
    never,
    no_max_tokens,
    no_output_format,
    only,
    openai_error,
    strict_schema,
    unknown,
)

MODEL = "openai:gpt-7-nova"
CLAUDE = "anthropic:claude-opus-6"
FIELDS = "label: a|b, score: int 0..10, why: str?"


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for name in ("OPENAI", "ANTHROPIC", "AZURE_OPENAI", "TOGETHER"):
        monkeypatch.setenv(f"{name}_API_KEY", "sk-for-tests-0123456789")


@pytest.fixture
def session(tmp_path):
    with make_session(tmp_path) as made:
        yield made


def make_session(home, **options):
    prices = {"*": {"input_usd_per_million": 1, "output_usd_per_million": 2}}
    options = {"retry": None, "cache": None} | options
    runtime = options.pop("runtime", None)
    return Session(config=Config(home=home, prices=prices), runtime=runtime, **options)


def ask(session, server, model=MODEL, **options):
    call = session.core.make_call("what", model=model, api_base=server.base_url, **options)
    return ENGINE.run(session.core.handle(call)), call


NEW = [no_max_tokens, never(), efforts("low", "high"), strict_schema]


def test_a_new_name_costs_one_extra_request_for_each_parameter_once(session):
    with RuleServer(NEW, thinks=True) as server:
        reply, call = ask(session, server, temperature=0, max_tokens=100, effort="max")
        assert len(server.refusals) == 3
        assert reply.attempts == 4
        ask(session, server, temperature=0.5, max_tokens=100, effort="medium")

    assert len(server.refusals) == 3
    first, second = server.answered
    assert first.keys() == {"model", "messages", "max_completion_tokens", "reasoning_effort"}
    assert (first["reasoning_effort"], second["reasoning_effort"]) == ("high", "low")
    assert len(call.notes) == 3
    assert all("gpt-7-nova" in note for note in call.notes)


def test_it_is_remembered_by_the_next_session_of_the_home(tmp_path):
    with RuleServer(NEW) as server:
        with make_session(tmp_path / "one") as session:
            ask(session, server, temperature=0)
        with make_session(tmp_path / "one") as session:
            ask(session, server, temperature=0)
        assert len(server.refusals) == 1
        with make_session(tmp_path / "two") as session:
            ask(session, server, temperature=0)

    assert len(server.refusals) == 2
    record = json.loads((tmp_path / "one" / "learnt.json").read_text())["records"][0]
    assert (record["model"], record["field"]) == ("gpt-7-nova", "temperature")
    assert "sk-for-tests" not in (tmp_path / "one" / "learnt.json").read_text()


def test_it_is_forgotten_after_thirty_days(tmp_path):
    clock = FakeClock()
    with RuleServer(NEW) as server, make_session(tmp_path, runtime=Runtime(clock=clock)) as session:
        ask(session, server, temperature=0)
        clock.advance(29 * 86_400)
        ask(session, server, temperature=0)
        assert len(server.refusals) == 1
        clock.advance(2 * 86_400)
        ask(session, server, temperature=0)

    assert len(server.refusals) == 2


def test_a_parameter_that_all_others_take_is_learnt_too(session):
    with RuleServer([unknown("top_p"), unknown("stop")]) as server:
        ask(session, server, top_p=0.5, stop="x", seed=1)
        ask(session, server, top_p=0.5, stop="x", seed=1)

    assert len(server.refusals) == 2
    assert server.answered[-1]["seed"] == 1


def test_two_at_once_cost_one_extra_request(session):
    with RuleServer([only("temperature")]) as server:
        ask(session, server, "together:some-model", seed=1, top_k=2, temperature=0)

    assert len(server.refusals) == 1
    assert server.answered[0].keys() == {"model", "messages", "temperature"}


def test_a_refusal_that_appears_after_another_was_remembered_is_learnt_then(session):
    with RuleServer([unknown("top_p")]) as server:
        ask(session, server, top_p=0.5)
        server.rules.append(unknown("seed"))
        ask(session, server, top_p=0.5, seed=1)
        ask(session, server, top_p=0.5, seed=1)

    assert len(server.refusals) == 2


def test_a_name_that_is_taken_back_is_learnt_again(session):
    with RuleServer([no_max_tokens]) as server:
        ask(session, server, max_tokens=9)
        text = "Unknown parameter: 'max_completion_tokens'."
        server.rules[:] = [
            lambda body: (
                openai_error(text, "max_completion_tokens", "unknown_parameter")
                if "max_completion_tokens" in body
                else None
            )
        ]
        ask(session, server, max_tokens=9)
        ask(session, server, max_tokens=9)

    assert len(server.refusals) == 2
    assert [body["max_tokens"] for body in server.answered[1:]] == [9, 9]


def test_a_parameter_that_was_refused_and_is_now_required_is_sent_again(session):
    with RuleServer([unknown("seed")]) as server:
        ask(session, server, seed=1)
        server.rules[:] = [
            lambda body: None if "seed" in body else openai_error("Missing required parameter: 'seed'.", "seed", "missing_required_parameter")
        ]  # fmt: skip
        ask(session, server, seed=1)
        ask(session, server, seed=1)

    assert len(server.refusals) == 2
    assert server.answered[-1]["seed"] == 1


def test_a_fourth_refused_parameter_is_the_providers_error(session):
    with RuleServer([unknown("a"), unknown("b"), unknown("c"), unknown("d")]) as server:
        with pytest.raises(PermanentProviderError, match="supplied: d"):
            ask(session, server, extra_body=dict.fromkeys("abcd", 1))
        ask(session, server, extra_body=dict.fromkeys("abcd", 1))

    assert len(server.refusals) == 4


@pytest.mark.parametrize(
    "refusal",
    [
        openai_error("Unsupported value: 'messages[0].role' does not support 'user' with this model.", "messages[0].role", "unsupported_value"),
        openai_error("The model `gpt-7-nova` does not exist", "model", "model_not_found"),
        openai_error("Invalid 'temperature': decimal above maximum value.", "temperature", "decimal_above_max_value"),
        openai_error("tools is not supported with this model", "tools", "unsupported_parameter"),
        openai_error("Unknown parameter: 'tools'.", None, None),
        openai_error("Unsupported parameter: 'temperature' is not supported.", "temperature", "unsupported_parameter", status=403),
        Fault(status=500, body={"error": {"message": "Unsupported parameter: 'temperature'", "param": "temperature"}}),
        Fault(status=400, action="html"),
    ],
)  # fmt: skip
def test_what_makes_the_request_is_never_left_out(session, refusal):
    with RuleServer([lambda _body: refusal]) as server, pytest.raises(ainb.ProviderError):
        ask(session, server, temperature=0, tools=[{"type": "function", "function": {"name": "f"}}])

    assert server.hits == 1


def test_a_server_that_refuses_the_same_parameter_forever_is_asked_twice(session):
    refusal = openai_error("Unsupported parameter: 'temperature'", "temperature", "unsupported_parameter")
    with RuleServer([lambda _body: refusal]) as server, pytest.raises(PermanentProviderError):
        ask(session, server, temperature=0)

    assert server.hits == 2


def test_the_extra_request_costs_nothing_in_the_budget_and_takes_a_permit(tmp_path):
    options = {
        "budget": ainb.Budget(usd=Decimal("0.02")),
        "rate_limit": ainb.RateLimit(requests_per_minute=600),
    }
    with RuleServer(NEW) as server, make_session(tmp_path, **options) as session:
        reply, _ = ask(session, server, temperature=0, max_tokens=50)
        spent = session.budget_status()[0].spent_usd

    assert server.hits == 3
    assert reply.attempts == 3
    assert spent == reply.cost_usd


def test_rows_in_flight_learn_from_the_first_refusal_and_later_ones_are_right_at_once(tmp_path):
    with RuleServer(NEW, delay_seconds=0.05) as server, make_session(tmp_path) as session:
        frame = session.map(
            list(range(60)),
            "say {value}",
            model=MODEL,
            api_base=server.base_url,
            temperature=0,
            concurrency=8,
        )

    assert set(frame["status"]) == {"ok"}
    assert 1 <= len(server.refusals) <= 16
    assert server.hits == 60 + len(server.refusals)


def test_streaming_that_a_model_refuses_is_left_out(session):
    pieces = []
    text = "Your organization must be verified to stream this model."
    rule = lambda body: openai_error(text, "stream", "unsupported_value") if body.get("stream") else None  # noqa: E731
    with RuleServer([rule]) as server:
        reply, _ = ask(session, server, on_text=pieces.append)
        ask(session, server, on_text=pieces.append)

    assert len(server.refusals) == 1
    assert reply.text == "an answer"
    assert "stream_options" not in server.answered[-1]


def test_json_schema_that_a_service_lacks_becomes_json_mode_and_then_a_sentence(session):
    def lacks_both(body):
        return openai_error("response_format is not supported") if "response_format" in body else None

    for rules in ([json_schema_unavailable("This response_format type is unavailable now")], [lacks_both]):
        with RuleServer(rules) as server:
            if rules == [lacks_both]:
                server.plan = lambda seen, play=server.plan: (
                    Fault(text='{"label": "a", "score": 3, "why": null}')
                    if "response_format" not in seen.body
                    else play(seen)
                )
            reply, _ = ask(session, server, schema=FIELDS)
            before = len(server.refusals)
            ask(session, server, schema=FIELDS)

        assert len(server.refusals) == before
        assert reply.parsed["label"] == "a"
        assert "why" not in reply.parsed


def test_a_schema_that_strict_mode_refuses_is_sent_loosely_and_only_that_one(session):
    text = "Invalid schema for response_format 'reply': In context=('properties', 'score'), 'maximum' is not permitted."

    def rule(body):
        form = body["response_format"]["json_schema"]
        strict = form["strict"] and "maximum" in json.dumps(form)
        return openai_error(text, "response_format", "invalid_json_schema") if strict else None

    with RuleServer([rule]) as server:
        ask(session, server, schema=FIELDS)
        ask(session, server, schema=FIELDS)
        ask(session, server, schema="other: str")

    assert len(server.refusals) == 1
    forms = [body["response_format"]["json_schema"] for body in server.answered]
    assert [form["strict"] for form in forms] == [False, False, True]


CLAUDE_NEW = [claude_sampling_refused, claude_thinking("adaptive"), claude_one_of]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_new_claude_is_learnt_by_its_words(session, streamed):
    options = {"on_text": [].append} if streamed else {}
    with RuleServer(CLAUDE_NEW, thinks=True) as server:
        for _ in range(2):
            reply, _ = ask(session, server, CLAUDE, temperature=0, top_k=3, schema=FIELDS, **options)

    assert len(server.refusals) == 2
    assert reply.parsed["label"] == "a"
    assert server.answered[0]["max_tokens"] > 4_096


def test_a_claude_or_gateway_without_structured_output_gets_a_tool(session):
    with RuleServer([no_output_format]) as server:
        for _ in range(2):
            reply, _ = ask(session, server, CLAUDE, schema=FIELDS)

    assert len(server.refusals) == 1
    assert server.answered[-1]["tool_choice"] == {"type": "auto"}
    assert reply.parsed["label"] == "a"


def test_a_schema_too_complex_for_claude_becomes_a_tool_and_others_stay(session):
    def rule(body):
        return (
            anthropic_error("Schema is too complex for compilation.")
            if "score" in json.dumps(body.get("output_config"))
            else None
        )

    with RuleServer([rule]) as server:
        ask(session, server, CLAUDE, schema=FIELDS)
        ask(session, server, CLAUDE, schema=FIELDS)
        ask(session, server, CLAUDE, schema="other: str")

    assert len(server.refusals) == 1
    assert "tools" in server.answered[1]
    assert "tools" not in server.answered[2]


def test_max_tokens_that_claude_needs_are_never_left_out(session):
    rule = lambda _body: anthropic_error("max_tokens: 200000 is not supported for this model")  # noqa: E731
    with RuleServer([rule]) as server, pytest.raises(PermanentProviderError):
        ask(session, server, CLAUDE, max_tokens=200_000)

    assert server.hits == 1


def test_azure_deployments_of_any_name_learn(session, monkeypatch):
    with RuleServer(NEW) as server:
        ask(session, server, "azure:our-team-deployment", temperature=0, max_tokens=90)
        ask(session, server, "azure:our-team-deployment", temperature=0, max_tokens=90)

    assert len(server.refusals) == 2


def test_what_was_learnt_changes_no_cache_key(tmp_path):
    finished = []
    runtime = Runtime(sink=lambda event: finished.append(event) if isinstance(event, CallFinished) else None)
    with RuleServer(NEW) as server, make_session(tmp_path, cache=ainb.Cache(), runtime=runtime) as session:
        first, _ = ask(session, server, temperature=0, max_tokens=90)
        second, _ = ask(session, server, temperature=0, max_tokens=90)

    assert (first.cached, second.cached) == (False, True)
    assert server.hits == 3
