"""Tests of the search for a value: thinking of several models, corrections, repeated keys, hostile texts."""

from __future__ import annotations

import json
from typing import Annotated

import annotated_types
import pydantic
import pytest

import ainb
from ainb.errors import InvalidReplyError
from ainb.fences import fences
from ainb.pipeline.answer import find_value, read_schema

SCHEMA = read_schema("label: pos|neg")
YES, NO = '{"label": "pos"}', '{"label": "neg"}'
FENCED = f"```json\n{NO}\n```"

THINKING = {
    "a fence in it": f"<think>\n{FENCED}\n</think>\n{YES}",
    "no opening mark": f"maybe {NO}\n</think>\n{YES}",
    "a fence, no opening mark": f"{FENCED}\n</think>\n\n{YES}",
    "two ends": f"{NO}</think>hm {NO}</think>{YES}",
    "attributes": f'<think time="3">{NO}</think>{YES}',
    "upper case": f"<THINK>{NO}</THINK>{YES}",
    "thought": f"<thought>{NO}</thought>{YES}",
    "scratchpad": f"<scratchpad>{NO}</scratchpad>{YES}",
    "Mistral": f"[THINK]{NO}[/THINK]{YES}",
    "Mistral, no opening mark": f"{NO}[/THINK]{YES}",
    "Kimi": f"\u25c1think\u25b7{NO}\u25c1/think\u25b7{YES}",
    "channels": f"<|channel|>analysis<|message|>{NO}<|end|>"
    f"<|start|>assistant<|channel|>final<|message|>{YES}",
    "fence after it": f"<think>{NO}</think>\n```json\n{YES}\n```",
    "two blocks": f"<think>{NO}</think><reasoning>{NO}</reasoning>{YES}",
}
UNFINISHED = {
    "a value": f"<think>{NO}",
    "a fence": f"<think>\n{FENCED}\n so",
    "Mistral": f"[THINK]{NO}",
    "channels": f"<|channel|>analysis<|message|>{NO}",
}


@pytest.mark.parametrize("text", THINKING.values(), ids=THINKING)
def test_a_value_in_the_thinking_is_not_the_answer(text):
    assert find_value(SCHEMA, text) == {"label": "pos"}


@pytest.mark.parametrize("text", UNFINISHED.values(), ids=UNFINISHED)
def test_a_value_in_unfinished_thinking_is_not_the_answer(text):
    with pytest.raises(ValueError, match="Expecting value"):
        find_value(SCHEMA, text)


@pytest.mark.parametrize(
    "text",
    [
        f"{FENCED}\nOn reflection the answer is {YES}",
        f"{YES} would be wrong.\n{FENCED}",
        f"~~~\n{NO}\n~~~\nor {YES}",
        f"{FENCED}\n```\n{YES}",
    ],
)
def test_a_fence_and_another_value_outside_of_it_are_two_values(text):
    with pytest.raises(ValueError, match="2 different values"):
        find_value(SCHEMA, text)


@pytest.mark.parametrize(
    "text",
    ['{"label": "</think>"}', '{"label": "[/THINK]"}', '{"label": "```\\n{}\\n```"}', '{"label": "<think>"}'],
)
def test_marks_inside_of_a_value_are_text(text):
    assert find_value(read_schema("label: str"), text) == json.loads(text)


@pytest.mark.parametrize("inner", ["input", "arguments", "parameters"])
@pytest.mark.parametrize("frame", ["{}", "Here: {}", "```json\n{}\n```"])
def test_a_value_with_the_key_of_a_tool_call_is_one_value(inner, frame):
    value = {inner: {"a": 1}}

    assert find_value(read_schema({"type": "object"}), frame.replace("{}", json.dumps(value))) == value


class Model(pydantic.BaseModel):
    """A model with one field."""

    x: int


@pytest.mark.parametrize("schema", ["x: int", Model])
@pytest.mark.parametrize("frame", ["{}", "```json\n{}\n```", "Sure: {}", "<think>hm</think>{}"])
def test_a_key_with_two_different_values_is_refused(schema, frame):
    with pytest.raises(ValueError):  # noqa: PT011 - the text depends on where the value stands
        find_value(read_schema(schema), frame.replace("{}", '{"x": 3, "x": 4}'))
    assert find_value(read_schema(schema), frame.replace("{}", '{"x": 3, "x": 3}'))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize(
    "bounds",
    [{"minimum": 0}, {"maximum": 10}, {"multipleOf": 0.5}, {"exclusiveMinimum": 0}, {"enum": [1, 2]}],
)
def test_nan_is_within_no_bounds(number, bounds):
    schema = {"type": "object", "properties": {"x": {"type": "number", **bounds}}}
    with pytest.raises(ValueError, match="bounds"):
        find_value(read_schema(schema), f'{{"x": {number}}}')


def test_nan_is_within_no_bounds_of_a_model():
    kind = pydantic.create_model("Kind", x=(Annotated[float, annotated_types.Ge(0)], ...))
    with pytest.raises(ValueError, match="x:"):
        find_value(read_schema(kind), '{"x": NaN}')


HOSTILE = {
    "deep": "[" * 100_000,
    "deep in prose": "x " + "[" * 100_000,
    "deep objects": "x " + '{"a":' * 40_000,
    "deep, again and again": "x " + ("[" * 900 + "!") * 220,
    "braces": "x " + "{" * 200_000,
    "open texts": "x " + '{"' * 100_000,
    "marks": "~" * 200_000,
    "other marks": "`" * 200_000,
    "fences that never close": "```a\n" * 40_000,
    "fences": "```\n" * 50_000,
    "thinking": "<think " * 30_000,
    "ends of thinking": "</think>" * 30_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_are_searched_to_their_end(text):
    # With the work of a quadratic search each of these takes minutes.
    with pytest.raises(ValueError):  # noqa: PT011 - any refusal
        find_value(SCHEMA, text)
    assert ainb.Reply(text=text).code is not None


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "9" * 5_000])
def test_json_that_python_cannot_read_is_one_error(text):
    with pytest.raises(InvalidReplyError, match="not JSON"):
        ainb.Reply(text=text).json()


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        ("```\na\n```", ["a\n"]),
        ("```py\na\n```\nb\n~~~\nc\n~~~", ["a\n", "c\n"]),
        ("````\n```\na\n```\n````", ["```\na\n```\n"]),
        ("  ```\r\na\r\n  ```  \r\n", ["a\r\n"]),
        ("```a\n```b\nx\n```", ["```b\nx\n"]),
        ("```\n```", [""]),
        ("~~~\n```\n~~~", ["```\n"]),
        ("`` `\na\n```", [""]),
        ("```\na", ["a"]),
        ("```\na\n~~~\nb\n~~~", ["b\n"]),
        ("no fence", []),
    ],
)
def test_fenced_blocks(text, contents):
    assert [fence.content for fence in fences(text)] == contents


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_code_of_a_reply_with_any_line_ends(end):
    assert ainb.Reply(text=end.join(["Here:", "```python", "x = 1", "y = 2", "```", ""])).code == (
        f"x = 1{end}y = 2"
    )
