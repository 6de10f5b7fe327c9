"""Tests of the public functions for prices and cost estimates."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ainb.messages import Message
from ainb.pricing import Prices, estimate, price
from ainb.pricing.estimates import format_usd
from ainb.testing import FakeClock


@pytest.mark.parametrize("model", ["gpt-4o", "openai:gpt-4o", "openai/gpt-4o"])
def test_a_price_is_found_by_any_spelling_of_the_model(model):
    assert price(model, input_tokens=1_000, output_tokens=1_000) == Decimal("0.0125")


def test_a_price_takes_every_kind_of_token():
    paid = price(
        "anthropic:claude-haiku-4-5",
        input_tokens=3_000,
        output_tokens=1_000,
        cache_read_input_tokens=1_000,
        cache_creation_input_tokens=1_000,
        reasoning_output_tokens=500,
    )

    assert paid == Decimal("0.001") + Decimal("0.0001") + Decimal("0.00125") + Decimal("0.005")


def test_a_batch_is_cheaper():
    november = Prices(clock=FakeClock(unix=1_793_534_400.0))

    assert price("gpt-4o", input_tokens=1_000, batch=True, prices=november) == price(
        "gpt-4o", input_tokens=500
    )


def test_an_unknown_model_has_no_price_and_a_local_one_costs_nothing():
    assert price("openai:nope", input_tokens=1) is None
    assert price("nope", input_tokens=1) is None
    assert price("ollama:llama3.2", input_tokens=1) == 0


def test_a_price_list_of_ones_own_counts():
    own = Prices({"corp:bot": {"input_usd_per_million": 2}})

    assert price("corp:bot", input_tokens=10**6, prices=own) == 2


def test_an_estimate_spans_from_one_token_to_the_limit():
    found = estimate("hello world", model="openai:gpt-4o", max_tokens=1_000)

    assert (found.output_tokens_low, found.output_tokens_likely, found.output_tokens_high) == (1, 256, 1_000)
    assert found.input_tokens == 2 + 1 + 3 + 3
    assert found.cost_low < found.cost_likely < found.cost_high
    assert found.cost_high == price("gpt-4o", input_tokens=found.input_tokens, output_tokens=1_000)


def test_an_estimate_includes_the_usual_length_of_replies():
    assert estimate("hi", model="gpt-4o", likely_output_tokens=40).output_tokens_likely == 40
    assert estimate("hi", model="gpt-4o", max_tokens=10).output_tokens_likely == 10
    assert estimate("hi", model="gpt-4o").output_tokens_high == 4_096


def test_an_estimate_reads_like_a_sentence():
    messages = [Message("system", "Be brief."), Message("user", "Hi")]

    assert (
        repr(estimate(messages, model="gpt-5-mini", max_tokens=4_096, likely_output_tokens=256))
        == "Estimate(gpt-5-mini: about 15 tokens in, up to 4,096 out; $0.0000058 to $0.0082, likely $0.00052)"
    )
    assert "up to 12,288 out" in repr(estimate(messages, model="gpt-5-mini"))  # 8,192 of them for thinking
    assert "up to 4,096 out" in repr(
        estimate(messages, model="openai:gpt-5-mini", effort="none", max_tokens=4_096)
    )
    assert repr(estimate("hi", model="ollama:x")).endswith("up to 4,096 out; free)")
    assert repr(estimate("hi", model="nope")).endswith("up to 4,096 out; no price known)")


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        ("0", "$0.00"),
        ("1234.5", "$1,234.50"),
        ("0.1", "$0.10"),
        ("0.0421", "$0.042"),
        ("0.0000013", "$0.0000013"),
    ],
)
def test_dollars_are_written_as_people_write_them(usd, text):
    assert format_usd(Decimal(usd)) == text
