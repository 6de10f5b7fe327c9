"""Tests of tokens and costs of published OpenAI and Anthropic bodies, against manual calculations.

Source of the bodies: OpenAI, "Prompt caching", "Reasoning models" and the chat completions reference;
Anthropic, "Prompt caching", "Tool use" and "Streaming messages". Source of the prices (USD a million tokens):
the services' price lists as genai-prices holds them.
"""

from __future__ import annotations

from decimal import Decimal

import orjson
import pytest

import ainb
from ainb.config import Config
from tests.fault_server import Fault, FaultServer

MILLION = 1_000_000
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test-0123456789")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-a-test-0123456789")


def usd(*parts):
    """Sum of tokens times price, in USD."""
    return sum(tokens * Decimal(price) for tokens, price in parts) / MILLION


def outcome(model, step, **options):
    """Ask once; returns the reply and its usage row."""
    with (
        FaultServer([step]) as server,
        ainb.Session(model, api_base=server.base_url, config=Config()) as session,
    ):
        reply = session.ask("What is the weather like in Paris?", **options)
        return reply, session.usage(session_id=session.log.session_id).iloc[-1]


def check(reply, row, *, counts, cost):
    """Check the cost and five token counts of both reply and row.

    The counts are input, output, cache read, cache written and reasoning tokens; None is unknown."""
    usage = reply.usage
    got = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
        usage.reasoning_output_tokens,
    )
    assert got == counts
    columns = (
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "reasoning_output_tokens",
    )
    assert tuple(None if row.isna()[name] else row[name] for name in columns) == counts
    assert (reply.cost_usd, reply.cost_source) == (cost, "table")
    assert row.cost_usd == pytest.approx(float(cost), rel=1e-9)
    assert row.tokens_source == "provider"


def completion(model, usage, message=None, finish_reason="stop"):
    message = message or {"role": "assistant", "content": "Sunny.", "refusal": None, "annotations": []}
    return {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1741569952,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
        "usage": usage,
        "service_tier": "default",
        "system_fingerprint": "fp_50cad350e4",
    }


def test_openai_cached_input():
    usage = {
        "prompt_tokens": 2006,
        "completion_tokens": 300,
        "total_tokens": 2306,
        "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    reply, row = outcome("openai:gpt-4o", Fault(body=completion("gpt-4o-2024-08-06", usage)))

    # 86 x 2.50 + 1920 x 1.25 + 300 x 10 = 215 + 2400 + 3000
    assert usd((86, "2.50"), (1920, "1.25"), (300, 10)) == Decimal("0.005615")
    check(reply, row, counts=(2006, 300, 1920, None, 0), cost=Decimal("0.005615"))


def test_openai_reasoning_is_part_of_the_output():
    usage = {
        "prompt_tokens": 75,
        "completion_tokens": 1186,
        "total_tokens": 1261,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 1024},
    }
    reply, row = outcome("openai:gpt-5-mini", Fault(body=completion("gpt-5-mini-2025-08-07", usage)))

    # 75 x 0.25 + 1186 x 2; the 1024 are part of the output
    check(reply, row, counts=(75, 1186, 0, None, 1024), cost=Decimal("0.00239075"))


def test_openai_tool_calls():
    call = {
        "id": "call_abc123",
        "type": "function",
        "function": {"name": "get_current_weather", "arguments": '{\n"location": "Boston, MA"\n}'},
    }
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    usage = {
        "prompt_tokens": 82,
        "completion_tokens": 17,
        "total_tokens": 99,
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    body = completion("gpt-4o-mini", usage, message, "tool_calls")
    reply, row = outcome("openai:gpt-4o-mini", Fault(body=body), tools=[WEATHER])

    # 82 x 0.15 + 17 x 0.60 = 12.3 + 10.2
    check(reply, row, counts=(82, 17, None, None, 0), cost=Decimal("0.0000225"))
    assert (reply.finish_reason, row.finish_reason) == ("tool_calls", "tool_calls")
    assert reply.json()[0]["name"] == "get_current_weather"


def test_openai_streamed_usage_comes_with_the_last_chunk():
    head = {
        "id": "chatcmpl-123",
        "object": "chat.completion.chunk",
        "created": 1694268190,
        "model": "gpt-4o-mini",
        "system_fingerprint": "fp_44709d6fcb",
    }
    usage = {
        "prompt_tokens": 1117,
        "completion_tokens": 46,
        "total_tokens": 1163,
        "prompt_tokens_details": {"cached_tokens": 1024},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    chunks = [
        {
            **head,
            "choices": [
                {"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": None}
            ],
            "usage": None,
        },
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None},
        {**head, "choices": [], "usage": usage},
    ]
    body = b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    step = Fault(body=body, headers={"content-type": "text/event-stream"})
    reply, row = outcome("openai:gpt-4o-mini", step, on_text=lambda _text: None)

    # 93 x 0.15 + 1024 x 0.075 + 46 x 0.60 = 13.95 + 76.8 + 27.6
    check(reply, row, counts=(1117, 46, 1024, None, 0), cost=Decimal("0.00011835"))


def message(usage, content=None, stop_reason="end_turn", model="claude-sonnet-4-5-20250929"):
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content or [{"type": "text", "text": "Sunny."}],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }


