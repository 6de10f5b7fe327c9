"""Tests of custom headers and bodies, pasted base URLs, quoted keys, reasoning, and replies without text."""

from __future__ import annotations

import json

import pytest

import ainb
from ainb.config import Config
from ainb.errors import ConfigError, InvalidReplyError
from ainb.session import Session
from tests.fault_server import Fault, FaultServer
from tests.providers.rule_servers import FAMILIES, RuleServer, openai_error

LUNA, OPUS = "openai:gpt-6-luna", "anthropic:claude-opus-5-5"


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for name in ("OPENAI", "ANTHROPIC", "AZURE_OPENAI", "OPENROUTER"):
        monkeypatch.setenv(f"{name}_API_KEY", "sk-for-tests-0123456789")


@pytest.fixture
def make(tmp_path):
    made = []

    def make_session(**options):
        options = {"retry": None, "cache": None} | options
        made.append(Session(config=Config(home=tmp_path), **options))
        return made[-1]

    yield make_session
    for session in made:
        session.close()


# --- headers and bodies


def test_own_headers_go_to_their_service_alone_and_are_read_when_a_call_is_made(make, monkeypatch):
    session = make(
        headers={"openai": {"X-Team": "$TEAM", "X-Mix": "a-${TEAM}-b"}, "anthropic": {"anthropic-beta": "x"}}
    )
    with FaultServer() as server:
        for team in ("search", "ads"):
            monkeypatch.setenv("TEAM", team)
            session.ask("hi", model="openai:m", api_base=server.base_url)
        session.ask("hi", model=OPUS, api_base=server.base_url)

    first, second, third = (seen.headers for seen in server.requests)
    assert (first["x-team"], second["x-team"], second["x-mix"]) == ("search", "ads", "a-ads-b")
    assert "x-team" not in third
    assert third["anthropic-beta"] == "x"


def test_a_variable_that_is_not_set_is_named(make):
    session = make(headers={"openai": {"X-Team": "$NO_SUCH_TEAM"}})

    with pytest.raises(ConfigError, match="X-Team takes its value from NO_SUCH_TEAM"):
        session.ask("hi", model="openai:m", api_base="http://127.0.0.1:1/v1")


@pytest.mark.parametrize(
    "headers",
    [
        {"opnai": {"X": "secret-value-123"}},
        {"openai": {"bad name": "secret-value-123"}},
        {"openai": {"Host": "secret-value-123"}},
        {"openai": "secret-value-123"},
        {"openai": {"X": 3}},
        ["secret-value-123"],
    ],
)
def test_headers_that_make_no_sense_are_refused_without_their_values(make, headers):
    with pytest.raises(ConfigError) as caught:
        make(headers=headers)

    assert "secret-value-123" not in str(caught.value)


def test_values_of_headers_are_not_shown(make):
    session = make(headers={"openai": {"X-Team": "secret-value-123"}})

    assert "secret-value-123" not in repr(session.core.config)
    with (
        FaultServer([Fault(status=400, message="no secret-value-123 here")]) as server,
        pytest.raises(ainb.ProviderError) as caught,
    ):
        session.ask("hi", model="openai:m", api_base=server.base_url)
    assert "secret-value-123" not in str(caught.value)


@pytest.mark.parametrize("model", ["openai:m", OPUS])
def test_extra_body_and_extra_headers_mean_what_the_openai_sdk_means(make, model):
    with FaultServer() as server:
        make().ask(
            "hi",
            model=model,
            api_base=server.base_url,
            max_tokens=10,
            extra_body={"max_tokens": 20, "custom": {"a": 1}},
            extra_headers={"X-One": "1", "User-Agent": "mine"},
        )

    seen = server.requests[0]
    assert (seen.body["max_tokens"], seen.body["custom"]) == (20, {"a": 1})
    assert "extra_body" not in seen.body
    assert (seen.headers["x-one"], seen.headers["user-agent"]) == ("1", "mine")


