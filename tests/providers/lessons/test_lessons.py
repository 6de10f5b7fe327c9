"""Tests of lessons: what ainb learns from exact refusals of services, and what it must not learn."""

from __future__ import annotations

import pytest

from ainb.providers.http import Refusal
from ainb.providers.lessons.lesson import Lesson, apply_lessons
from ainb.providers.lessons.reading import names_missing, read_lessons

SENT = {
    "model": "m",
    "messages": [],
    "temperature": 0,
    "top_p": 0.5,
    "max_tokens": 9,
    "seed": 1,
    "user": "u",
    "stop": "x",
    "reasoning_effort": "xhigh",
    "stream_options": {"include_usage": True},
    "response_format": {"type": "json_schema"},
    "output_config": {"effort": "low", "format": {}},
    "thinking": {"type": "enabled"},
    "top_k": 3,
}


@pytest.mark.parametrize(
    ("said", "code", "param", "lesson"),
    [
        (
            (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead."
            ),
            "unsupported_parameter",
            "max_tokens",
            Lesson(field="max_tokens", instead="max_completion_tokens"),
        ),
        (
            (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead."
            ),
            None,
            None,
            Lesson(field="max_tokens", instead="max_completion_tokens"),
        ),
        (
            (
                "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) "
                "value is supported."
            ),
            "unsupported_value",
            "temperature",
            Lesson(field="temperature"),
        ),
        ("Unknown parameter: 'seed'.", "unknown_parameter", "seed", Lesson(field="seed")),
        ("Unrecognized request argument supplied: top_k", None, None, Lesson(field="top_k")),
        ("Unrecognized request argument supplied: user", None, None, Lesson(field="user")),
        ("`temperature` is deprecated for this model.", None, None, Lesson(field="temperature")),
        ("top_k: Extra inputs are not permitted", None, None, Lesson(field="top_k")),
        ("property 'seed' is unsupported", None, None, Lesson(field="seed")),
        (
            'Invalid JSON payload received. Unknown name "top_p": Cannot find field.',
            None,
            None,
            Lesson(field="top_p"),
        ),
        (
            "This model does not support the effort parameter.",
            None,
            None,
            Lesson(field="output_config.effort"),
        ),
        (
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            None,
            None,
            Lesson(field="top_p"),
        ),
        (
            (
                '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
                '"output_config.effort" to control thinking behavior.'
            ),
            None,
            None,
            Lesson(field="thinking"),
        ),
        (
            (
                "Unsupported value: 'reasoning_effort' does not support 'xhigh' with this model. "
                "Supported values are: 'low', 'medium', and 'high'."
            ),
            "unsupported_value",
            "reasoning_effort",
            Lesson(field="reasoning_effort", allowed=("low", "medium", "high")),
        ),
        (
            "This model does not support 'reasoning_effort' value 'xhigh'",
            None,
            None,
            Lesson(field="reasoning_effort", refused=("xhigh",)),
        ),
        (
            "output_config.effort: Input should be 'medium' or 'high'",
            None,
            None,
            Lesson(field="output_config.effort", allowed=("medium", "high")),
        ),
        (
            "body.reasoning_effort: Input should be 'low', 'medium' or 'high'",
            None,
            None,
            Lesson(field="reasoning_effort", allowed=("low", "medium", "high")),
        ),
        ("stream_options is not supported", None, None, Lesson(field="stream_options")),
        (
            "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.",
            None,
            None,
            Lesson(field="temperature", when="thinking"),
        ),
    ],
)
def test_a_refusal_names_an_optional_parameter_that_was_sent(said, code, param, lesson):
    assert read_lessons(Refusal(said=said, code=code, param=param), SENT) == [lesson]


