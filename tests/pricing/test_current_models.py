"""Tests of prices of models of autumn 2026 against manual calculations: tiers, caches, dates."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

import ainb
from ainb.messages import Call, Message, Reply, Request, Usage
from ainb.pricing import Prices, quote
from ainb.pricing.quotes import input_bound
from ainb.providers import make_provider
from ainb.testing import FakeClock

MILLION = 1_000_000
OFF_PEAK = datetime(2026, 11, 27, 20, tzinfo=UTC)
PEAK = datetime(2026, 11, 27, 3, tzinfo=UTC)
# USD per million tokens: input, cache read, cache write (as input where it has no price), output.
TABLE = [
    ("openai", "gpt-6-astra", "10", "1", "12.5", "50"),
    ("openai", "gpt-6.1-sol", "2", "0.1", "2.5", "10"),
    ("openai", "gpt-6.1-terra", "1", "0.05", "1.25", "5"),
    ("openai", "gpt-6-luna", "0.1", "0.01", "0.125", "0.5"),
    ("openai", "gpt-5.4-nano", "0.2", "0.02", "0.2", "1.25"),
    ("gemini", "gemini-4-argon", "2", "0.1", "2", "10"),
    ("gemini", "gemini-3.8-flash", "0.75", "0.075", "0.75", "3.75"),
    ("gemini", "gemini-3.5-flash-lite", "0.3", "0.03", "0.3", "2.5"),
    ("anthropic", "claude-fable-5-2", "8", "0.2", "10", "40"),
    ("anthropic", "claude-opus-5-5", "4", "0.2", "5", "20"),
    ("anthropic", "claude-sonnet-5-5", "2", "0.1", "2.5", "10"),
    ("anthropic", "claude-haiku-5-5", "0.1", "0.01", "0.125", "0.5"),
    ("mistral", "mistral-large-4", "0.7", "0.07", "0.7", "2.1"),
    ("mistral", "mistral-small-2603", "0.15", "0.015", "0.15", "0.6"),
    ("deepseek", "deepseek-flash", "0.15", "0.003", "0.15", "0.6"),
]


def cost(provider, model, *, at=OFF_PEAK, **counts):
    kinds = {name: counts.pop(name) for name in ("batch", "service_tier") if name in counts}
    return Prices().cost(provider, model, Usage(**counts), at=at, **kinds)[0]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[1])
def test_each_column_of_the_price_list(row):
    provider, model, read, cached, written, out = row
    by_hand = (
        1_000 * Decimal(read) + 3_000 * Decimal(cached) + 2_000 * Decimal(written) + 700 * Decimal(out)
    ) / MILLION

    assert (
        cost(
            provider,
            model,
            input_tokens=6_000,
            cache_read_input_tokens=3_000,
            cache_creation_input_tokens=2_000,
            output_tokens=700,
            reasoning_output_tokens=300,
        )
        == by_hand
    )


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[1])
def test_a_batch_costs_half_but_at_deepseek(row):
    provider, model, read, _, _, out = row
    whole = (1_000 * Decimal(read) + 700 * Decimal(out)) / MILLION
    share = 1 if provider == "deepseek" else Decimal("0.5")

    assert cost(provider, model, input_tokens=1_000, output_tokens=700, batch=True) == whole * share


@pytest.mark.parametrize(
    ("provider", "model", "limit", "low", "high"),
    [
        # input, cache read, cache write, output: below and above the size that reprices the whole request
        ("openai", "gpt-6-astra", 272_000, ("10", "1", "12.5", "50"), ("20", "2", "25", "75")),
        ("openai", "gpt-6.1-sol", 272_000, ("2", "0.1", "2.5", "10"), ("4", "0.2", "5", "15")),
        ("openai", "gpt-6.1-terra", 272_000, ("1", "0.05", "1.25", "5"), ("2", "0.1", "2.5", "7.5")),
        ("openai", "gpt-6-luna", 272_000, ("0.1", "0.01", "0.125", "0.5"), ("0.2", "0.02", "0.25", "0.75")),
        ("anthropic", "claude-haiku-5-5", 100_000, ("0.1", "0.01", "0.125", "0.5"), ("0.5", "0.05", "0.625", "2.5")),  # noqa: E501
    ],
)  # fmt: skip
def test_a_long_prompt_reprices_the_whole_request(provider, model, limit, low, high):
    for size, prices in ((limit, low), (limit + 1, high)):
        read, cached, written, out = map(Decimal, prices)
        plain = size - 50_000 - 20_000
        by_hand = (plain * read + 50_000 * cached + 20_000 * written + 9_000 * out) / MILLION

        assert (
            cost(
                provider,
                model,
                input_tokens=size,
                cache_read_input_tokens=50_000,
                cache_creation_input_tokens=20_000,
                output_tokens=9_000,
            )
            == by_hand
        )


def test_claude_charges_twice_the_input_for_an_hour_in_its_cache():
    by_hand = (1_000 * Decimal(4) + 2_000 * Decimal(5) + 3_000 * Decimal(8) + 10 * Decimal(20)) / MILLION

    assert (
        cost(
            "anthropic",
            "claude-opus-5-5",
            input_tokens=6_000,
            cache_creation_input_tokens=5_000,
            cache_creation_1h_input_tokens=3_000,
            output_tokens=10,
        )
        == by_hand
    )


@pytest.mark.parametrize(
    ("provider", "model", "at", "read", "out"),
    [
        ("gemini", "gemini-4-argon", datetime(2026, 11, 30, 12, tzinfo=UTC), "2", "10"),
        ("gemini", "gemini-4-argon", datetime(2026, 12, 2, 12, tzinfo=UTC), "4", "20"),
        ("gemini", "gemini-3.8-flash", datetime(2026, 12, 31, 12, tzinfo=UTC), "0.75", "3.75"),
        ("gemini", "gemini-3.8-flash", datetime(2027, 1, 2, 12, tzinfo=UTC), "1.5", "7.5"),
        ("deepseek", "deepseek-flash", PEAK, "0.3", "1.2"),
    ],
)
def test_prices_change_with_the_date_and_the_hour(provider, model, at, read, out):
    by_hand = (1_000 * Decimal(read) + 700 * Decimal(out)) / MILLION

    assert cost(provider, model, at=at, input_tokens=1_000, output_tokens=700) == by_hand


LUNA = (1_000 * Decimal("0.1") + 700 * Decimal("0.5")) / MILLION


@pytest.mark.parametrize(
    ("asked", "answered", "factor"),
    [
        (None, None, "1"),
        (None, "default", "1"),
        ("auto", "default", "1"),
        ("flex", "flex", "0.5"),
        ("flex", "default", "1"),
        ("flex", None, "0.5"),
        ("priority", "priority", "2"),
        ("fast", "priority", "2"),
        ("priority", "default", "1"),
        (None, "priority", "2"),
    ],
)
def test_the_tier_that_answered_is_charged(asked, answered, factor):
    parameters = {} if asked is None else {"service_tier": asked}
    request = Request(provider="openai", model="gpt-6-luna", messages=(), parameters=parameters)
    provider = make_provider("openai", clock=FakeClock())
    usage = Usage(input_tokens=1_000, output_tokens=700)
    reply = Reply(text="x", model="gpt-6-luna", usage=usage, service_tier=answered)

    got = Prices().reply_cost(Call(request=request, provider=provider), reply)

    assert got == (LUNA * Decimal(factor), "table")


@pytest.mark.parametrize("model", ["meta-llama/llama-3.3-70b-instruct:free", "some/new-model:free"])
def test_free_models_of_openrouter_cost_nothing(model):
    assert Prices().cost("openrouter", model, Usage(input_tokens=10, output_tokens=10)) == (0, "free")
    assert ainb.price(f"openrouter:{model}", input_tokens=10, output_tokens=10) == 0
    request = Request(provider="openrouter", model=model, messages=(Message("user", "hi"),))
    assert quote(Prices(), request).usd == 0


@pytest.mark.parametrize(
    ("model", "words", "price"),
    [("gpt-6-luna", 3_000, "0.125"), ("gpt-6-luna", 100, "0.1"), ("gpt-5.4-nano", 3_000, "0.2")],
)
def test_a_quote_counts_what_a_long_prompt_may_write_to_the_cache(model, words, price):
    message = Message("user", " ".join(["tea"] * words))
    request = Request(provider="openai", model=model, messages=(message,), parameters={"max_tokens": 100})
    out = {"gpt-6-luna": "0.5", "gpt-5.4-nano": "1.25"}[model]

    by_hand = (input_bound(request) * Decimal(price) + 100 * Decimal(out)) / MILLION

    assert quote(Prices(), request).usd == by_hand


def test_a_quote_for_a_cheaper_tier_counts_the_usual_one_that_may_answer():
    def quoted(**parameters):
        message = Message("user", "hi")
        parameters["max_tokens"] = 100
        request = Request(provider="openai", model="gpt-6-luna", messages=(message,), parameters=parameters)
        return quote(Prices(), request).usd

    assert quoted(service_tier="flex") == quoted()
    assert quoted(service_tier="priority") == 2 * quoted()


@pytest.mark.parametrize(
    ("model", "parameters", "limit"),
    [
        ("openai:gpt-4o", {}, 4_096),
        ("openai:gpt-6-luna", {}, 4_096 + 8_192),
        ("openai:gpt-6-luna", {"effort": "none"}, 4_096),
        ("anthropic:claude-opus-5-5", {"effort": "high"}, 4_096 + 16_384),
        ("anthropic:claude-haiku-4-5", {"thinking": {"type": "enabled", "budget_tokens": 10_000}}, 14_096),
        ("openrouter:openai/gpt-6-luna", {"effort": "low"}, 4_096 + 4_096),
        ("openai:gpt-6-luna", {"max_tokens": 50}, None),
    ],
)
def test_a_hard_budget_leaves_room_for_thinking(model, parameters, limit):
    provider, _, name = model.partition(":")
    request = Request(provider=provider, model=name, messages=(Message("user", "hi"),), parameters=parameters)

    assert quote(Prices(), request).output_limit == limit
