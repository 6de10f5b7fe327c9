"""Tests of ``pydantic:PROVIDER:MODEL``: fakes of pydantic-ai, and its OpenAI class against a server on
loopback."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import threading
from decimal import Decimal

import pydantic
import pytest
from pydantic_ai import exceptions as theirs
from pydantic_ai.messages import ModelResponse, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel as EchoModel
from pydantic_ai.usage import RequestUsage

import ainb
from ainb import providers
from ainb.clock import SYSTEM_CLOCK
from ainb.config import Config
from ainb.contract import AdapterContract
from ainb.errors import AinbError, ConfigError, PermanentProviderError, TransientProviderError
from ainb.messages import Call, CallOptions, Message, Reply, Request
from ainb.pipeline.answer.schema import read_schema
from ainb.pricing import Prices
from ainb.providers import shutdown, split_model
from ainb.providers.pydantic_ai import models as pydantic_models
from ainb.providers.pydantic_ai.adapter import PydanticAIProvider
from ainb.providers.pydantic_ai.names import key_variables, split_name
from tests.fault_server import Fault, FaultServer

KEY = "sk-Zb7Kq2Lw9Xv4Tn6Rm1Pd8Yc3"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def run(work):
    async def main():
        try:
            return await asyncio.wait_for(work, 30)
        finally:
            await shutdown.close_clients()

    return asyncio.run(main())


def make_call(
    model="openai-chat:m", *, adapter=None, pieces=None, messages=None, schema=None, base=None, **parameters
):
    request = Request(
        provider="pydantic",
        model=model,
        messages=tuple(messages or [Message("user", "hi")]),
        parameters=parameters,
        api_base=base,
        schema=None if schema is None else read_schema(schema),
    )
    options = CallOptions(on_text=None if pieces is None else pieces.append)
    return Call(request=request, provider=adapter or PydanticAIProvider(clock=SYSTEM_CLOCK), options=options)


def ask(**options):
    call = make_call(**options)
    return run(call.provider.send(call))


class Heard:
    """A scripted model that records its requests."""

    def __init__(self, *parts, error=None, profile=None, **response):
        self.profile = profile
        self.response = ModelResponse(parts=list(parts) or [TextPart("fine")], **response)
        self.error = error
        self.made = []

    def __call__(self, name, *, base_url=None, api_key=None):
        self.made.append((name, base_url, api_key))
        return FunctionModel(self.answer, model_name=name, profile=self.profile)

    def answer(self, messages, info):
        if self.error is not None:
            raise self.error
        self.messages, self.info = messages, info
        return self.response

    def adapter(self):
        return PydanticAIProvider(clock=SYSTEM_CLOCK, make=self)


# Requests


def test_the_conversation_goes_out_turn_by_turn():
    heard = Heard()
    ask(
        adapter=heard.adapter(),
        messages=[
            Message("system", "be kind"),
            Message("user", "one"),
            Message("assistant", "two"),
            Message("user", "three"),
        ],
    )

    kinds = [[(type(part).__name__, part.content) for part in turn.parts] for turn in heard.messages]
    assert kinds == [
        [("SystemPromptPart", "be kind"), ("UserPromptPart", "one")],
        [("TextPart", "two")],
        [("UserPromptPart", "three")],
    ]


def test_pictures_go_out_as_bytes_or_as_addresses():
    heard = Heard()
    url = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    parts = (
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "text", "text": "what is it?"},
    )
    ask(adapter=heard.adapter(), messages=[Message("user", parts)])

    picture, address, text = heard.messages[0].parts[0].content
    assert (picture.data, picture.media_type) == (PICTURE, "image/png")
    assert (address.url, text) == ("https://example.org/a.png", "what is it?")


def test_a_picture_that_cannot_be_sent_is_said():
    part = {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}
    with pytest.raises(ConfigError, match="a picture's url must be data:"):
        ask(adapter=Heard().adapter(), messages=[Message("user", (part,))])


def test_parameters_take_pydantic_ais_names_and_its_retries_are_off():
    heard = Heard()
    call = make_call(
        "google:m",
        adapter=heard.adapter(),
        temperature=0,
        max_completion_tokens=9,
        stop="END",
        google_labels={"a": "b"},
        logprobs=True,
    )
    run(call.provider.send(call))

    assert heard.info.model_settings == {
        "temperature": 0,
        "max_tokens": 9,
        "stop_sequences": ["END"],
        "google_labels": {"a": "b"},
        "max_retries": 0,
    }
    assert call.notes == ["google:m does not accept logprobs through pydantic-ai; it was left out"]


def test_tools_go_out_and_their_calls_come_back_as_text():
    heard = Heard(ToolCallPart("weather", {"city": "Paris"}, "id"), finish_reason="tool_call")
    tool = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
    reply = ask(
        adapter=heard.adapter(),
        tools=[tool],
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )

    assert [item.name for item in heard.info.function_tools] == ["weather"]
    assert heard.info.model_settings["tool_choice"] == ["weather"]
    assert reply.text == '[{"name":"weather","arguments":"{\\"city\\":\\"Paris\\"}"}]'
    assert reply.finish_reason == "tool_calls"


def test_the_body_says_all_that_the_answer_depends_on_and_no_more():
    adapter = PydanticAIProvider(clock=SYSTEM_CLOCK)
    plain, warm = make_call().request, make_call(temperature=1).request
    shaped = make_call(schema={"type": "object", "properties": {}}).request

    assert adapter.body(plain) == adapter.body(make_call().request)
    assert len({str(adapter.body(item)) for item in (plain, warm, shaped)}) == 3


# Replies


def test_an_answer_is_read_with_its_tokens():
    usage = RequestUsage(
        input_tokens=100,
        output_tokens=50,
        cache_read_tokens=60,
        cache_write_tokens=5,
        output_reasoning_tokens=20,
    )
    heard = Heard(
        ThinkingPart("hmm"),
        TextPart("fine"),
        usage=usage,
        finish_reason="length",
        model_name="m-2026",
        provider_response_id="r1",
    )
    reply = ask(adapter=heard.adapter())

    assert (reply.text, reply.provider, reply.request_id) == ("fine", "pydantic", "r1")
    assert reply.finish_reason == "length"
    got = reply.usage
    assert (got.input_tokens, got.output_tokens, got.cache_read_input_tokens) == (100, 50, 60)
    assert (got.cache_creation_input_tokens, got.reasoning_output_tokens, got.source) == (5, 20, "provider")


class Label(pydantic.BaseModel):
    mood: str


def test_a_schema_comes_back_as_json_from_a_tool():
    profile = {"supports_json_schema_output": False, "supports_tools": True}
    heard = Heard(ToolCallPart("Label", {"mood": "glad"}), finish_reason="tool_call", profile=profile)
    reply = ask(adapter=heard.adapter(), schema=Label)

    assert reply.text == '{"mood":"glad"}'
    assert reply.finish_reason == "stop"
    assert heard.info.output_tools[0].parameters_json_schema["required"] == ["mood"]
    assert not heard.info.allow_text_output


def test_a_schema_comes_back_as_json_by_the_providers_own_mode_where_it_has_one():
    with FaultServer([Fault(text='{"mood":"glad"}')]) as server:
        reply = ask(model="openai-chat:gpt-4o", base=server.base_url, schema=Label)
        body = server.requests[0].body

    assert reply.text == '{"mood":"glad"}'
    assert body["response_format"]["type"] == "json_schema"


def test_a_schema_that_is_no_object_is_wrapped_on_its_way():
    with FaultServer([Fault(text='{"value":["a","b"]}')]) as server:
        reply = ask(
            model="openai-chat:gpt-4o",
            base=server.base_url,
            schema={"type": "array", "items": {"type": "string"}},
        )

    assert reply.text == '["a","b"]'


def completion(usage):
    return {
        "id": "r",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "fine"}}
        ],
        "usage": usage,
    }


def test_it_is_priced_as_the_provider_behind_it():
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "total_tokens": 1200,
        "prompt_tokens_details": {"cached_tokens": 400},
    }
    with (
        FaultServer([Fault(body=completion(usage))]) as server,
        ainb.Session(config=Config(api_base=server.base_url)) as session,
    ):
        reply = session.ask("hi", model="pydantic:openai-chat:gpt-4o")
        row = session.usage().iloc[-1]

    # gpt-4o, USD per million: 2.50 input, 1.25 cached input, 10 output
    assert reply.cost_usd == (600 * Decimal("2.5") + 400 * Decimal("1.25") + 200 * Decimal(10)) / 1_000_000
    assert (row.provider_name, row.request_model) == ("pydantic", "openai-chat:gpt-4o")
    assert (row.cost_source, row.cache_read_input_tokens) == ("table", 400)


def test_the_users_prices_count_under_the_providers_name():
    prices = Prices({"google:gemini-x": {"input_usd_per_million": 1, "output_usd_per_million": 2}})
    call = make_call("google:gemini-x")
    usage = ainb.Usage(input_tokens=1_000_000, output_tokens=1_000_000)

    assert prices.reply_cost(call, Reply(text="", model="gemini-x-01", usage=usage)) == (Decimal(3), "table")


# Faults


def fails(*steps, stream=False, **options):
    with FaultServer(steps) as server, pytest.raises(AinbError) as caught:
        ask(base=server.base_url, pieces=[] if stream else None, **options)
    return caught.value, server.hits


BOTH = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


@BOTH
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_transient_statuses_are_transient_and_asked_once(status, stream):
    error, hits = fails(Fault(status=status, retry_after=7, code="slow"), "fine", stream=stream)

    assert type(error) is TransientProviderError
    assert (error.status_code, error.code, error.retry_after, error.billed) == (status, "slow", 7, False)
    assert hits == 1


@BOTH
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_refusals_are_permanent_on_one_line_and_without_the_key(status, stream):
    error, hits = fails(Fault(status=status, code="why", message=f"because\n{KEY}"), stream=stream)

    assert type(error) is PermanentProviderError
    assert (error.status_code, error.code, hits) == (status, "why", 1)
    assert str(error).startswith(f"pydantic:openai-chat answered {status} (why): because ***;")
    assert str(error).isprintable()
    assert error.__context__ is None


def test_a_used_up_quota_is_permanent():
    error, _ = fails(Fault(status=429, code="insufficient_quota"))

    assert type(error) is PermanentProviderError


@BOTH
@pytest.mark.parametrize(
    "action", ["reset", "cut", "garbage", "html", "empty", "no_choices", "wrong_types", "not_http"]
)
def test_broken_answers_are_provider_errors_on_one_line(action, stream):
    error, hits = fails(Fault(action=action), "fine", stream=stream)

    assert isinstance(error, TransientProviderError | PermanentProviderError)
    assert str(error).isprintable()
    assert KEY not in str(error)
    assert hits == 1


def test_nothing_listening_is_transient_and_not_billed():
    with pytest.raises(TransientProviderError, match="cannot be reached") as caught:
        ask(base="http://127.0.0.1:9/v1")
    assert not caught.value.billed


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (
            theirs.ModelRateLimitError("m", "RESOURCE_EXHAUSTED", retry_after=4),
            TransientProviderError,
            "answered 429",
        ),
        (theirs.ModelQuotaExceededError("m", "no credit"), PermanentProviderError, "used up"),
        (theirs.ModelServerError("m", "boom"), TransientProviderError, "answered 500"),
        (theirs.ModelAuthenticationError("m", "who?"), PermanentProviderError, "answered 401"),
        (theirs.ModelContextWindowExceededError("m", "too long"), PermanentProviderError, "answered 413"),
        (theirs.ModelTimeoutError("m", "slow"), TransientProviderError, "no answer in time"),
        (theirs.ModelAPIError("m", "odd"), TransientProviderError, "cannot be read, or none"),
        (theirs.UnexpectedModelBehavior("odd"), TransientProviderError, "cannot be read"),
        (theirs.ContentFilterError("no"), PermanentProviderError, "withheld"),
        (theirs.UserError("no such setting"), ConfigError, "cannot be asked: no such setting"),
        (KeyError("choices"), PermanentProviderError, "fault of pydantic-ai"),
        (TimeoutError(), TransientProviderError, "no answer in time"),
    ],
)
def test_every_exception_becomes_one_of_our_errors(raised, kind, words):
    with pytest.raises(kind, match=words) as caught:
        ask(adapter=Heard(error=raised).adapter())
    assert type(caught.value) is kind
    if isinstance(raised, theirs.ModelRateLimitError):
        assert caught.value.retry_after == 4


def test_a_cancelled_call_leaves_an_adapter_that_works():
    with FaultServer(["first", Fault(action="hang"), "fine"]) as server:
        call = make_call(base=server.base_url)

        async def story():
            await call.provider.send(call)  # imports everything
            task = asyncio.create_task(call.provider.send(call))
            assert await asyncio.to_thread(server.wait_for_hits, 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await call.provider.send(call)

        assert run(story()).text == "fine"


def test_no_trace_of_the_key_is_left_in_an_error():
    for step in (Fault(status=401, message=KEY), Fault(action="reset"), Fault(action="garbage")):
        error, _ = fails(step)
        shown = [repr(error), str(vars(error)), repr(error.__context__), repr(error.__cause__)]
        trace = error.__traceback__
        while trace is not None:
            if "ainb/" in trace.tb_frame.f_code.co_filename:
                shown.append(repr(trace.tb_frame.f_locals))
            trace = trace.tb_next
        assert not [text for text in shown if KEY in text]


def test_the_loop_is_not_held_up_by_the_first_import(monkeypatch):
    threads = []
    monkeypatch.setattr(pydantic_models, "preload", lambda _name: threads.append(threading.current_thread()))
    heard = Heard()
    adapter = heard.adapter()
    for _ in range(2):
        ask(adapter=adapter)

    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


def test_models_are_kept_by_name_and_only_so_many(monkeypatch):
    monkeypatch.setattr(pydantic_models, "MAX_MODELS", 2)
    heard = Heard()

    async def story():
        for model in ("a:1", "a:1", "a:2", "a:3", "a:3", "a:1"):
            call = make_call(model, adapter=adapter)
            await call.provider.send(call)

    adapter = heard.adapter()
    run(story())

    assert [name for name, *_ in heard.made] == ["a:1", "a:2", "a:3", "a:1"]


def test_in_the_pipeline_a_transient_fault_is_tried_again_by_us():
    config = Config(retry=ainb.Retry(base_seconds=0.001, max_seconds=0.001))
    with (
        FaultServer([503, "fine"]) as server,
        ainb.Session("pydantic:openai-chat:m", api_base=server.base_url, config=config) as session,
    ):
        reply = session.ask("hi")

    assert (reply.text, reply.attempts, server.hits) == ("fine", 2, 2)


# Names, keys, missing packages


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("pydantic:google:gemini-2.5-flash", ("pydantic", "google:gemini-2.5-flash")),
        ("pydantic/google/gemini-2.5-flash", ("pydantic", "google/gemini-2.5-flash")),
        ("pydantic:bedrock:us.amazon.nova-lite-v1:0", ("pydantic", "bedrock:us.amazon.nova-lite-v1:0")),
    ],
)
def test_the_name_is_provider_and_model_behind_pydantic(written, read):
    assert split_model(written) == read
    assert len(split_name(read[1])) == 2


def test_the_variables_of_keys_are_the_providers_own():
    assert key_variables("google-cloud") == ("GOOGLE_API_KEY", "GEMINI_API_KEY")
    assert key_variables("openai-responses") == ("OPENAI_API_KEY",)
    assert key_variables("gateway/openai")[0] == "PYDANTIC_AI_GATEWAY_API_KEY"
    assert key_variables("moonshotai") == ("MOONSHOTAI_API_KEY",)


def test_a_missing_key_is_said_with_its_variable(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="needs a key and OPENAI_API_KEY is not set"):
        ask()
    assert providers.missing_key("pydantic", "openai-chat:m") == "OPENAI_API_KEY"
    assert providers.missing_key("pydantic", "bedrock:m") is None


def test_a_key_of_another_variable_is_used_and_kept_apart(monkeypatch):
    monkeypatch.setenv("TEAM_KEY", "another-key-of-the-team-17")
    heard = Heard()
    call = make_call(adapter=heard.adapter())
    other = Request(
        provider="pydantic", model="openai-chat:m", messages=(Message("user", "hi"),), api_key_name="TEAM_KEY"
    )
    run(call.provider.send(Call(request=other, provider=call.provider)))

    assert heard.made == [("openai-chat:m", None, "another-key-of-the-team-17")]
    assert call.provider.account(other) != call.provider.account(call.request)
    assert "another-key" not in call.provider.account(other)


@pytest.mark.parametrize("model", ["mistral:m", "anthropic:m", "cohere:m", "bedrock:m", "google:m", "xai:m"])
def test_a_missing_client_is_one_line_that_names_what_to_install(model, monkeypatch):
    for name in key_variables(split_name(model)[0]):
        monkeypatch.setenv(name, KEY)
    client = {"mistral": "mistralai", "google": "google.genai", "bedrock": "boto3", "xai": "xai_sdk"}.get(
        split_name(model)[0]
    )
    monkeypatch.setitem(sys.modules, client or split_name(model)[0], None)
    with pytest.raises(
        ConfigError, match=rf"pip install 'pydantic-ai-slim\[{split_name(model)[0]}\]'"
    ) as caught:
        ask(model=model)
    assert str(caught.value).isprintable()


def test_an_unknown_provider_is_said():
    with pytest.raises(ConfigError, match="pydantic:nobody cannot be asked: Unknown model: nobody:m"):
        ask(model="nobody:m")


def test_plain_http_to_another_machine_is_refused():
    with pytest.raises(ConfigError, match="plain http to another machine"):
        ask(base="http://192.0.2.1/v1")


def in_a_new_process(code):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ),
    ).stdout.strip()


def test_without_pydantic_ai_it_is_said_which_extra_is_missing():
    said = in_a_new_process(
        "import sys; sys.modules['pydantic_ai'] = None\n"
        "import ainb\n"
        "try:\n"
        "    ainb.Session('pydantic:google:m').ask('hi')\n"
        "except ainb.ConfigError as error:\n"
        "    print(error)"
    )
    assert said.endswith("pip install 'ainb-notebook[pydantic-ai]'")


def test_nothing_of_pydantic_ai_is_loaded_for_other_models():
    code = "import sys, ainb; ainb.Session('scripted:echo').ask('hi'); print('pydantic_ai' in sys.modules)"

    assert in_a_new_process(code) == "False"


def test_its_own_test_model_answers_through_the_pipeline():
    with ainb.Session("pydantic:test") as session:
        assert session.ask("hi").text == "success (no tool calls)"


# Contract


class Stopping(EchoModel):
    """pydantic-ai's test model with a finish reason."""

    async def request(self, *arguments):
        response = await super().request(*arguments)
        response.finish_reason = "stop"
        return response


