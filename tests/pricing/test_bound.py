"""Tests of the upper bound of a cost: never below the counted quote, None where that is uncertain."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb import tokens
from ainb.messages import Message, Request
from ainb.pricing import Prices, bound, quote

PRICES = Prices({"own": {"input_usd_per_million": 3, "output_usd_per_million": 5}})
MODELS = [
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-6-luna"),
    ("anthropic", "claude-haiku-4-5"),
    ("gemini", "gemini-2.5-pro"),
    ("mistral", "mistral-small-latest"),
    ("groq", "llama-3.1-8b-instant"),
    ("ollama", "own"),
]
ROLES = ["user", "system", "assistant"]


SCHEMA = {"type": "object", "properties": {"label": {"enum": ["positive", "négatif", "中性"]}}}


class Label:
    name = "label"
    json_schema = SCHEMA
    check = staticmethod(str)


def request(model, texts, schema=None, **parameters):
    messages = tuple(Message(ROLES[place % 3], text) for place, text in enumerate(texts))
    return Request(provider=model[0], model=model[1], messages=messages, schema=schema, parameters=parameters)


@given(
    model=st.sampled_from(MODELS),
    texts=st.lists(st.text(max_size=300), min_size=1, max_size=4),
    schema=st.sampled_from([None, Label()]),
    most=st.sampled_from([None, 1, 500]),
    answers=st.sampled_from([1, 3]),
)
@settings(deadline=None, max_examples=400)
def test_the_bound_is_at_or_above_the_quote(model, texts, schema, most, answers):
    asked = request(model, texts, schema, n=answers, **({} if most is None else {"max_tokens": most}))
    rough, exact = bound(PRICES, asked), quote(PRICES, asked)
    assert tokens.bound_request(asked) >= tokens.count_request(asked).tokens
    assert rough.usd >= exact.usd > 0
    assert rough.output_limit == exact.output_limit


@pytest.mark.parametrize(
    "asked",
    [
        request(MODELS[0], ["x" * 5_000]),
        request(MODELS[0], ["x"], tools=[{"type": "function"}]),
        request(MODELS[0], ["x"], response_format={"type": "json_object"}),
        request(MODELS[0], [[{"type": "image_url", "image_url": {"url": "data:"}}]]),
        request(("openai", "gpt-4"), ["x" * 4_096]),
    ],
)
def test_what_must_be_counted_has_no_bound(asked):
    assert bound(PRICES, asked) is None


def test_a_model_without_a_price_has_no_number():
    assert bound(PRICES, request(("nowhere", "m"), ["x"])).usd is None