@pytest.mark.parametrize(
    "options",
    [
        {"extra_body": {"messages": []}},
        {"extra_body": {"model": "x"}},
        {"extra_body": [1]},
        {"extra_headers": {"X": 1}},
        {"extra_headers": {"Content-Length": "1"}},
        {"extra_headers": "x"},
        {"extra_headers": {"X": "a\nb"}},
        {"effort": "lots"},
    ],
)
def test_extras_that_make_no_sense_are_refused_before_anything_is_sent(make, options):
    with FaultServer() as server, pytest.raises(ConfigError):
        make().ask("hi", model="openai:m", api_base=server.base_url, **options)

    assert server.hits == 0


def test_a_field_of_extra_body_that_is_refused_is_learnt_like_any_other(make):
    rule = [
        lambda body: (
            openai_error("Unknown parameter: 'custom'.", "custom", "unknown_parameter")
            if "custom" in body
            else None
        )
    ]
    session = make()
    with RuleServer(rule) as server:
        for _ in range(2):
            session.ask("hi", model=LUNA, api_base=server.base_url, extra_body={"custom": 1})

    assert len(server.refusals) == 1


# --- base URLs and keys


@pytest.mark.parametrize(
    ("model", "given", "path"),
    [
        ("openai:m", "/v1", "/v1/chat/completions"),
        ("openai:m", "/v1/", "/v1/chat/completions"),
        ("openai:m", "/v1/chat/completions", "/v1/chat/completions"),
        ("openai:m", "/v1/chat/completions/", "/v1/chat/completions"),
        (
            "openai:m",
            "/v1?api-version=2025-04-01-preview",
            "/v1/chat/completions?api-version=2025-04-01-preview",
        ),
        (
            "azure:dep",
            "/openai/deployments/dep/chat/completions?api-version=2024-10-21",
            "/openai/deployments/dep/chat/completions?api-version=2024-10-21",
        ),
        (OPUS, "", "/v1/messages"),
        (OPUS, "/v1/messages", "/v1/messages"),
        (OPUS, "/v1?api-version=1", "/v1/messages?api-version=1"),
    ],
)
def test_a_base_url_may_be_the_full_path_and_hold_a_version(make, model, given, path):
    with FaultServer() as server:
        make().ask("hi", model=model, api_base=server.base_url.removesuffix("/v1") + given)

    assert server.requests[0].path == path


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", "/openai/v1/chat/completions"),
        ("/openai", "/openai/v1/chat/completions"),
        ("/openai/v1/", "/openai/v1/chat/completions"),
        ("/openai/v1/chat/completions", "/openai/v1/chat/completions"),
        ("/openai/deployments/d?api-version=1", "/openai/deployments/d/chat/completions?api-version=1"),
    ],
)
def test_azure_endpoints_as_the_portal_shows_them(make, monkeypatch, given, path):
    with FaultServer() as server:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.base_url.removesuffix("/v1") + given)
        make().ask("hi", model="azure:d")

    assert server.requests[0].path == path


@pytest.mark.parametrize("query", ["key=abc", "api-key=1", "api-version=1&token=x", "version=" + "a" * 60])
def test_a_query_that_may_hold_a_key_is_refused(make, query):
    with pytest.raises(ConfigError, match="query other than api-version") as caught:
        make().ask("hi", model="openai:m", api_base=f"http://127.0.0.1:1/v1?{query}")

    assert query not in str(caught.value)


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_key_in_quotes_is_read_without_them_and_redacted(make, monkeypatch, quote):
    key = "sk-Qu0tedKey9f8e7d6c5b4a39"
    monkeypatch.setenv("OPENAI_API_KEY", f" {quote}{key}{quote} ")
    with FaultServer([Fault(text=f"your key is {key}")]) as server:
        reply = make().ask("hi", model="openai:m", api_base=server.base_url)

    assert server.requests[0].headers["authorization"] == f"Bearer {key}"
    assert key not in reply.text


# --- reasoning and limits


@pytest.mark.parametrize("streamed", [False, True])
def test_reasoning_is_kept_apart_from_the_text_and_counted(make, streamed):
    options = {"on_text": [].append} if streamed else {}
    with RuleServer("openai:gpt-6-luna") as server:
        session = make()
        reply = session.ask("hi", model=LUNA, api_base=server.base_url, **options)
        row = session.usage(session_id=session.core.log.session_id).iloc[-1]

    assert (reply.text, reply.reasoning) == ("an answer", "I weighed it.")
    assert reply.usage.reasoning_output_tokens == row["reasoning_output_tokens"] == 40