class TestEcho(AdapterContract):
    def make_adapter(self):
        return PydanticAIProvider(clock=SYSTEM_CLOCK, make=self.make)

    def make(self, name, *, base_url=None, api_key=None):
        if name.endswith("no-such-model"):
            raise theirs.UserError(f"Unknown model: {name}")
        return Stopping()

    def make_request(self, model="test"):
        return Request(provider="pydantic", model=model, messages=(Message("user", "hi"),))

    def make_refused_request(self):
        return self.make_request("test:no-such-model")


class TestOverHttp(AdapterContract):
    secret = KEY
    service = "openai-chat"

    @pytest.fixture(autouse=True)
    def serve(self):
        def plan(seen):
            return Fault(status=404) if b"no-such-model" in seen.raw else Fault(text="hello to you")

        with FaultServer(plan) as server:
            self.base_url = server.base_url
            yield

    def make_adapter(self):
        return providers.make_provider("pydantic", clock=SYSTEM_CLOCK)

    def make_request(self, model="m"):
        return Request(
            provider="pydantic",
            model=f"{self.service}:{model}",
            messages=(Message("user", "hi"),),
            api_base=self.base_url,
        )

    def make_refused_request(self):
        return self.make_request("no-such-model")

    async def clean_up(self):
        await shutdown.close_clients()
