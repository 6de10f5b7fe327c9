"""Tests of the Anthropic adapter against a server that sends published bodies: requests, replies, tokens."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import orjson
import pytest

from ainb.clock import SYSTEM_CLOCK
from ainb.errors import ConfigError, PermanentProviderError, ProviderError, TransientProviderError
from ainb.messages import Call, CallOptions, Message, Reply, Request
from ainb.pipeline.answer.schema import read_schema
from ainb.pipeline.plausible import drop_implausible
from ainb.pricing import Prices
from ainb.providers import split_model
from ainb.providers.anthropic.adapter import AnthropicProvider
from ainb.providers.anthropic.reply import read_usage
from ainb.providers.http.client import close_clients
from ainb.providers.http.rate_headers import read_limits
from ainb.providers.services import SERVICES
from ainb.session import Session
from tests.fault_server import Fault, FaultServer

KEY = "sk-ant-very-secret-0123456789"

# Anthropic's API reference, "Streaming messages": basic request, and request with a tool; "Messages": prompt
# caching.
BASIC = """event: message_start
data: {"type": "message_start", "message": {"id": "msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY", "type": "message", "role": "assistant", "content": [], "model": "claude-opus-4-20250514", "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 25, "output_tokens": 1}}}

event: content_block_start
data: {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "!"}}

event: content_block_stop
data: {"type": "content_block_stop", "index": 0}

event: message_delta
data: {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence":null}, "usage": {"output_tokens": 15}}

event: message_stop
data: {"type": "message_stop"}

"""
TOOL = """event: message_start
data: {"type":"message_start","message":{"id":"msg_014p7gG3wDgGV9EUtLvnow3U","type":"message","role":"assistant","model":"claude-opus-4-20250514","stop_sequence":null,"usage":{"input_tokens":472,"output_tokens":2},"content":[],"stop_reason":null}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Okay"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_01T1x1fJ34qAmk2tNTrN7Up6","name":"get_weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"location\\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" \\"San Francisco, CA\\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"""
THINKING = """event: message_start
data: {"type": "message_start", "message": {"id": "msg_01", "type": "message", "role": "assistant", "content": [], "model": "claude-sonnet-4-20250514", "stop_reason": null, "stop_sequence": null}}

event: content_block_start
data: {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Let me solve this step by step:"}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"}}

event: content_block_stop
data: {"type": "content_block_stop", "index": 0}

event: content_block_start
data: {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "27 * 453 = 12,231"}}

event: message_delta
data: {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}}

event: message_stop
data: {"type": "message_stop"}

"""
OVERLOADED = """event: error
data: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