@pytest.mark.parametrize(
    ("said", "code", "param"),
    [
        (("This model does not support assistant message prefill. The conversation must end with a user "
         "message."), None, None),
        ("Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 5.", "decimal_above_max_value", "temperature"),
        ("max_tokens is too large: 100000. This model supports at most 16384 completion tokens.", None, "max_tokens"),
        ("temperature: Input should be less than or equal to 1", None, None),
        ("The model `m` does not exist or you do not have access to it.", "model_not_found", "model"),
        ("Unsupported value: 'messages[0].role' does not support 'system' with this model.", "unsupported_value", "messages[0].role"),
        ("Invalid schema for response_format 'X': In context=(), 'oneOf' is not permitted.", "invalid_json_schema", "response_format"),
        ("This response_format type is unavailable now", "invalid_request_error", None),
        ("Unknown parameter: 'logit_bias'.", "unknown_parameter", "logit_bias"),
        ("Your credit balance is too low.", None, None),
        ("prompt is too long: 210000 tokens > 200000 maximum", None, None),
        ("", None, None),
    ],
)  # fmt: skip
def test_a_refusal_about_something_else_gives_no_lesson(said, code, param):
    assert read_lessons(Refusal(said=said, code=code, param=param), SENT) == []


def test_several_unknown_fields_of_one_list_are_learnt_at_once():
    found = read_lessons(Refusal(said="", extra=("seed", "top_k", "model")), SENT)

    assert [lesson.field for lesson in found] == ["seed", "top_k"]


def test_several_unknown_fields_of_one_message_are_learnt_at_once():
    said = "Unrecognized request arguments supplied: seed, top_k"

    assert [lesson.field for lesson in read_lessons(Refusal(said=said), SENT)] == ["seed", "top_k"]


@pytest.mark.parametrize("effort", [None, "low"])
def test_tools_that_need_an_effort_are_a_lesson_for_calls_with_tools_only(effort):
    said = (
        "Function tools with reasoning_effort are not supported for m in /v1/chat/completions. "
        "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
    )
    body = {"model": "m", "tools": [{}]} | ({"reasoning_effort": effort} if effort else {})
    found = read_lessons(Refusal(said=said, param="reasoning_effort"), body)

    assert found == [Lesson(field="reasoning_effort", value="none", when="tools")]
    assert apply_lessons(found, body)[0]["reasoning_effort"] == "none"
    assert apply_lessons(found, {"model": "m"}) == ({"model": "m"}, [])


def test_lessons_change_a_copy_and_say_which_of_them_did():
    body = {"model": "m", "temperature": 0, "max_tokens": 9, "output_config": {"effort": "low", "format": 1}}
    lessons = [
        Lesson(field="temperature"),
        Lesson(field="seed"),
        Lesson(field="max_tokens", instead="max_completion_tokens"),
        Lesson(field="output_config.effort"),
    ]

    changed, used = apply_lessons(lessons, body)

    assert changed == {"model": "m", "max_completion_tokens": 9, "output_config": {"format": 1}}
    assert [lesson.field for lesson in used] == ["temperature", "max_tokens", "output_config.effort"]
    assert body["output_config"] == {"effort": "low", "format": 1}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [("max", "high"), ("medium", "medium"), ("none", "low"), ("minimal", "low"), ("odd", None)],
)
def test_a_level_becomes_the_nearest_lower_one_that_the_refusal_lists(asked, sent):
    lesson = Lesson(field="reasoning_effort", allowed=("low", "medium", "high"))

    assert apply_lessons([lesson], {"reasoning_effort": asked})[0].get("reasoning_effort") == sent


def test_a_refused_value_leaves_others_alone():
    lesson = Lesson(field="service_tier", refused=("flex",))

    assert apply_lessons([lesson], {"service_tier": "flex"})[0] == {}
    assert apply_lessons([lesson], {"service_tier": "auto"})[0] == {"service_tier": "auto"}


def test_a_field_that_was_left_out_and_is_asked_for_is_found():
    said = "Missing required parameter: 'max_tokens'."

    assert names_missing(Refusal(said=said, param="max_tokens"), ["max_tokens", "seed"]) == ["max_tokens"]
    assert names_missing(Refusal(said="max_tokens: Field required"), ["max_tokens", "seed"]) == ["max_tokens"]
    assert names_missing(Refusal(said="Unknown parameter: 'max_tokens'."), ["max_tokens"]) == []