@pytest.mark.parametrize(
    ("message", "reasoning"),
    [
        ({"content": "x", "reasoning_content": "a"}, "a"),
        ({"content": "x", "reasoning": "b"}, "b"),
        ({"content": "x", "reasoning": None, "reasoning_content": ""}, None),
        ({"content": "x", "reasoning": 3}, None),
        (
            {
                "content": "x",
                "reasoning_details": [{"type": "reasoning.summary", "summary": "s"}, 7, {"text": "t"}],
            },
            "st",
        ),
        ({"content": "x", "reasoning_details": "odd"}, None),
    ],
)
def test_reasoning_under_the_names_of_services(make, message, reasoning):
    body = {"model": "m", "choices": [{"message": message, "finish_reason": "stop"}]}
    with FaultServer([Fault(body=body)]) as server:
        assert make().ask("hi", model="openai:m", api_base=server.base_url).reasoning == reasoning


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("thought", ["", "I weighed it."])
def test_claudes_thinking_blocks_are_picked_by_type(make, thought, streamed):
    content = [
        {"type": "thinking", "thinking": thought, "signature": "s"},
        {"type": "text", "text": "an answer"},
    ]
    body = {
        "id": "m",
        "type": "message",
        "model": "claude",
        "content": content,
        "stop_reason": "end_turn",
        "usage": {},
    }
    step = Fault(body=body)
    if streamed:
        from tests.anthropic_speaker import event

        events = [
            event("message_start", {"message": {**body, "content": []}}),
            event(
                "content_block_start",
                {"index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
            ),
            event(
                "content_block_delta", {"index": 0, "delta": {"type": "thinking_delta", "thinking": thought}}
            ),
            event(
                "content_block_delta", {"index": 0, "delta": {"type": "signature_delta", "signature": "s"}}
            ),
            event("content_block_start", {"index": 1, "content_block": {"type": "text", "text": ""}}),
            event("content_block_delta", {"index": 1, "delta": {"type": "text_delta", "text": "an answer"}}),
            event("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {}}),
            event("message_stop", {}),
        ]
        step = Fault(body=b"".join(events), headers={"content-type": "text/event-stream"})
    pieces = []
    with FaultServer([step]) as server:
        options = {"on_text": pieces.append} if streamed else {}
        reply = make().ask("hi", model=OPUS, api_base=server.base_url, **options)

    assert (reply.text, reply.reasoning) == ("an answer", thought or None)
    assert "".join(pieces) in {"", "an answer"}


@pytest.mark.parametrize("model", ["openai:gpt-6-luna", "anthropic:claude-opus-5-5"])
def test_an_error_names_a_limit_reached_before_any_text_and_how_to_raise_it(make, model):
    session = make()
    with RuleServer(model) as server:
        call = session.core.make_call("hi", model=model, api_base=server.base_url, max_tokens=20)
        from ainb.engine import ENGINE

        reply = ENGINE.run(session.core.handle(call))
        with pytest.raises(InvalidReplyError, match=r"output limit was reached before any text.*max_tokens"):
            session.ask("hi", model=model, api_base=server.base_url, max_tokens=20, schema="a: int")

    assert (reply.text, reply.finish_reason) == ("", "length")
    assert any("raise --max-tokens" in note and "20 tokens" in note for note in call.notes)
    assert server.hits == 2


def test_a_thinking_budget_leaves_room_for_the_answer(make):
    with RuleServer("anthropic:claude-haiku-4-5") as server:
        make().ask(
            "hi",
            model="anthropic:claude-haiku-4-5",
            api_base=server.base_url,
            thinking={"type": "enabled", "budget_tokens": 9_000},
            temperature=0,
        )

    assert server.answered[0]["max_tokens"] == 4_096 + 9_000
    assert "temperature" not in server.answered[0]


@pytest.mark.parametrize(
    ("model", "kind", "sent"),
    [
        ("claude-opus-5", "disabled", "disabled"),
        ("claude-opus-5-5", "enabled", "adaptive"),
        ("claude-opus-5-5", "disabled", None),
        ("claude-haiku-4-5", "adaptive", None),
        ("claude-sonnet-4-6", "enabled", "enabled"),
    ],
)
def test_kinds_of_thinking_that_a_model_lacks(make, model, kind, sent):
    with RuleServer(f"anthropic:{model}") as server:
        thinking = {"type": kind, "budget_tokens": 2_000} if kind == "enabled" else {"type": kind}
        make().ask("hi", model=f"anthropic:{model}", api_base=server.base_url, thinking=thinking)

    assert server.refusals == []
    assert (server.answered[0].get("thinking") or {}).get("type") == sent


@pytest.mark.parametrize("model", [name for name in FAMILIES if name.startswith("openai:gpt-")])
def test_tools_go_out_with_the_effort_that_they_need(make, model):
    tools = [
        {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    ]
    with RuleServer(model) as server:
        make().ask("hi", model=model, api_base=server.base_url, tools=tools)

    assert server.refusals == []


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-haiku-5-5"])
def test_thinking_switched_off_bounds_the_effort(make, model):
    with RuleServer(f"anthropic:{model}") as server:
        options = {"thinking": {"type": "disabled"}, "effort": "max"}
        make().ask("hi", model=f"anthropic:{model}", api_base=server.base_url, **options)

    assert server.refusals == []
    assert server.answered[0]["output_config"] == {"effort": "high"}


@pytest.mark.parametrize(
    ("step", "code", "seconds"),
    [
        (Fault(status=429, code="slow_down", message="Slow down.", retry_after=7), "slow_down", 7),
        (
            Fault(status=503, code="server_is_overloaded", message="Busy.", retry_after=3),
            "server_is_overloaded",
            3,
        ),
    ],
)
def test_the_newer_codes_of_a_busy_service_are_transient_and_keep_their_wait(make, step, code, seconds):
    with FaultServer([step]) as server, pytest.raises(ainb.TransientProviderError) as caught:
        make().ask("hi", model=LUNA, api_base=server.base_url)

    assert (caught.value.code, caught.value.retry_after) == (code, seconds)


@pytest.mark.parametrize("code", ["insufficient_quota", "spend_limit_exceeded"])
def test_a_spent_limit_is_final_although_it_is_a_429(make, code):
    step = Fault(status=429, code=code, message="You have reached your spend limit.")
    with FaultServer([step]) as server, pytest.raises(ainb.PermanentProviderError):
        make(retry=ainb.Retry(attempts=4)).ask("hi", model=LUNA, api_base=server.base_url)

    assert server.hits == 1


RAW = '{"error":{"message":"Unsupported parameter: \'top_p\' is not supported with this model."}}'


@pytest.mark.parametrize("status", [400, 200])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_that_openrouter_passes_on_is_learnt_also_inside_a_200(make, status, streamed):
    error = {"error": {"code": 400, "message": "Provider returned error", "metadata": {"raw": RAW}}}
    body = f"data: {json.dumps(error)}\n\n".encode() if streamed and status == 200 else error
    headers = {"content-type": "text/event-stream"} if isinstance(body, bytes) else {}
    session = make()
    with RuleServer(
        [lambda sent: Fault(status=status, body=body, headers=headers) if "top_p" in sent else None]
    ) as server:
        options = {"on_text": [].append} if streamed else {}
        for _ in range(2):
            reply = session.ask(
                "hi", model="openrouter:some/model", api_base=server.base_url, top_p=0.5, **options
            )

    assert reply.text == "an answer"
    assert len(server.refusals) == 1


def test_openrouter_gets_effort_in_its_own_object(make):
    with FaultServer() as server:
        make().ask(
            "hi",
            model="openrouter:openai/gpt-6-luna",
            api_base=server.base_url,
            effort="low",
            max_completion_tokens=9,
        )

    body = server.requests[0].body
    assert (body["reasoning"], body["max_tokens"]) == ({"effort": "low"}, 9)
    assert "reasoning_effort" not in body


def test_effort_is_part_of_the_users_request_and_not_of_the_providers(make):
    with FaultServer() as server:
        make().ask("hi", model=OPUS, api_base=server.base_url, effort="low")

    body = server.requests[0].body
    assert body["output_config"] == {"effort": "low"}
    assert "effort" not in body
    assert json.dumps(body)
