"""Tests of costs: manual calculations from published lists, genai-prices, free and unknown models."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.clock import SYSTEM_CLOCK
from ainb.messages import Call, Message, Reply, Request, Usage
from ainb.pricing import FREE_PROVIDERS, Prices, prices
from ainb.pricing.rates import Rates
from ainb.providers.scripted import ScriptedProvider
from ainb.providers.services import SERVICES
from ainb.testing import FakeClock

NEAR = Decimal("1e-9")
JULY = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, 12, tzinfo=UTC)


def cost(provider, model, *, table=None, at=JULY, **tokens):
    options = {name: tokens.pop(name) for name in ("free", "batch", "service_tier") if name in tokens}
    return Prices(table).cost(provider, model, Usage(**tokens), at=at, **options)


def openai_usage(body):
    return Usage(
        input_tokens=body["prompt_tokens"],
        output_tokens=body["completion_tokens"],
        cache_read_input_tokens=body["prompt_tokens_details"]["cached_tokens"],
        reasoning_output_tokens=body["completion_tokens_details"]["reasoning_tokens"],
        source="provider",
    )


def anthropic_usage(body):
    read, written = body["cache_read_input_tokens"], body["cache_creation_input_tokens"]
    return Usage(
        input_tokens=body["input_tokens"] + read + written,
        output_tokens=body["output_tokens"],
        cache_read_input_tokens=read,
        cache_creation_input_tokens=written,
        source="provider",
    )


def test_an_openai_body_with_cached_and_reasoning_tokens_costs_what_the_list_says():
    usage = openai_usage(
        {
            "prompt_tokens": 2_006,
            "completion_tokens": 1_300,
            "prompt_tokens_details": {"cached_tokens": 1_920},
            "completion_tokens_details": {"reasoning_tokens": 1_024},
        }
    )

    paid, source = Prices().cost("openai", "gpt-5-mini", usage, at=JULY)

    by_hand = (86 * Decimal("0.25") + 1_920 * Decimal("0.025") + 1_300 * Decimal(2)) / 1_000_000
    assert abs(paid - by_hand) < NEAR
    assert source == "table"


def test_an_anthropic_body_with_cache_reads_and_writes_costs_what_the_list_says():
    usage = anthropic_usage(
        {
            "input_tokens": 21,
            "cache_creation_input_tokens": 1_886,
            "cache_read_input_tokens": 18_000,
            "output_tokens": 393,
        }
    )

    paid, _ = Prices().cost("anthropic", "claude-haiku-4-5", usage, at=JULY)

    by_hand = (
        21 * Decimal(1) + 1_886 * Decimal("1.25") + 18_000 * Decimal("0.1") + 393 * Decimal(5)
    ) / 1_000_000
    assert abs(paid - by_hand) < NEAR


def test_a_long_prompt_pays_the_higher_tier_for_all_its_tokens():
    short, _ = cost("gemini", "gemini-2.5-pro", input_tokens=200_000, output_tokens=100)
    long, _ = cost("gemini", "gemini-2.5-pro", input_tokens=200_001, output_tokens=100)

    assert abs(short - (200_000 * Decimal("1.25") + 100 * Decimal(10)) / 1_000_000) < NEAR
    assert abs(long - (200_001 * Decimal("2.5") + 100 * Decimal(15)) / 1_000_000) < NEAR


@pytest.mark.parametrize(("hour", "rate"), [(2, "0.27"), (20, "0.135")])
def test_a_price_that_depends_on_the_hour_follows_the_clock(hour, rate):
    at = datetime(2026, 7, 1, hour, tzinfo=UTC)
    clock = FakeClock(unix=at.timestamp())
    usage = Usage(input_tokens=1_000_000, output_tokens=0)

    assert Prices().cost("deepseek", "deepseek-chat", usage, at=at)[0] == Decimal(rate)
    assert Prices(clock=clock).cost("deepseek", "deepseek-chat", usage)[0] == Decimal(rate)


def test_a_batch_pays_half():
    whole, _ = cost("openai", "gpt-4o", at=NOVEMBER, input_tokens=10**6, output_tokens=10**6)
    half, _ = cost("openai", "gpt-4o", at=NOVEMBER, input_tokens=10**6, output_tokens=10**6, batch=True)

    assert whole == Decimal("12.5")
    assert half == whole / 2


def test_a_service_tier_has_its_own_price():
    usual, _ = cost("openai", "gpt-4o", at=NOVEMBER, input_tokens=10**6, output_tokens=0)
    quick, _ = cost(
        "openai", "gpt-4o", at=NOVEMBER, input_tokens=10**6, output_tokens=0, service_tier="priority"
    )

    assert (usual, quick) == (Decimal("2.5"), Decimal("4.25"))
    assert (
        cost("openai", "gpt-4o", at=NOVEMBER, input_tokens=10**6, output_tokens=0, service_tier="auto")[0]
        == usual
    )


def test_a_batch_without_a_published_discount_pays_half():
    whole, _ = cost("groq", "llama-3.3-70b-versatile", input_tokens=10**6, output_tokens=10**6)

    assert (
        cost("groq", "llama-3.3-70b-versatile", input_tokens=10**6, output_tokens=10**6, batch=True)[0]
        == whole / 2
    )


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o"),
        ("azure", "gpt-4o"),
        ("anthropic", "claude-sonnet-4-5"),
        ("groq", "llama-3.3-70b-versatile"),
        ("mistral", "mistral-small-latest"),
        ("gemini", "gemini-2.5-flash"),
        ("openrouter", "anthropic/claude-haiku-4.5"),
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        ("deepseek", "deepseek-chat"),
        ("", "gpt-4o"),
    ],
)
def test_every_service_finds_its_published_prices(provider, model):
    paid, source = cost(provider, model, input_tokens=1_000, output_tokens=1_000)

    assert (paid > 0, source) == (True, "table")


@given(
    model=st.sampled_from(
        [
            ("openai", "gpt-4o"),
            ("anthropic", "claude-haiku-4-5"),
            ("gemini", "gemini-2.5-pro"),
            ("mistral", "mistral-small-latest"),
        ]
    ),
    plain=st.integers(0, 400_000),
    read=st.integers(0, 100_000),
    written=st.integers(0, 100_000),
    output=st.integers(0, 100_000),
    data=st.data(),
)
@settings(deadline=None, max_examples=100)
def test_every_cost_equals_the_one_that_genai_prices_computes(*, model, plain, read, written, output, data):
    from genai_prices import Usage as PricedUsage
    from genai_prices import calc_price

    thought = data.draw(st.integers(0, output))
    total = plain + read + written
    ours, _ = cost(
        *model,
        input_tokens=total,
        output_tokens=output,
        cache_read_input_tokens=read,
        cache_creation_input_tokens=written,
        reasoning_output_tokens=thought,
    )

    theirs = calc_price(
        PricedUsage(
            input_tokens=total,
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=written,
            output_reasoning_tokens=thought,
        ),
        model[1],
        provider_id="google" if model[0] == "gemini" else model[0],
        genai_request_timestamp=JULY,
    )
    assert abs(ours - theirs.total_price) < NEAR


@pytest.mark.parametrize(
    ("provider", "model", "tokens"),
    [
        ("openai", "my-finetune", {"input_tokens": 5, "output_tokens": 5}),
        ("nowhere", "gpt-4o", {"input_tokens": 5, "output_tokens": 5}),
        ("openai", "gpt-4o", {}),
        ("openai", "gpt-4o", {"input_tokens": 5}),
        ("gemini", "gemini-2.5-pro", {"input_tokens": 5}),
        ("openai", "whisper-1", {"input_tokens": 5, "output_tokens": 5}),
    ],
)
def test_what_is_not_known_is_unpriced_and_never_zero(provider, model, tokens):
    assert cost(provider, model, **tokens) == (None, "unpriced")


@pytest.mark.parametrize("provider", ["function", "openai", "nowhere"])
def test_without_a_token_count_the_published_list_is_not_loaded(monkeypatch, provider):
    def load(*_names):
        raise AssertionError("the list was loaded")

    for name in ("load_snapshot", "load_package", "find_model"):
        monkeypatch.setattr(prices, name, load)

    assert cost(provider, "any-model") == (None, "unpriced")


def test_a_price_for_each_request_and_none_for_tokens_needs_no_count():
    by_request = {"function:mine": {"request_usd": "0.25"}}
    by_both = {"function:mine": {"request_usd": "0.25", "output_usd_per_million": 1}}

    assert cost("function", "mine", table=by_request) == (Decimal("0.25"), "table")
    assert cost("function", "mine", table=by_both) == (None, "unpriced")


def test_an_embedding_needs_no_output_count():
    assert cost("openai", "text-embedding-3-small", input_tokens=10**6) == (Decimal("0.02"), "table")


def test_parts_larger_than_the_whole_never_make_a_negative_cost():
    flat, _ = cost("openai", "gpt-4o", input_tokens=10, output_tokens=5, cache_read_input_tokens=1_000)
    tiered, _ = cost(
        "gemini", "gemini-2.5-pro", input_tokens=10, output_tokens=5, cache_read_input_tokens=1_000
    )

    assert flat == 1_000 * Decimal("1.25e-6") + 5 * Decimal("10e-6")
    assert tiered == 1_000 * Decimal("0.125e-6") + 5 * Decimal("10e-6")


def test_a_free_service_costs_nothing_unless_the_table_prices_it():
    table = {"ollama:*": {"output_usd_per_million": 1}}

    assert cost("ollama", "llama3.2", free=True) == (Decimal(0), "free")
    assert cost("ollama", "llama3.2", free=True, table=table, input_tokens=9, output_tokens=10**6) == (
        1,
        "table",
    )


def test_the_free_services_are_those_of_the_service_table():
    assert {service.name for service in SERVICES.values() if service.free} == FREE_PROVIDERS


def test_reasoning_has_its_own_rate_where_one_is_published():
    rates = Rates(input=Decimal(1), output=Decimal(2), reasoning=Decimal(3), request=Decimal("0.005"))
    usage = Usage(input_tokens=10**6, output_tokens=3 * 10**6, reasoning_output_tokens=10**6)

    assert rates.cost(usage) == 1 + 2 * 2 + 3 + Decimal("0.005")


def test_rates_are_looked_up_once_a_model(monkeypatch):
    lookups = []
    real = prices._resolve
    monkeypatch.setattr(prices, "_resolve", lambda *names: lookups.append(names[:2]) or real(*names))
    lists = Prices()

    for model in ["gpt-4o", "nope", "gpt-4o", "nope"]:
        lists.cost("openai", model, Usage(input_tokens=1, output_tokens=1))

    assert lookups == [("openai", "gpt-4o"), ("openai", "nope")]


def call_to(model, provider="openai", *, free=False):
    adapter = ScriptedProvider(clock=SYSTEM_CLOCK)
    if not free:
        adapter = type("Paid", (ScriptedProvider,), {"free": False})(clock=SYSTEM_CLOCK)
    request = Request(provider=provider, model=model, messages=(Message("user", "hi"),))
    return Call(request=request, provider=adapter)


USAGE = Usage(input_tokens=10**6, output_tokens=0)


def test_the_model_that_answered_sets_the_price():
    reply = Reply(text="", model="gpt-4o-2024-05-13", usage=USAGE)

    assert Prices().reply_cost(call_to("gpt-4o-mini"), reply) == (Decimal(5), "table")


def test_an_unknown_answering_model_is_priced_as_the_one_asked():
    reply = Reply(text="", model="deployment-7", usage=USAGE)

    assert Prices().reply_cost(call_to("gpt-4o"), reply) == (Decimal("2.5"), "table")
    assert Prices().reply_cost(call_to("nope"), reply) == (None, "unpriced")


def test_the_table_entry_of_the_model_asked_wins_over_published_prices():
    table = {"openai:my-deployment": {"input_usd_per_million": 7}}
    reply = Reply(text="", model="gpt-4o", usage=USAGE)

    assert Prices(table).reply_cost(call_to("my-deployment"), reply) == (Decimal(7), "table")


def test_what_the_provider_reported_stands():
    reply = Reply(text="", model="gpt-4o", usage=USAGE, cost_usd=Decimal("0.42"), cost_source="provider")

    assert Prices().reply_cost(call_to("gpt-4o"), reply) == (Decimal("0.42"), "provider")


def test_a_free_providers_reply_is_free():
    reply = Reply(text="", model="gpt-4o", usage=USAGE)

    assert Prices().reply_cost(call_to("echo", "scripted", free=True), reply) == (Decimal(0), "free")


def test_many_threads_get_the_same_price():
    lists, start = Prices(), threading.Barrier(8)

    def ask():
        start.wait(5)
        return lists.cost("openai", "gpt-4o", USAGE)

    with ThreadPoolExecutor(8) as pool:
        costs = [job.result(30) for job in [pool.submit(ask) for _ in range(8)]]

    assert costs == [(Decimal("2.5"), "table")] * 8


def test_the_context_window_is_known_where_it_is_published():
    assert Prices().context_window("openai", "gpt-4o") == 128_000
    assert Prices().context_window("openai", "nope") is None


def test_the_users_table_may_price_a_cache_kept_for_an_hour():
    table = {"m": {"input_usd_per_million": 1, "cache_write_1h_usd_per_million": 4}}
    usage = Usage(
        input_tokens=1_000_000,
        output_tokens=0,
        cache_creation_input_tokens=1_000_000,
        cache_creation_1h_input_tokens=1_000_000 // 2,
    )

    assert Prices(table).cost("", "m", usage) == (Decimal("2.5"), "table")
