"""Tests of long texts: work on them runs off the event loop, so that it does not delay other calls."""

from __future__ import annotations

import asyncio
import base64
import os
import threading

import pytest

import ainb
from ainb import tokens
from ainb.engine import ENGINE
from ainb.event_loop import LONG_CHARACTERS, is_long
from ainb.pipeline.cache import key
from ainb.pipeline.validation import rules
from ainb.pipeline.validation.validator import Validator
from ainb.providers.http import exchange
from ainb.providers.openai.adapter import OpenAIProvider
from tests.fault_server import FaultServer

SIZE = 120_000
TEXTS = {
    "prose": "the quick brown fox, 1 + 1 = 2. ",
    "Chinese": "你好世界",
    "a family": "\U0001f469‍\U0001f469‍\U0001f467 ",
    "combining marks": "ȩ́",
    "Arabic": "مرحبا بالعالم ",
    "keys": "api_key=sk-abc123def456ghi789jkl012mno345 ",
    "white space": "a" + " \t" * 50,
    "one letter": "x",
    "JSON": '{"a": [1, 2.5, null]}, ',
    "control characters": "a\x01\x02",
}
PICTURE = "data:image/png;base64," + base64.b64encode(os.urandom(300_000)).decode()
TOOL = {"type": "function", "function": {"name": "t", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {
    "type": "object",
    "properties": {f"field_{number}": {"type": "string"} for number in range(800)},
}


@pytest.fixture(scope="module")
def server():
    with FaultServer(record=False) as running:
        yield running


@pytest.fixture
def on_loop(monkeypatch):
    """Linear functions called with long texts on the loop's thread, and those so called on any thread."""
    on_it, called = [], set()

    def watch(module, name, size):
        real = getattr(module, name)

        def watched(*arguments, **options):
            if size(*arguments) > LONG_CHARACTERS:
                called.add(name)
                if threading.current_thread() is ENGINE._thread:
                    on_it.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(module, name, watched)

    watch(tokens, "_count_text", lambda _name, text: len(text))
    watch(key, "canonical", lambda value, _names=(): len(str(value)))
    watch(Validator, "passes", lambda _self, call: len(str(call.request.messages)))
    watch(Validator, "review", lambda _self, call: len(str(call.request)))
    watch(OpenAIProvider, "wire", lambda _self, request, *_rest: len(str(request.parameters)))
    watch(rules.Rule, "places", lambda _self, text: len(text))
    return on_it, called


def ask(server, monkeypatch, prompt, model="openai:gpt-4.1-mini", **options):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "made-up")
    kept = {name: options.pop(name) for name in ("budget", "rate_limit") if name in options}
    with ainb.Session(model, api_base=server.base_url, home=None, **kept) as session:
        return session.ask(prompt, **options)


@pytest.mark.parametrize("model", ["openai:gpt-4.1-mini", "anthropic:claude-haiku-4-5", "ollama:m"])
@pytest.mark.parametrize("text", TEXTS)
def test_a_long_prompt_is_checked_and_hashed_off_the_loop(server, monkeypatch, on_loop, text, model):
    long = (TEXTS[text] * SIZE)[:SIZE]

    ask(server, monkeypatch, long, model, cache="use")

    on_it, called = on_loop
    assert on_it == []
    assert {"canonical", "passes"} <= called


@pytest.mark.parametrize("text", ["prose", "Chinese", "keys"])
def test_a_budget_counts_a_long_prompt_off_the_loop(server, monkeypatch, on_loop, text):
    limits = {"budget": ainb.Budget(usd=10), "rate_limit": ainb.RateLimit(tokens_per_minute=10**9)}

    ask(server, monkeypatch, (TEXTS[text] * SIZE)[:SIZE], **limits)

    on_it, called = on_loop
    assert on_it == []
    assert "_count_text" in called


@pytest.mark.parametrize(
    ("prompt", "options"),
    [
        ("use them", {"tools": [TOOL] * 200}),
        ("use it", {"tools": [{**TOOL, "function": {"name": "t", "parameters": SCHEMA}}]}),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}], {}),
        ([{"role": "user", "content": [{"type": "text", "text": "word " * 30_000}]}], {}),
        ([{"role": "user", "content": "word " * 100}] * 300, {}),
        ("fill it", {"schema": SCHEMA, "budget": ainb.Budget(usd=10)}),
    ],
    ids=["tools", "one tool", "picture", "text part", "conversation", "schema"],
)
def test_long_parts_of_other_kinds_are_worked_on_off_the_loop(server, monkeypatch, on_loop, prompt, options):
    try:
        ask(server, monkeypatch, prompt, **options)
    except ainb.InvalidReplyError:
        assert "schema" in options  # the server echoes the prompt
    on_it, called = on_loop
    assert [name for name in on_it if name != "canonical" or "schema" not in options] == []
    assert called


@pytest.mark.parametrize("text", ["x" * 100_000, "你好 " * 20_000, "a\nb" * 30_000])
def test_a_reply_that_arrives_at_once_gives_other_tasks_their_turn(server, monkeypatch, text):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    turns, at_once = [], []
    real = exchange.Exchange._emit

    def emit(self, call, piece):
        at_once.append(len(turns))
        real(self, call, piece)

    async def count_turns():
        while True:
            turns.append(None)
            await asyncio.sleep(0)

    monkeypatch.setattr(exchange.Exchange, "_emit", emit)
    with ainb.Session("openai:gpt-4o-mini", api_base=server.base_url, home=None, cache=None) as session:
        counting = ENGINE.submit(count_turns())
        try:
            pieces = " ".join(text[place : place + 20] for place in range(0, len(text), 20))
            session.ask(pieces, on_text=lambda _text: None)
        finally:
            counting.cancel()
    most = max(at_once.count(turn) for turn in set(at_once))
    assert len(at_once) > 1_000
    # The end of one packet and the start of the next; an event has at least 100 bytes.
    assert most <= 2 * exchange.SLICE_BYTES // 100


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["x" * LONG_CHARACTERS], False),
        (["x" * (LONG_CHARACTERS + 1)], True),
        ([["x" * 5_000, "x" * 5_000]], True),
        ([{"a": {"b": ["x" * 9_000]}}], True),
        ([{"x" * 9_000: 1}], True),
        ([[0] * 1_000], True),
        ([[0] * 500], False),
        ([b"x" * 9_000], True),
        ([None, 1, 2.5, True], False),
        ([], False),
    ],
)
def test_which_values_are_long(values, expected):
    assert is_long(*values) is expected


def test_a_value_that_contains_itself_is_long():
    loop = []
    loop.append(loop)
    assert is_long(loop)
    table = {}
    table["a"] = table
    assert is_long(table)
