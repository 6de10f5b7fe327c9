"""Tests of completions: plain and streamed ones are read, and invalid ones are refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.messages import UNKNOWN_USAGE, Reply, Usage
from ainb.pipeline.plausible import drop_implausible
from ainb.providers.http.json_body import UnreadableError
from ainb.providers.openai.reply import Answer, read_cost, read_usage


def whole(message, finish_reason="stop", **more):
    return {
        "model": "m-1",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        **more,
    }


def streamed(*deltas):
    answer = Answer()
    pieces = [
        answer.add({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}) for delta in deltas
    ]
    answer.end()
    return answer.text, pieces


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "hi"}, "hi"),
        ({"content": ""}, ""),
        ({"content": None}, ""),
        ({}, ""),
        ({"content": None, "refusal": "I cannot"}, ""),  # a refusal is a separate error
        ({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "so"}]}, "so"),
        (
            {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
            '[{"name":"f","arguments":"{}"}]',
        ),
    ],
)
def test_the_text_of_a_message(message, text):
    assert Answer.read(whole(message)).text == text


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        {},
        {"choices": []},
        {"choices": None},
        {"choices": "x"},
        {"choices": [1]},
        {"choices": {"a": 1}},
        {"choices": [{}]},
        {"choices": [{"message": "x"}]},
        {"choices": [{"message": {"content": 7}}]},
    ],
)
def test_what_is_no_completion_is_refused(data):
    with pytest.raises(UnreadableError):
        Answer.read(data)


def test_fields_of_wrong_type_are_unknown():
    answer = Answer.read(whole({"content": "hi"}, finish_reason=3, usage="many") | {"model": {}})

    assert (answer.model, answer.finish_reason) == (None, None)
    assert read_usage(answer.usage) == UNKNOWN_USAGE


def test_streamed_tool_calls_are_put_together():
    text, pieces = streamed(
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
    )

    assert text == '[{"name":"f","arguments":"{\\"a\\":1}"}]'
    assert pieces == ["", ""]


def test_only_the_first_of_several_streamed_answers_counts():
    answer = Answer()

    assert answer.add({"choices": [{"index": 1, "delta": {"content": "no"}}]}) == ""
    assert not answer.begun


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(
                input_tokens=10,
                output_tokens=5,
                cache_read_input_tokens=4,
                cache_creation_input_tokens=2,
                reasoning_output_tokens=3,
                source="provider",
            ),
        ),
        (
            {"prompt_tokens": 0, "completion_tokens": -1, "prompt_cache_hit_tokens": 0},
            UNKNOWN_USAGE,
        ),
        ({"prompt_tokens": True, "completion_tokens": "5"}, UNKNOWN_USAGE),
        (None, UNKNOWN_USAGE),
        ([1], UNKNOWN_USAGE),
    ],
)
def test_tokens_are_counts_or_unknown(raw, usage):
    reply = Reply(text="", usage=read_usage(raw))
    drop_implausible(reply)  # as done with every reply

    assert reply.usage == usage


def test_reasoning_that_is_only_in_the_total_is_added_to_the_output():
    raw = {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623}

    assert read_usage(raw, reasoning_apart=True).output_tokens == 603
    assert read_usage(raw).output_tokens == 198


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"cost": 0.00014}, Decimal("0.00014")),
        ({"cost": 0}, Decimal(0)),
        ({"cost": -1}, None),
        ({"cost": True}, None),
        ({}, None),
        (7, None),
    ],
)
def test_a_reported_price_is_exact_or_none(usage, cost):
    assert read_cost(usage) == cost


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**53) | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "delta",
                    "content",
                    "type",
                    "text",
                    "usage",
                    "model",
                    "tool_calls",
                    "function",
                    "index",
                    "finish_reason",
                    "prompt_tokens",
                    "completion_tokens",
                    "total_tokens",
                    "cost",
                    "name",
                    "arguments",
                    "refusal",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)
NEAR = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.fixed_dictionaries(
                {}, optional={"message": ANY, "delta": ANY, "index": ANY, "finish_reason": ANY}
            ),
            max_size=2,
        )
    },
    optional={"usage": ANY, "model": ANY},
)


@settings(deadline=None, max_examples=200)
@given(st.one_of(ANY, NEAR))
def test_any_json_is_an_answer_or_unreadable(data):
    try:
        answer = Answer.read(data)
    except UnreadableError:
        return
    assert isinstance(answer.text, str)
    read_usage(answer.usage, reasoning_apart=True)
    read_cost(answer.usage)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(ANY, NEAR), max_size=4))
def test_any_chunks_are_an_answer_or_unreadable(chunks):
    answer = Answer()
    try:
        pieces = [answer.add(chunk) for chunk in chunks]
    except UnreadableError:
        return
    answer.end()
    assert all(isinstance(piece, str) for piece in pieces)
    read_usage(answer.usage)
