"""Tests of the message of a replay miss: the nearest record and its differences."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.pipeline.replay.miss import Nearest, explain_miss
from ainb.pipeline.replay.request import Asked
from ainb.stores.cassette.line import request_key, write_line


def fields(*texts, model="openai:m", schema=None, replica=None, **parameters):
    roles = ["system", "user", "assistant"] if len(texts) > 1 else ["user"]
    messages = [{"role": roles[place % 3], "content": text} for place, text in enumerate(texts)]
    body = json.loads(json.dumps({"messages": messages, **parameters}, sort_keys=True))
    return {"model": model, "body": body, "schema": schema, "replica": replica}


def asked(*texts, weights=None, **more):
    found = fields(*texts, **more)
    return Asked(found, request_key(found), weights)


def recorded(*texts, weights=None, **more):
    rest = {"reply": {"text": "x"}, "measured": {"duration_s": 1, "attempts": 1}, "weights": weights}
    return write_line({**fields(*texts, **more), **rest})


def difference(request, *lines):
    line = Nearest(lines).find(request)
    text = explain_miss(request, line, ["nb.ainb.jsonl"])
    return text.partition("the difference is ")[2].partition("; record it")[0]


@pytest.mark.parametrize(
    ("request_", "line", "said"),
    [
        (
            asked("a blue one"),
            recorded("a red one"),
            "line 1 of the prompt: 'a blue one' (recorded 'a red one')",
        ),
        (asked("x\ny z\n"), recorded("x\ny w\n"), "line 2 of the prompt: 'y z' (recorded 'y w')"),
        (asked("x "), recorded("x"), "line 1 of the prompt: 'x ' (recorded 'x')"),
        (asked("x\ny"), recorded("x"), "line 2 of the prompt: 'y' (not recorded)"),
        (asked("x"), recorded("x\ny"), "line 2 of the prompt: 'y' (recorded, not asked)"),
        (asked("x", model="openai:n"), recorded("x"), "the model openai:n (recorded openai:m)"),
        (asked("x", temperature=0.5), recorded("x", temperature=0), "temperature 0.5 (recorded 0)"),
        (asked("x", temperature=1), recorded("x", temperature=1.0), "temperature 1 (recorded 1.0)"),
        (asked("x"), recorded("x", max_tokens=9), "max_tokens not given (recorded 9)"),
        (asked("x", stop=["a"]), recorded("x"), 'stop ["a"] (recorded not given)'),
        (
            asked("x", system="a\nb c"),
            recorded("x", system="a\nb d"),
            "line 2 of system: 'b c' (recorded 'b d')",
        ),
        (asked("x", schema="L-1"), recorded("x", schema="L-2"), "the schema L-1 (recorded L-2)"),
        (asked("x", replica=1), recorded("x", replica=2), "replica 1 (recorded 2)"),
        (asked("x", weights="m-2"), recorded("x", weights="m-1"), "the weights m-2 (recorded m-1)"),
        (asked("s", "u"), recorded("t", "u"), "line 1 of message 1 (system): 's' (recorded 't')"),
        (asked("s", "u", "a"), recorded("s", "u"), "a prompt of 3 messages (recorded 2)"),
        (asked("a\x1b[2Jb"), recorded("b"), "line 1 of the prompt: 'a\\x1b[2Jb' (recorded 'b')"),
    ],
)
def test_every_kind_of_difference_is_named(request_, line, said):
    assert difference(request_, line) == said


def test_several_differences_stand_in_one_line_and_many_are_counted():
    request = asked("x", model="openai:n", a=1, b=2, c=3)

    assert difference(request, recorded("y")) == (
        "the model openai:n (recorded openai:m); a 1 (recorded not given); b 2 (recorded not given) and 2 "
        "more"
    )


def test_a_long_line_is_cut_around_the_word():
    words = [f"word{number}" for number in range(200)]
    ours = " ".join([*words[:100], "BLUE", *words[101:]])
    theirs = " ".join(words)

    said = difference(asked(ours), recorded(theirs))

    assert "BLUE" in said
    assert "word100" in said
    assert len(said) < 300


def test_the_nearest_of_many_is_found_by_its_own_words():
    rng = random.Random(7)
    names = [f"{rng.choice('abcdefgh')}{number}x" for number in range(3000)]
    lines = [recorded(f"Please classify the review of {name} as good or bad.") for name in names]
    nearest = Nearest(lines)

    for name in rng.sample(names, 20):
        request = asked(f"Please judge the review of {name} as good or bad.")
        line = nearest.find(request)
        assert f"of {name} as" in line.fields["body"]["messages"][0]["content"]


def test_the_same_prompt_for_another_model_is_nearer_than_another_prompt():
    same_prompt, same_model = recorded("Name a fruit.", model="openai:n"), recorded("Name a city by the sea.")

    assert Nearest([same_prompt, same_model]).find(asked("Name a fruit.")) is same_prompt


def test_searched_files_are_listed_and_nothing_recorded_is_said():
    one = asked("x")

    assert explain_miss(one, None, []).startswith("there is no cassette beside the notebook; record it with")
    assert explain_miss(one, None, ["a"]).startswith("a holds no record yet; ")
    assert "in a, b, c and 2 more; against" in explain_miss(one, recorded("y"), list("abcde"))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(deadline=None, max_examples=200)
@given(st.lists(TEXTS, min_size=1, max_size=3), st.lists(TEXTS, min_size=1, max_size=3))
def test_whatever_the_prompts_the_miss_is_one_line_and_says_what_differs(ours, theirs):
    request, line = asked(*ours), recorded(*theirs)

    text = explain_miss(request, line, ["nb.ainb.jsonl"])

    assert len(text.splitlines()) == 1
    assert ("difference is ;" not in text) or request.key == line.key


def test_prompts_of_functions_are_prompts_too():
    ours = {
        "model": "function:m",
        "body": {"function": "f", "prompt": ["a b"]},
        "schema": None,
        "replica": None,
    }
    theirs = {**ours, "body": {"function": "f", "prompt": ["a c"]}}
    line = write_line({**theirs, "reply": {"text": "x"}, "measured": {"duration_s": 1, "attempts": 1}})

    assert difference(Asked(ours, request_key(ours), None), line) == (
        "line 1 of the prompt: 'a b' (recorded 'a c')"
    )