@pytest.mark.parametrize(
    ("read", "written", "cost"),
    [
        (0, 188086, "0.2370935"),  # 21 x 1 + 188086 x 1.25 + 393 x 5 = 21 + 235107.5 + 1965
        (188086, 0, "0.0207946"),  # 21 x 1 + 188086 x 0.10 + 393 x 5 = 21 + 18808.6 + 1965
    ],
)
def test_anthropic_a_cache_that_is_written_or_read_counts_into_the_input(read, written, cost):
    usage = {
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "input_tokens": 21,
        "output_tokens": 393,
    }
    body = message(usage, model="claude-haiku-4-5-20251001")
    reply, row = outcome("anthropic:claude-haiku-4-5", Fault(body=body))

    check(reply, row, counts=(188107, 393, read, written, None), cost=Decimal(cost))


def test_anthropic_a_cache_kept_for_an_hour_costs_twice_the_input():
    usage = {
        "input_tokens": 2048,
        "cache_read_input_tokens": 1800,
        "cache_creation_input_tokens": 248,
        "output_tokens": 503,
        "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
    }
    reply, row = outcome("anthropic:claude-haiku-4-5", Fault(body=message(usage, model="claude-haiku-4-5")))

    # 2048 x 1 + 1800 x 0.10 + 148 x 1.25 + 100 x 2 + 503 x 5 = 2048 + 180 + 185 + 200 + 2515
    check(reply, row, counts=(4096, 503, 1800, 248, None), cost=Decimal("0.005128"))


def test_anthropic_the_higher_price_of_a_long_prompt_counts_cached_tokens_too():
    usage = {
        "input_tokens": 50,
        "cache_read_input_tokens": 200_000,
        "cache_creation_input_tokens": 1000,
        "output_tokens": 100,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1000},
    }
    reply, row = outcome("anthropic:claude-sonnet-4-5", Fault(body=message(usage)))

    # Above 200,000 tokens of input: 50 x 6 + 200000 x 0.60 + 1000 x 12 + 100 x 22.50
    expected = usd((50, 6), (200_000, "0.60"), (1000, 12), (100, "22.50"))
    check(reply, row, counts=(201_050, 100, 200_000, 1000, None), cost=expected)


def test_anthropic_tool_use():
    content = [
        {"type": "text", "text": "I'll check the current weather in San Francisco for you."},
        {
            "type": "tool_use",
            "id": "toolu_01A09q90qw90lq917835lq9",
            "name": "get_weather",
            "input": {"location": "San Francisco, CA", "unit": "celsius"},
        },
    ]
    usage = {"input_tokens": 472, "output_tokens": 89, "service_tier": "standard"}
    body = message(usage, content, "tool_use")
    reply, row = outcome("anthropic:claude-sonnet-4-5", Fault(body=body), tools=[WEATHER])

    # 472 x 3 + 89 x 15 = 1416 + 1335
    check(reply, row, counts=(472, 89, None, None, None), cost=Decimal("0.002751"))
    assert reply.finish_reason == "tool_calls"


def test_anthropic_streamed_tool_use_counts_the_last_account_once():
    start = message({"input_tokens": 472, "output_tokens": 2}, [], None)
    start["content"] = []
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Okay"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {
                "type": "tool_use",
                "id": "toolu_01T1x1fJ34qAmk2tNTrN7Up6",
                "name": "get_weather",
                "input": {},
            },
        },
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": '{"location":"SF"}'},
        },
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 89},
        },
        {"type": "message_stop"},
    ]
    body = b"".join(
        f"event: {event['type']}\ndata: ".encode() + orjson.dumps(event) + b"\n\n" for event in events
    )
    step = Fault(body=body, headers={"content-type": "text/event-stream"})
    reply, row = outcome("anthropic:claude-sonnet-4-5", step, on_text=lambda _text: None, tools=[WEATHER])

    check(reply, row, counts=(472, 89, None, None, None), cost=Decimal("0.002751"))


def test_an_answer_asked_for_twice_costs_both_times():
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    said = [{"role": "assistant", "content": text} for text in ("no JSON", '{"mood": "glad"}')]
    steps = [Fault(body=completion("gpt-4o", usage, item)) for item in said]
    schema = {"type": "object", "properties": {"mood": {"type": "string"}}, "required": ["mood"]}
    with (
        FaultServer(steps) as server,
        ainb.Session("openai:gpt-4o", api_base=server.base_url, config=Config()) as session,
    ):
        reply = session.ask("hi", schema=schema)

    # twice 100 x 2.50 + 10 x 10
    assert reply.usage.input_tokens == 200
    assert reply.cost_usd == Decimal("0.0007")
