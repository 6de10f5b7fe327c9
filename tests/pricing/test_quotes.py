"""Tests of quotes: the maximum cost of an attempt."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from ainb import tokens
from ainb.messages import Message, Request
from ainb.pricing import Prices, Quote, quote

PRICES = Prices({"mine": {"output_usd_per_million": 1}, "small": {"input_usd_per_million": 1}})


def request(model="gpt-4o", provider="openai", content="hello there", operation="chat", **parameters):
    return Request(
        provider=provider,
        model=model,
        messages=(Message("user", content),),
        parameters=parameters,
        operation=operation,
    )


def test_a_request_with_a_limit_is_quoted_at_prompt_plus_limit():
    asked = request(max_tokens=100)
    prompt = tokens.count_request(asked).tokens

    expected = (prompt * Decimal("2.5") + 100 * Decimal(10)) / 1_000_000
    assert quote(PRICES, asked) == Quote(usd=expected, output_limit=None)


@pytest.mark.parametrize("name", ["max_completion_tokens", "max_output_tokens"])
def test_every_name_of_the_output_limit_counts(name):
    assert quote(PRICES, request(**{name: 100})) == quote(PRICES, request(max_tokens=100))


def test_without_a_limit_4096_tokens_are_quoted_and_named():
    quoted = quote(PRICES, request("mine"))

    assert quoted == Quote(usd=Decimal("0.004096"), output_limit=4_096)


def test_the_limit_never_passes_what_the_models_context_leaves():
    long = request("gpt-4", content="word " * 6_000)
    left = 8_192 - tokens.count_request(long).tokens

    assert quote(PRICES, long).output_limit == left
    assert 0 < left < 4_096


def test_every_choice_is_quoted():
    assert quote(PRICES, request("mine", max_tokens=10, n=3)).usd == Decimal("0.00003")


def test_a_free_model_is_quoted_at_nothing_and_an_unknown_one_not_at_all():
    assert quote(PRICES, request("llama", "ollama"), free=True) == Quote(usd=Decimal(0))
    assert quote(PRICES, request("nope")) == Quote(usd=None)


def test_a_free_model_with_a_price_of_ones_own_is_quoted():
    assert quote(PRICES, request("mine", "ollama"), free=True).usd > 0


def test_another_vendors_tokens_are_quoted_with_a_margin():
    foreign, own = request("small", max_tokens=1), Prices({"gpt-4o": {"input_usd_per_million": 1}})
    prompt = tokens.count_request(foreign).tokens

    assert quote(PRICES, foreign).usd == Decimal(math.ceil(prompt * 1.35)).scaleb(-6)
    assert quote(own, request(max_tokens=1)).usd == Decimal(prompt).scaleb(-6)


def test_a_prompt_that_is_to_be_cached_is_quoted_at_the_price_of_writing():
    part = {"type": "text", "text": "hello there", "cache_control": {"type": "ephemeral"}}
    plain = quote(PRICES, request("claude-haiku-4-5", "anthropic", max_tokens=0))
    cached = quote(PRICES, request("claude-haiku-4-5", "anthropic", content=[part], max_tokens=0))
    by_parameter = quote(
        PRICES, request("claude-haiku-4-5", "anthropic", max_tokens=0, cache_control={"type": "ephemeral"})
    )

    assert cached.usd == by_parameter.usd == plain.usd * Decimal("1.25")


def test_a_prompt_that_is_to_be_cached_for_an_hour_is_quoted_at_that_price():
    plain = quote(PRICES, request("claude-haiku-4-5", "anthropic", max_tokens=0))
    kept = {"type": "ephemeral", "ttl": "1h"}
    cached = quote(PRICES, request("claude-haiku-4-5", "anthropic", max_tokens=0, cache_control=kept))

    assert cached.usd == plain.usd * 2


def test_behind_pydantic_ai_the_provider_that_charges_is_quoted():
    direct = quote(PRICES, request("claude-haiku-4-5", "anthropic", max_tokens=10))

    assert quote(PRICES, request("anthropic:claude-haiku-4-5", "pydantic", max_tokens=10)).usd == direct.usd


def test_an_embedding_has_no_output():
    quoted = quote(PRICES, request("text-embedding-3-small", operation="embeddings"))

    assert quoted.output_limit is None
    assert Decimal(0) < quoted.usd < Decimal("0.000001")
