"""Tests of the OpenAI adapter against a real server: requests, replies, errors, redacted keys."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from decimal import Decimal

import orjson
import pytest

from ainb.clock import SYSTEM_CLOCK
from ainb.errors import (
    ConfigError,
    InvalidPromptError,
    PermanentProviderError,
    ProviderError,
    TransientProviderError,
)
from ainb.messages import Call, CallOptions, Message, Request
from ainb.pipeline.answer.schema import read_schema
from ainb.pipeline.resend import ResendStage
from ainb.providers.http.client import close_clients
from ainb.providers.openai.adapter import OpenAIProvider
from ainb.providers.openai.request import is_strict, response_format
from ainb.providers.services import SERVICES
from tests.fault_server import Fault, FaultServer

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def provider(service="openai"):
    return OpenAIProvider(SERVICES[service], clock=SYSTEM_CLOCK)


def request_of(text="hi", *, service="openai", model="m", **fields):
    return Request(provider=service, model=model, messages=(Message("user", text),), **fields)


def run(work):
    async def main():
        try:
            return await asyncio.wait_for(work, 30)
        finally:
            await close_clients()

    return asyncio.run(main())


def ask(server, *, service="openai", pieces=None, adapter=None, api_base=None, **fields):
    adapter = adapter or provider(service)
    base = api_base or (server.base_url if server else None)
    options = CallOptions(on_text=None if pieces is None else pieces.append)
    call = Call(
        request=request_of(service=service, api_base=base, **fields), provider=adapter, options=options
    )
    return run(adapter.send(call))


def fails(*steps, stream=False, **fields):
    with FaultServer(steps) as server, pytest.raises(ProviderError) as caught:
        ask(server, pieces=[] if stream else None, **fields)
    return caught.value


BOTH = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


@BOTH
def test_a_reply_has_text_model_tokens_reason_and_id(stream):
    limits = {"x-ratelimit-remaining-requests": "9", "x-request-id": "req_7", "x-other": "no"}
    pieces = [] if stream else None
    with FaultServer([Fault(text="grüße an  alle\n", headers=limits)]) as server:
        reply = ask(server, text="one two", model="gpt-x", pieces=pieces)

    assert reply.text == "grüße an  alle\n"
    assert (reply.model, reply.provider, reply.finish_reason) == ("gpt-x", "openai", "stop")
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.source) == (2, 3, "provider")
    assert reply.request_id == "req_7"
    assert reply.headers == {"x-ratelimit-remaining-requests": "9"}
    assert (reply.cost_usd, reply.cost_source) == (None, None)
    if stream:
        assert "".join(pieces) == reply.text
        assert len(pieces) > 2


def test_the_key_goes_as_a_bearer_and_the_body_is_what_body_says():
    adapter = provider()
    with FaultServer() as server:
        ask(server, adapter=adapter, parameters={"temperature": 0.5, "max_tokens": 7})

    seen = server.requests[0]
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["content-type"] == "application/json"
    assert seen.body == adapter.body(request_of(parameters={"temperature": 0.5, "max_tokens": 7}))


def test_stream_flags_are_sent_but_are_no_part_of_the_body():
    request = request_of(parameters={"stream": True, "stream_options": {}, "model": "x", "seed": 1})
    with FaultServer() as server:
        ask(server, pieces=[])

    assert provider().body(request) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "seed": 1,
    }
    assert server.requests[0].body["stream"] is True
    assert server.requests[0].body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("service", "model", "sent"),
    [
        ("openai", "gpt-5-mini", {"max_completion_tokens": 9}),
        ("openai", "gpt-5.1", {"max_completion_tokens": 9, "temperature": 0}),
        ("openai", "o3-mini", {"max_completion_tokens": 9}),
        ("azure", "o1", {"max_completion_tokens": 9}),
        ("openai", "gpt-5-chat-latest", {"max_tokens": 9, "temperature": 0}),
        ("openai", "gpt-4o", {"max_tokens": 9, "temperature": 0}),
        ("openai", "gpt-50", {"max_tokens": 9, "temperature": 0}),
        ("groq", "o3-mini", {"max_tokens": 9, "temperature": 0}),
    ],
)
def test_reasoning_models_get_their_own_parameters(service, model, sent):
    body = provider(service).body(
        request_of(service=service, model=model, parameters={"max_tokens": 9, "temperature": 0})
    )

    assert {name: value for name, value in body.items() if name not in {"model", "messages"}} == sent


def test_a_temperature_that_is_left_out_is_noted_once():
    adapter = provider()
    call = Call(request=request_of(model="gpt-5-mini", parameters={"temperature": 0}), provider=adapter)
    with FaultServer() as server:
        call.request = request_of(model="gpt-5-mini", parameters={"temperature": 0}, api_base=server.base_url)

        async def twice():
            await adapter.send(call)
            await adapter.send(call)

        run(twice())

    assert call.notes == ["gpt-5-mini does not accept temperature; it was left out"]


def test_a_schema_becomes_a_response_format():
    open_schema = {"title": "My Label!", "type": "object", "properties": {"a": {"type": "string"}}}
    closed = open_schema | {"required": ["a"], "additionalProperties": False}

    assert provider().body(request_of(schema=read_schema(open_schema)))["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "My_Label",
            "schema": closed | {"properties": {"a": {"type": ["string", "null"]}}},
            "strict": True,
        },
    }
    assert response_format(closed)["json_schema"]["strict"] is True
    assert not is_strict({"type": "array", "items": open_schema})


def test_content_parts_pass_through():
    parts = ({"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": "data:,x"}})
    request = Request(provider="openai", model="m", messages=(Message("user", parts),))

    assert provider().body(request)["messages"][0]["content"] == parts
    with FaultServer() as server:
        adapter = provider()
        base = Request(provider="openai", model="m", messages=request.messages, api_base=server.base_url)
        reply = run(adapter.send(Call(request=base, provider=adapter)))
    assert reply.text == "what is this"
    assert server.requests[0].body["messages"][0]["content"] == list(parts)


def test_a_prompt_that_is_no_unicode_is_refused_before_sending():
    with FaultServer() as server:
        with pytest.raises(InvalidPromptError, match="nothing was sent"):
            ask(server, text="\ud800")
        with pytest.raises(InvalidPromptError, match="JSON"):
            ask(server, parameters={"stop": {1, 2}})

    assert server.hits == 0


# Endpoints and keys


def test_the_base_url_comes_from_the_call_then_the_environment_then_the_table(monkeypatch):
    adapter = provider()

    assert adapter.endpoint(request_of()) == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1/")
    assert adapter.endpoint(request_of()) == "http://127.0.0.1:1/v1"
    assert adapter.endpoint(request_of(api_base="http://127.0.0.1:2/v1")) == "http://127.0.0.1:2/v1"


def test_an_account_is_the_place_and_a_digest_of_the_key(monkeypatch):
    digest = hashlib.sha256(KEY.encode()).hexdigest()[:8]

    assert provider().account(request_of()) == f"https://api.openai.com/v1#{digest}"
    monkeypatch.setenv("MY_KEY", "another")
    assert provider().account(request_of(api_key_name="MY_KEY")) != provider().account(request_of())
    assert provider("ollama").account(request_of(service="ollama")) == "http://127.0.0.1:11434/v1"


def test_a_missing_key_is_named_and_nothing_is_sent(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with FaultServer() as server:
        with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
            ask(server)
        with pytest.raises(ConfigError, match="MY_KEY is not set"):
            ask(server, service="ollama", api_key_name="MY_KEY")

    assert server.hits == 0


def test_a_key_set_between_two_calls_counts(monkeypatch):
    adapter = provider()
    with FaultServer() as server:
        ask(server, adapter=adapter)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-new")
        ask(server, adapter=adapter)

    assert [seen.headers["authorization"] for seen in server.requests] == [f"Bearer {KEY}", "Bearer sk-new"]


def test_a_local_service_needs_no_key_and_is_free():
    with FaultServer() as server:
        reply = ask(server, service="ollama")

    assert reply.provider == "ollama"
    assert provider("ollama").free
    assert not provider().free
    assert "authorization" not in server.requests[0].headers


def test_azure_uses_its_own_path_and_header(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    with FaultServer() as server:
        for endpoint in (f"http://127.0.0.1:{server.port}/", f"http://127.0.0.1:{server.port}/openai/v1"):
            monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", endpoint)
            ask(None, service="azure")

    assert [seen.path for seen in server.requests] == ["/openai/v1/chat/completions"] * 2
    assert server.requests[0].headers["api-key"] == "azure-key"
    assert "authorization" not in server.requests[0].headers


def test_azure_without_an_endpoint_says_what_to_set(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")

    with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT"):
        provider("azure").endpoint(request_of(service="azure"))


def test_organisation_and_project_go_to_openai_only(monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    with FaultServer() as server:
        ask(server)
        ask(server, service="ollama")

    first, second = (seen.headers for seen in server.requests)
    assert (first["openai-organization"], first["openai-project"]) == ("org-1", "proj-1")
    assert "openai-organization" not in second


@pytest.mark.parametrize(
    "url",
    [
        "api.openai.com",
        "ftp://x/v1",
        "http://",
        "http://u:hunter2@h/v1",
        "http://h/v1?key=hunter2",
        "http://h:x/v1",
        "http://h/\nv1",
        "http://exa mple/v1",
        "http://ex..ample.com/v1",
        f"http://{'a' * 70}.com/v1",
    ],
)
def test_a_base_url_that_cannot_be_used_is_refused_without_repeating_it(url):
    with pytest.raises(ConfigError, match="base URL") as caught:
        provider().endpoint(request_of(api_base=url))
    assert "hunter2" not in str(caught.value)


def test_a_key_with_a_line_break_inside_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc\nX-Evil: 1")

    with FaultServer() as server, pytest.raises(ConfigError, match="OPENAI_API_KEY") as caught:
        ask(server)
    assert "sk-abc" not in str(caught.value)


# Streams


def events(*payloads, end="data: [DONE]\n\n"):
    return Fault(
        body=("".join(f"data: {orjson.dumps(item).decode()}\n\n" for item in payloads) + end).encode(),
        headers={"content-type": "text/event-stream; charset=utf-8"},
    )


def chunk(text=None, finish_reason=None, **more):
    delta = {} if text is None else {"content": text}
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}], **more}


@pytest.mark.parametrize(
    ("step", "finish_reason"),
    [
        (events(chunk("hi"), chunk(finish_reason="stop"), end=""), "stop"),
        (events(chunk("hi"), end="data: [DONE]"), None),
        (events(chunk("hi"), chunk(finish_reason="length"), {"choices": [], "usage": {}}), "length"),
        (events({"choices": []}, chunk("hi", "content_filter")), "content_filter"),
    ],
)
def test_a_stream_is_whole_when_it_says_why_it_ended_or_that_it_is_done(step, finish_reason):
    with FaultServer([step]) as server:
        reply = ask(server, pieces=[])

    assert (reply.text, reply.finish_reason) == ("hi", finish_reason)
    assert reply.usage.output_tokens is None


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (events(end=""), "broke off"),
        (events(), "without a choice"),
        (events(chunk("hi"), end="data: {oops\n\n"), "not JSON"),
        (events([1]), "not an object"),
        (events(chunk("hi"), {"error": {"message": "Overloaded", "type": "overloaded_error"}}), "Overloaded"),
    ],
)
def test_a_stream_that_makes_no_sense_is_transient(step, words):
    error = fails(step, stream=True)

    assert type(error) is TransientProviderError
    assert words in str(error)


def test_an_error_inside_a_stream_may_be_permanent():
    body = {
        "error": {
            "code": 400,
            "type": "exceed_context_size_error",
            "message": "too long",
            "n_prompt_tokens": 9,
            "n_ctx": 8,
        }
    }
    error = fails(events(body), stream=True)

    assert type(error) is PermanentProviderError
    assert "9 tokens" in str(error)
    assert not error.billed


def test_a_service_that_does_not_know_stream_options_is_asked_without_and_remembered():
    adapter = provider()

    def ask_twice(text):
        options = CallOptions(on_text=[].append)
        request = request_of(text, api_base=server.base_url)
        call = Call(request=request, provider=adapter, options=options)
        return run(ResendStage()(call, adapter.send))

    with FaultServer(refuse_stream_options=True) as server:
        first = ask_twice("one")
        second = ask_twice("two")

    assert (first.text, second.text) == ("one", "two")
    assert first.usage.input_tokens is None
    assert server.hits == 3


def test_a_service_that_does_not_stream_is_read_all_the_same():
    pieces = []
    body = {"model": "m", "choices": [{"message": {"content": "all at once"}, "finish_reason": "stop"}]}
    with FaultServer([Fault(body=body)]) as server:
        reply = ask(server, pieces=pieces)

    assert pieces == [reply.text] == ["all at once"]


def test_an_answer_cut_at_max_tokens_is_returned():
    with FaultServer([Fault(text="to be", finish_reason="length")]) as server:
        reply = ask(server)

    assert (reply.text, reply.finish_reason) == ("to be", "length")


def test_openrouters_price_is_taken_and_others_are_not(monkeypatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    body = {
        "choices": [{"message": {"content": "x"}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.00014},
    }
    with FaultServer([Fault(body=body)]) as server:
        routed, other = ask(server, service="openrouter"), ask(server)

    assert (routed.cost_usd, routed.cost_source) == (Decimal("0.00014"), "provider")
    assert (other.cost_usd, other.cost_source) == (None, None)


# Models


def test_models_are_listed_sorted():
    with FaultServer(models=["b", "models/a"]) as server:
        assert run(provider().list_models(api_base=server.base_url)) == ["a", "b"]
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_models_of_a_place_that_is_not_there_fail_clearly():
    with pytest.raises(TransientProviderError, match="nothing answers"):
        run(provider().list_models(api_base="http://127.0.0.1:9/v1"))


def test_models_are_refused_with_the_same_way_out_as_calls():
    refused = pytest.raises(PermanentProviderError, match="check the key in OPENAI_API_KEY")

    with FaultServer(api_key="another") as server, refused:
        run(provider().list_models(api_base=server.base_url))

    assert server.hits == 0


def test_a_place_that_does_not_list_its_models_in_time_is_left():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with pytest.raises(TransientProviderError, match=r"within 0\.2 s"):
            run(provider().list_models(api_base=base, timeout_seconds=0.2))


def test_targets_of_many_places_do_not_pile_up():
    adapter = provider()
    for number in range(200):
        adapter.endpoint(request_of(api_base=f"http://127.0.0.1:{number + 1}/v1"))

    assert len(adapter._targets) <= 64