"""
WHOLE = {
    "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-20250514",
    "content": [{"type": "text", "text": "Hi! My name is Claude."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 50,
        "cache_creation_input_tokens": 248,
        "cache_read_input_tokens": 100_000,
        "output_tokens": 503,
    },
}
LABEL = {
    "title": "Label",
    "type": "object",
    "properties": {"mood": {"type": "string"}},
    "required": ["mood"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def provider():
    return AnthropicProvider(SERVICES["anthropic"], clock=SYSTEM_CLOCK)


def request_of(*messages, **fields):
    turns = tuple(Message("user", item) if isinstance(item, str) else item for item in messages or ("hi",))
    return Request(provider="anthropic", model="claude-x", messages=turns, **fields)


def run(work):
    async def main():
        try:
            return await asyncio.wait_for(work, 30)
        finally:
            await close_clients()

    return asyncio.run(main())


def ask(step, *messages, pieces=None, call=None, **fields):
    with FaultServer([step]) as server:
        request = request_of(*messages, api_base=server.base_url, **fields)
        options = CallOptions(on_text=None if pieces is None else pieces.append)
        call = Call(request=request, provider=provider(), options=options)
        reply = run(call.provider.send(call))
    return reply, server.requests[0], call


def stream(text):
    return Fault(body=text.encode(), headers={"content-type": "text/event-stream; charset=utf-8"})


def test_the_published_stream_is_read():
    pieces = []
    reply, seen, _ = ask(stream(BASIC), pieces=pieces)

    assert (reply.text, pieces) == ("Hello!", ["Hello", "!"])
    assert (reply.model, reply.finish_reason) == ("claude-opus-4-20250514", "stop")
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.source) == (25, 15, "provider")
    assert seen.body["stream"] is True


def test_the_published_stream_with_a_tool_gives_text_and_its_reason():
    pieces = []
    reply, _, _ = ask(stream(TOOL), pieces=pieces)

    assert (reply.text, reply.finish_reason, pieces) == ("Okay", "tool_calls", ["Okay"])


def test_a_schema_is_asked_for_as_a_tool_and_its_input_is_the_answer():
    reply, seen, _ = ask(stream(TOOL), pieces=[], schema=read_schema(LABEL))

    assert orjson.loads(reply.text) == {"location": "San Francisco, CA"}
    assert reply.finish_reason == "stop"
    assert seen.body["tools"][0]["input_schema"] == LABEL
    assert seen.body["tool_choice"] == {"type": "auto"}


def test_thinking_is_no_text_and_unknown_tokens_stay_unknown():
    reply, seen, _ = ask(
        stream(THINKING), pieces=[], parameters={"thinking": {"type": "enabled", "budget_tokens": 1024}}
    )

    assert reply.text == "27 * 453 = 12,231"
    assert reply.usage.input_tokens is None
    assert seen.body["thinking"]["budget_tokens"] == 1024


def test_a_whole_message_counts_cached_tokens_as_input_and_costs_what_a_hand_calculation_says():
    reply, seen, call = ask(Fault(body=WHOLE))

    usage = reply.usage
    assert (usage.input_tokens, usage.output_tokens) == (50 + 248 + 100_000, 503)
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (100_000, 248)
    assert "stream" not in seen.body
    # claude-sonnet-4, per million: $3 input, $15 output, $0.30 cache read, $3.75 cache write.
    by_hand = Decimal("0.00015") + Decimal("0.00093") + Decimal("0.03") + Decimal("0.007545")
    call.provider = provider()
    assert Prices().reply_cost(call, reply) == (by_hand, "table")


def test_the_key_goes_in_its_own_header_with_the_version():
    _, seen, _ = ask("hello")

    assert seen.path == "/v1/messages"
    assert (seen.headers["x-api-key"], seen.headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in seen.headers


def test_the_base_url_may_be_given_with_or_without_its_version(monkeypatch):
    adapter = provider()

    assert adapter.endpoint(request_of()) == "https://api.anthropic.com/v1"
    for url in ("http://127.0.0.1:4000", "http://127.0.0.1:4000/", "http://127.0.0.1:4000/v1/"):
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        assert adapter.endpoint(request_of()) == "http://127.0.0.1:4000/v1"


def test_a_missing_key_is_named(monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY")

    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY is not set"):
        ask("x")


def test_system_messages_go_to_their_own_place_and_a_limit_is_always_sent():
    body = provider().body(
        request_of(
            Message("system", "be brief"),
            "hi",
            Message("assistant", "yes?"),
            Message("developer", "and kind"),
            "go on",
        )
    )

    assert body == {
        "model": "claude-x",
        "max_tokens": 4096,
        "system": "be brief\n\nand kind",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes?"},
            {"role": "user", "content": "go on"},
        ],
    }


def test_parameters_are_translated_and_what_has_no_counterpart_is_left_out_and_said():
    parameters = {
        "max_completion_tokens": 9,
        "temperature": 0,
        "top_k": 5,
        "stop": "END",
        "user": "u1",
        "seed": 1,
        "n": 1,
        "stream": True,
    }
    _, seen, call = ask("x", parameters=parameters)

    assert {name: value for name, value in seen.body.items() if name not in {"model", "messages"}} == {
        "max_tokens": 9,
        "temperature": 0,
        "top_k": 5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
    }
    assert call.notes == [
        "anthropic does not accept n; it was left out",
        "anthropic does not accept seed; it was left out",
    ]


def test_tools_are_translated():
    function = {"name": "look", "description": "looks", "parameters": {"type": "object"}}
    body = provider().body(
        request_of(
            parameters={
                "tools": [
                    {"type": "function", "function": function},
                    {"type": "web_search_20250305", "name": "web_search"},
                ],
                "tool_choice": "required",
            }
        )
    )

    assert body["tools"] == [
        {"name": "look", "description": "looks", "input_schema": {"type": "object"}},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    assert body["tool_choice"] == {"type": "any"}
    named = {"tool_choice": {"type": "function", "function": {"name": "look"}}}
    assert provider().body(request_of(parameters=named))["tool_choice"] == {"type": "tool", "name": "look"}


def test_pictures_become_sources():
    parts = (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "text", "text": "what is this"},
    )
    body = provider().body(request_of(Message("user", parts)))

    assert body["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "text", "text": "what is this"},
    ]


@pytest.mark.parametrize("picture", [{"url": "ftp://x"}, {"url": 3}, None])
def test_a_picture_that_cannot_be_sent_is_refused(picture):
    with pytest.raises(ConfigError, match="picture"):
        provider().body(request_of(Message("user", ({"type": "image_url", "image_url": picture},))))


@pytest.mark.parametrize(
    ("wish", "mark"),
    [(True, {"type": "ephemeral"}), ({"type": "ephemeral", "ttl": "1h"}, {"type": "ephemeral", "ttl": "1h"})],
)
def test_cache_control_marks_the_system_message_and_the_end_of_a_conversation(wish, mark):
    parameters = {"cache_control": wish}
    one = provider().body(request_of(Message("system", "s"), "q", parameters=parameters))
    more = provider().body(
        request_of(Message("system", "s"), "q", Message("assistant", "a"), "q2", parameters=parameters)
    )
    bare = provider().body(request_of("q", parameters=parameters))

    assert one["system"] == [{"type": "text", "text": "s", "cache_control": mark}]
    assert one["messages"] == [{"role": "user", "content": "q"}]
    assert more["messages"][-1]["content"] == [{"type": "text", "text": "q2", "cache_control": mark}]
    assert bare["messages"][0]["content"] == [{"type": "text", "text": "q", "cache_control": mark}]
    assert "cache_control" not in one


def test_a_schema_that_is_no_object_travels_as_the_one_argument_of_the_tool():
    schema = read_schema(
        {"type": "array", "items": {"$ref": "#/$defs/N"}, "$defs": {"N": {"type": "integer"}}}
    )
    body = {
        **WHOLE,
        "content": [{"type": "tool_use", "id": "t", "name": "reply", "input": {"value": [1, 2]}}],
        "stop_reason": "tool_use",
    }
    reply, seen, _ = ask(Fault(body=body), schema=schema)

    shape = seen.body["tools"][0]["input_schema"]
    assert (shape["type"], shape["required"], set(shape["$defs"])) == ("object", ["value"], {"N"})
    assert schema.check(reply.text) == [1, 2]


def test_with_thinking_the_tool_is_offered_and_not_forced():
    body = provider().body(
        request_of(
            schema=read_schema(LABEL), parameters={"thinking": {"type": "enabled", "budget_tokens": 1024}}
        )
    )

    assert body["tool_choice"] == {"type": "auto"}


def test_a_reply_that_ignores_the_tool_is_still_read_as_text():
    reply, _, _ = ask('{"mood": "sad"}', schema=read_schema(LABEL))

    assert reply.text == '{"mood": "sad"}'


def test_tool_calls_without_text_are_the_text_as_json():
    content = [{"type": "tool_use", "id": "t", "name": "look", "input": {"at": "sky"}}]
    reply, _, _ = ask(Fault(body={**WHOLE, "content": content, "stop_reason": "tool_use"}))

    assert orjson.loads(reply.text) == [{"name": "look", "arguments": '{"at":"sky"}'}]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "pause_turn"),
    ],
)
def test_stop_reasons_are_said_in_our_words(said, reason):
    assert ask(Fault(body={**WHOLE, "stop_reason": said}))[0].finish_reason == reason


def test_overloaded_before_the_first_token_is_transient_and_not_billed():
    with pytest.raises(TransientProviderError, match="Overloaded") as caught:
        ask(stream(OVERLOADED), pieces=[])

    assert (caught.value.status_code, caught.value.code, caught.value.billed) == (
        529,
        "overloaded_error",
        False,
    )


def test_overloaded_in_the_middle_is_billed_and_not_tried_again_once_shown():
    half = BASIC[: BASIC.index("event: content_block_stop")] + OVERLOADED
    pieces = []
    with (
        FaultServer([stream(half), "fine"]) as server,
        Session("anthropic:claude-x", api_base=server.base_url) as session,
    ):
        with pytest.raises(TransientProviderError, match="Overloaded") as caught:
            session.ask("hi", on_text=pieces.append, cache="off")
        assert server.hits == 1

    assert pieces == ["Hello", "!"]
    assert caught.value.billed


def test_overloaded_inside_a_stream_is_tried_again_through_the_pipeline():
    with (
        FaultServer([stream(OVERLOADED), 529, "fine"]) as server,
        Session("anthropic:claude-x", api_base=server.base_url) as session,
    ):
        reply = session.ask("hi", on_text=lambda _piece: None)

    assert (reply.text, reply.attempts) == ("fine", 3)


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("invalid_request_error", 400, PermanentProviderError),
        ("authentication_error", 401, PermanentProviderError),
        ("billing_error", 402, PermanentProviderError),
        ("permission_error", 403, PermanentProviderError),
        ("not_found_error", 404, PermanentProviderError),
        ("request_too_large", 413, PermanentProviderError),
        ("rate_limit_error", 429, TransientProviderError),
        ("api_error", 500, TransientProviderError),
        ("timeout_error", 504, TransientProviderError),
        ("overloaded_error", 529, TransientProviderError),
    ],
)
@pytest.mark.parametrize("where", ["status", "body of a 200", "event"])
def test_every_published_error_is_the_same_wherever_it_stands(kind, status, error, where):
    body = {"type": "error", "error": {"type": kind, "message": "because"}, "request_id": "req_1"}
    event = f"event: error\ndata: {orjson.dumps(body).decode()}\n\n"
    steps = {
        "status": Fault(status=status, body=body),
        "body of a 200": Fault(body=body),
        "event": stream(event),
    }
    with pytest.raises(ProviderError, match="because") as caught:
        ask(steps[where], pieces=[] if where == "event" else None)

    assert (type(caught.value), caught.value.status_code, caught.value.code) == (error, status, kind)


def test_a_prompt_that_is_too_long_says_so():
    body = {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "prompt is too long: 210000 tokens > 200000 maximum",
        },
    }
    with pytest.raises(PermanentProviderError, match="shorten the prompt"):
        ask(Fault(status=400, body=body))


def test_rate_limit_headers_are_kept_and_read():
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:50Z",
        "anthropic-ratelimit-input-tokens-limit": "40000",
        "anthropic-ratelimit-input-tokens-remaining": "39000",
        "anthropic-ratelimit-input-tokens-reset": "2023-11-14T22:13:21Z",
    }
    reply, _, _ = ask(Fault(text="x", headers=headers))

    # The time of the clock is 2023-11-14T22:13:20Z.
    assert sorted(read_limits(reply.headers, 1_700_000_000.0)) == [
        ("input_tokens", 40_000, 39_000, 1.0),
        ("requests", 50, 0, 30.0),
    ]


@pytest.mark.parametrize("usage", [None, "many", {}, {"input_tokens": -1}, {"input_tokens": True}])
def test_an_account_that_makes_no_sense_is_unknown(usage):
    reply = Reply(text="", usage=read_usage(usage))
    drop_implausible(reply)  # as done with every reply

    assert reply.usage.source == "unknown"


def test_models_are_listed():
    with FaultServer(models=["claude-b", "claude-a"], api_key=KEY) as server:
        assert run(provider().list_models(api_base=server.base_url)) == ["claude-a", "claude-b"]
    assert server.requests[0].path.startswith("/v1/models")


@pytest.mark.parametrize("model", ["anthropic:claude-x", "anthropic/claude-x", "anthropic-chat:claude-x"])
def test_all_spellings_of_the_service_are_known(model):
    assert split_model(model) == ("anthropic", "claude-x")


def test_streamed_and_plain_answers_share_a_cache_entry():
    with FaultServer(["one"]) as server, Session("anthropic:claude-x", api_base=server.base_url) as session:
        session.ask("hi", on_text=lambda _piece: None)
        assert session.ask("hi").cached
        assert server.hits == 1
