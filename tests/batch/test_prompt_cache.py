"""Tests of the layout for prompt caching: the text before the first row field is marked and unchanged."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pandas as pd
import pytest

from ainb.batch.running.warm_up import MAX_FAILURES, WarmUp
from ainb.errors import ConfigError
from ainb.messages import Call, Message, Reply, Request
from ainb.model_rules import SharedPrefix, prompt_cache_of
from ainb.panels.cost import key_figures
from ainb.providers.remote.cache_layout import CacheKeys
from ainb.testing import FakeClock
from tests.fault_server import Fault
from tests.providers.billing_server import BillingServer, Model, count_tokens

RULES = " ".join(f"Rule {number}: a review that praises thing {number} is positive." for number in range(150))
INSTRUCTION = f"{RULES}\nReview: "
SCHEMA = "label: positive|negative"
LAID_OUT = ("openai:gpt-6-luna", "anthropic:claude-haiku-5-5")


def table(rows=40):
    return pd.DataFrame(
        {"text": [f"it is {'good' if row % 3 else 'bad'}, says {row}" for row in range(rows)]}
    )


def texts_of(body):
    """The messages with their parts joined."""

    def joined(content):
        return content if isinstance(content, str) else "".join(part["text"] for part in content)

    system = [{"role": "system", "content": body["system"]}] if "system" in body else []
    return [(item["role"], joined(item["content"])) for item in [*system, *body["messages"]]]


def marks_of(body):
    return json.dumps(body).count('"cache_control"') + json.dumps(body).count('"prompt_cache_breakpoint"')


@pytest.mark.parametrize("model", LAID_OUT)
@pytest.mark.parametrize("delay", [0.0, 0.02])
def test_every_row_but_the_first_reads_the_cached_prefix(make_session, model, delay):
    with BillingServer(answer_seconds=delay) as server:
        frame = make_session(server, model).map(table(), INSTRUCTION + "{text}", schema=SCHEMA)

    assert (frame["status"] == "ok").all()
    assert frame["label"].tolist() == ["positive" if row % 3 else "negative" for row in range(40)]
    assert (len(server.bills), server.reads) == (40, 39)
    assert sum(bill.written > 0 for bill in server.bills) == 1


@pytest.mark.parametrize("model", LAID_OUT)
def test_a_plain_message_reads_nothing(make_session, model):
    with BillingServer() as server:
        make_session(server, model).map(table(), INSTRUCTION + "{text}", schema=SCHEMA, prompt_cache="off")

    assert server.reads == 0
    assert all(
        marks_of(seen.body) == 0 and "prompt_cache_options" not in seen.body for seen in server.requests
    )


@pytest.mark.parametrize("model", LAID_OUT)
@pytest.mark.parametrize(
    ("template", "system"),
    [
        (INSTRUCTION + "{text}", None),
        (INSTRUCTION + "{text}\nAnswer in one word.", None),
        ("{text}", RULES),
        ("  {text}", RULES),
        (INSTRUCTION + "{text}", "Be brief."),
        (INSTRUCTION + "{{{text}}}", None),
        ("Voilà — " + INSTRUCTION + "{text} 🎉", "Sois bref."),
    ],
)
def test_joined_the_text_is_the_same_byte_for_byte(make_session, model, template, system):
    with BillingServer() as server:
        session = make_session(server, model, cache=None)
        options = {} if system is None else {"system": system}
        session.map(table(3), template, schema=SCHEMA, resume=False, **options)
        laid_out = sorted(texts_of(seen.body) for seen in server.requests)
        assert {marks_of(seen.body) for seen in server.requests} == {1}
        server.requests.clear()
        session.map(table(3), template, schema=SCHEMA, resume=False, prompt_cache="off", **options)

    assert laid_out == sorted(texts_of(seen.body) for seen in server.requests)
    usage = session.usage()
    assert usage["prompt_sha256"].nunique() == 3
    assert usage["row_key"].nunique() == 3


@pytest.mark.parametrize("model", LAID_OUT)
def test_rows_cost_what_the_provider_bills(make_session, model):
    with BillingServer() as server:
        session = make_session(server, model)
        frame = session.map(table(), INSTRUCTION + "{text}", schema=SCHEMA)

    costs = session.costs().iloc[0]
    plain = sum(bill.plain + bill.read + bill.written for bill in server.bills)
    assert frame["cost_usd"].sum() == pytest.approx(float(server.usd), abs=1e-12)
    assert costs["cost_usd"] == pytest.approx(float(server.usd), abs=1e-12)
    assert costs["cache_read_input_tokens"] == sum(bill.read for bill in server.bills)
    assert costs["cache_creation_input_tokens"] == sum(bill.written for bill in server.bills)
    assert costs["provider_saved_usd"] == pytest.approx(plain * 0.1e-6 - float(server.input_usd), abs=1e-12)
    assert pd.isna(costs["saved_usd"])
    assert session.usage()["rows"].tolist() == [1] * 40


def test_an_older_model_gets_a_key_and_no_row_waits(make_session):
    with BillingServer() as server:
        make_session(server, "openai:gpt-5.4-nano").map(table(60), INSTRUCTION + "{text}", schema=SCHEMA)

    keys = [seen.body["prompt_cache_key"] for seen in server.requests]
    assert len(set(keys)) == 4
    assert {key.rpartition("-")[0] for key in keys} == {keys[0].rpartition("-")[0]}
    assert all(
        marks_of(seen.body) == 0 and "prompt_cache_options" not in seen.body for seen in server.requests
    )


@pytest.mark.parametrize(("requests", "most"), [(1, 1), (15, 1), (16, 2), (60, 4), (2_000, 32)])
def test_keys_are_sharded_by_the_minute_and_used_again(requests, most):
    keys = CacheKeys()

    first = Counter(keys.next("p", number * 0.01) for number in range(requests))
    second = Counter(keys.next("p", 61.0 + number * 0.01) for number in range(requests))

    assert len(first) == len(second) == most
    assert set(first) == set(second)
    assert max(second.values()) - min(second.values()) <= 1
    assert keys.next("q", 61.0) not in first


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("openai:gpt-6-luna", 30),
        ("anthropic:claude-haiku-5-5", 30),
        ("anthropic:claude-haiku-4-5", 150),
        ("openai:gpt-5.4-nano", 30),
    ],
)
def test_below_the_minimum_nothing_is_marked_and_no_row_waits(make_session, model, words):
    text = " ".join(f"Rule {number}: be kind." for number in range(words)) + " {text}"
    with BillingServer(answer_seconds=0.05) as server:
        make_session(server, model).map(table(4), text, schema=SCHEMA)

    assert all(marks_of(seen.body) == 0 for seen in server.requests)
    assert all("prompt_cache_key" not in seen.body for seen in server.requests)
    assert server.peak > 1


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ("anthropic:claude-haiku-5-5", {"cache_control": {"type": "ephemeral"}, "system": "Be brief."}),
        ("openai:gpt-6-luna", {"extra_body": {"prompt_cache_key": "mine"}}),
        ("openai:gpt-6-luna", {"extra_body": {"prompt_cache_options": {"mode": "implicit"}}}),
        ("openai:gpt-5.4-nano", {"extra_body": {"prompt_cache_key": "mine"}}),
    ],
)
def test_a_layout_of_the_user_is_left_as_it_is(make_session, model, given):
    with BillingServer() as server:
        make_session(server, model).map(table(3), INSTRUCTION + "{text}", schema=SCHEMA, **given)

    for seen in server.requests:
        assert "prompt_cache_breakpoint" not in json.dumps(seen.body)
        assert seen.body.get("prompt_cache_key", "mine") == "mine"
        assert isinstance(seen.body["messages"][-1]["content"], str)


REFUSALS = [
    ("openai:gpt-6-luna", "Unknown parameter: 'prompt_cache_options'.", "unknown_parameter"),
    ("openai:gpt-6-luna", "Unknown parameter: 'messages[0].content[0].prompt_cache_breakpoint'.", None),
    ("openai:gpt-6-luna", "messages[0].content must be a string", None),
    ("openai:gpt-5.4-nano", "Unrecognized request argument supplied: prompt_cache_key", None),
    (
        "anthropic:claude-haiku-5-5",
        "messages.0.content.0.cache_control: Extra inputs are not permitted",
        None,
    ),
    ("anthropic:claude-haiku-5-5", "messages.0.content: Input should be a valid string", None),
]


@pytest.mark.parametrize(("model", "words", "code"), REFUSALS)
def test_a_refused_layout_is_learnt_without_a_notice(make_session, events, model, words, code):
    def plan(seen):
        body = seen.body
        if marks_of(body) or "prompt_cache_key" in body or "prompt_cache_options" in body:
            return Fault(status=400, message=words, code=code)
        return None

    with BillingServer(refuse=plan) as server:
        session = make_session(server, model)
        frame = session.map(table(60), INSTRUCTION + "{text}", schema=SCHEMA)
        refused = sum(seen.body != {} and marks_of(seen.body) > 0 for seen in server.requests)

    assert (frame["status"] == "ok").all()
    # Without cache marks no row is sent first, so all rows of the first round are refused.
    assert refused <= 1 if model != "openai:gpt-5.4-nano" else len(server.requests) < 100
    assert not [event for event in events if "cache" in str(getattr(event, "text", ""))]


class Marking:
    """A provider that caches prefixes for 300 s."""

    def cache_seconds(self, _request):
        return 300.0


def waiting_call():
    shared = SharedPrefix("rules", 0, 2_000)
    request = Request(provider="p", model="m", messages=(Message("user", "rules row"),), shared=shared)
    return Call(request=request, provider=Marking())


@pytest.mark.parametrize(("pause", "ahead"), [(0.0, 0), (299.0, 0), (301.0, 1), (3_600.0, 1)])
def test_a_prefix_is_warmed_again_when_the_pause_outlived_it(pause, ahead):
    clock, started = FakeClock(), []
    warm_up, gate = WarmUp(clock), asyncio.Event()

    async def handle(call):
        started.append(call)
        call.attempts = 1
        await gate.wait()
        call.replies.append(Reply(text="x"))
        return call.replies[-1]

    async def send(count):
        started.clear()
        gate.clear()
        rows = [asyncio.ensure_future(warm_up.send(waiting_call(), handle)) for _ in range(count)]
        for _ in range(20):
            await asyncio.sleep(0)
        in_flight = len(started)
        gate.set()
        await asyncio.gather(*rows)
        return in_flight

    async def run():
        assert await send(5) == 1
        clock.advance(pause)
        return await send(5)

    assert asyncio.run(run()) == (1 if ahead else 5)


@pytest.mark.parametrize("moment", ["first piece", "answer"])
def test_other_rows_start_at_the_first_piece_of_a_streamed_row(moment):
    warm_up, started = WarmUp(FakeClock()), []
    begun, gate = asyncio.Event(), asyncio.Event()

    async def handle(call):
        started.append(call)
        call.attempts = 1
        await begun.wait()
        if moment == "first piece":
            call.fork().emit("a", 0.0)
        await gate.wait()
        call.replies.append(Reply(text="x"))
        return call.replies[-1]

    async def run():
        rows = [asyncio.ensure_future(warm_up.send(waiting_call(), handle)) for _ in range(5)]
        begun.set()
        for _ in range(40):
            await asyncio.sleep(0)
        in_flight = len(started)
        gate.set()
        await asyncio.gather(*rows)
        return in_flight

    assert asyncio.run(run()) == (5 if moment == "first piece" else 1)


@pytest.mark.parametrize("model", LAID_OUT)
def test_rows_are_sent_although_the_first_row_fails(make_session, model):
    failing = [Fault(status=400, message="no")] * (MAX_FAILURES + 2)
    with BillingServer(refuse=lambda _seen: failing.pop() if failing else None) as server:
        frame = make_session(server, model, retry=None).map(table(20), INSTRUCTION + "{text}", schema=SCHEMA)

    assert (frame["status"] == "ok").sum() == 20 - (MAX_FAILURES + 2)


@pytest.mark.parametrize("model", LAID_OUT)
def test_cached_rows_do_not_delay_the_warm_up(make_session, model):
    with BillingServer() as server:
        session = make_session(server, model)
        session.map(table(10), INSTRUCTION + "{text}", schema=SCHEMA)
        frame = session.map(table(30), INSTRUCTION + "{text}", schema=SCHEMA)

    assert frame["cached"].sum() == 10
    assert sum(bill.written > 0 for bill in server.bills) <= 2


@pytest.mark.parametrize("value", ["on", True, None, 1, "AUTO"])
def test_a_wrong_prompt_cache_is_refused(make_session, value):
    with BillingServer() as server, pytest.raises(ConfigError, match="prompt_cache must be 'auto' or 'off'"):
        make_session(server, "openai:gpt-6-luna").map(table(1), "x {text}", prompt_cache=value)

    assert server.hits == 0


def test_the_instruction_reaches_every_minimum():
    assert count_tokens(INSTRUCTION) > 1_024
    assert isinstance(Model("1", "1", "1", "1", 1), Model)


def test_cost_reports_name_what_the_provider_saved(make_session):
    with BillingServer() as server:
        session = make_session(server, "openai:gpt-6-luna")
        session.map(table(10), INSTRUCTION + "{text}", schema=SCHEMA)
        figures = repr(key_figures(session))

    assert "saved by providers' caches" in figures


@pytest.mark.parametrize(
    ("service", "model", "kind", "minimum"),
    [
        ("openai", "gpt-6-luna", "breakpoint", 1_024),
        ("openai", "gpt-6.1-terra", "breakpoint", 1_024),
        ("openai", "ft:gpt-5.6-mini:team", "breakpoint", 1_024),
        ("azure", "gpt-5.9", "breakpoint", 1_024),
        ("openai", "gpt-5.5", "key", 1_024),
        ("openai", "gpt-5-mini", "key", 1_024),
        ("openai", "gpt-4o", "key", 1_024),
        ("openai", "o3", "key", 1_024),
        ("openai", "gpt-4-turbo", None, None),
        ("openai", "gpt-3.5-turbo", None, None),
        ("openai", "text-embedding-3-small", None, None),
        ("anthropic", "claude-haiku-5-5", "mark", 512),
        ("anthropic", "claude-opus-5", "mark", 512),
        ("anthropic", "claude-fable-5-2", "mark", 512),
        ("anthropic", "claude-sonnet-5", "mark", 1_024),
        ("anthropic", "claude-sonnet-4-5-20250929", "mark", 1_024),
        ("anthropic", "claude-opus-4-7", "mark", 2_048),
        ("anthropic", "claude-opus-4-6", "mark", 4_096),
        ("anthropic", "claude-haiku-4-5", "mark", 4_096),
        ("anthropic", "us.anthropic.claude-haiku-4-5-v1:0", "mark", 4_096),
        ("anthropic", "claude-3-5-haiku-latest", "mark", 2_048),
        ("anthropic", "another-model", None, None),
        ("openrouter", "anthropic/claude-haiku-5-5", None, None),
        ("local", "smollm2", None, None),
        ("gemini", "gemini-3.5-flash-lite", None, None),
    ],
)
def test_what_each_family_caches(service, model, kind, minimum):
    found = prompt_cache_of(service, model)

    assert (found and found.kind, found and found.minimum_tokens) == (kind, minimum)


@pytest.mark.parametrize("model", ["gpt-6-luna", "claude-haiku-5-5"])
def test_a_line_of_a_batch_job_is_marked_too_and_for_an_hour_where_that_can_be_said(make_session, model):
    with BillingServer() as server:
        service = "openai" if model.startswith("gpt") else "anthropic"
        session = make_session(server, f"{service}:{model}")
        shared = SharedPrefix(INSTRUCTION, 0, 2_000)
        request = Request(
            provider=service,
            model=model,
            messages=(Message("user", INSTRUCTION + "it is good"),),
            api_base=server.base_url,
            shared=shared,
        )
        line = session.core.provider(service).batches(request).line("id-1", request).decode()

    assert marks_of(json.loads(line)) == 1
    assert ('"ttl":"1h"' in line.replace(" ", "")) == (service == "anthropic")
