"""Tests of the user's price table: checks of its entries, and lookup."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ainb.errors import ConfigError
from ainb.pricing import PRICE_KEYS, PriceTable


def table(**entry):
    return PriceTable({"gpt-x": entry})


def test_a_table_is_read_exactly():
    rates = table(
        input_usd_per_million=0.1,
        output_usd_per_million="0.25",
        cache_read_usd_per_million=Decimal("0.01"),
        cache_write_usd_per_million=1,
        request_usd=0.005,
    ).find("any", "GPT-X")

    assert (rates.input, rates.output) == (Decimal("0.1"), Decimal("0.25"))
    assert (rates.cache_read, rates.cache_write) == (Decimal("0.01"), Decimal(1))
    assert rates.request == Decimal("0.005")


def test_what_an_entry_leaves_out_costs_nothing_but_cached_tokens_cost_as_input():
    rates = table(input_usd_per_million=3).find("any", "gpt-x")

    assert (rates.output, rates.cache_read, rates.request) == (0, None, 0)


@pytest.mark.parametrize(
    "value", [-1, float("nan"), float("inf"), "abc", None, True, [1], 10_001, "NaN", "-0.01"]
)
@pytest.mark.parametrize("key", PRICE_KEYS)
def test_a_price_that_makes_no_sense_is_refused(key, value):
    with pytest.raises(ConfigError, match=rf"prices\['gpt-x'\] {key} must be a number from 0 to 1"):
        table(**{key: value})


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("input_per_1k", "did you mean 'input_usd_per_million'?"),
        ("output_usd_per_milion", "did you mean 'output_usd_per_million'?"),
        ("zzz", "known are: input_usd_per_million"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(key, hint):
    with pytest.raises(ConfigError) as caught:
        table(**{key: 1})

    assert hint in str(caught.value)


@pytest.mark.parametrize("entry", [5, {}, None, "0.1"])
def test_an_entry_that_is_no_table_is_refused(entry):
    with pytest.raises(ConfigError, match="takes a table of input_usd_per_million"):
        PriceTable({"gpt-x": entry})


def test_the_most_particular_name_wins():
    prices = PriceTable(
        {
            "*": {"input_usd_per_million": 1},
            "gpt-5*": {"input_usd_per_million": 2},
            "openai:gpt-5*": {"input_usd_per_million": 3},
            "gpt-5-mini": {"input_usd_per_million": 4},
            "openai:gpt-5-mini": {"input_usd_per_million": 5},
        }
    )

    def rate(provider, model):
        return prices.find(provider, model).input

    assert rate("openai", "gpt-5-mini") == 5
    assert rate("azure", "gpt-5-mini") == 4
    assert rate("openai", "gpt-5-nano") == 3
    assert rate("azure", "gpt-5-nano") == 2
    assert rate("groq", "llama") == 1


def test_no_table_names_no_model():
    assert PriceTable().find("openai", "gpt-5") is None
