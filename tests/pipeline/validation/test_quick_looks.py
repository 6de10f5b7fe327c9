"""Tests of the pre-checks of rules: a text that passes a pre-check has no findings."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ainb import Rule, Validation
from ainb.errors import ConfigError
from ainb.messages import Call, CallOptions, Message, Request
from ainb.pipeline.validation import optional_rules, presets
from ainb.pipeline.validation.rules import merged
from ainb.pipeline.validation.validator import Validator
from ainb.redaction import filter as redaction
from tests.made_up_secrets import IN_PLACE, NAMES, TAILS, in_place

RULES = [
    rule for rule in (*presets.DEFAULT_RULES, *optional_rules.OPTIONAL_RULES) if rule.may_hold is not None
]
OWN = "not-of-any-pattern-42"
SHORT = [
    "KEY=abc1234d",
    "PASSWD=a1b2c3d4e",
    "x://:abc@",
    "-----BEGIN PRIVATE " + "KEY-----",
    "TOKEN=",
    "://",
    "@",
    "=",
]
ODD = ["\x00", "\x1b[31m", "\u202e", "\ud800", "\x85", "\n", "\t", "\u00e4", "\u2028", "\u0130"]
PERSONAL = [
    "ann@example.org",
    "+44 20 7946 0958",
    "4111 1111 1111 1111",
    "078-05-1120",
    "GB82 WEST 1234 5698 7654 32",
]
CODE = [
    "<script>",
    "</b>",
    "javascript:",
    "eval (",
    "exec(",
    "import os",
    "\nfrom a import b",
    "__class__",
    "<!-- -->",
    "x" * 20,
]
PIECES = st.lists(
    st.sampled_from([OWN, *SHORT, *ODD, *PERSONAL, *CODE, *map(in_place, NAMES), " ", ";", "plain words "])
    | st.text(max_size=12)
    | st.text(st.characters(), max_size=4),
    max_size=8,
)  # fmt: skip
TEXTS = st.builds(str.join, st.sampled_from(["", " ", "\n", '"', ","]), PIECES)


@pytest.fixture(autouse=True)
def own_key(monkeypatch):
    monkeypatch.setenv("MISTRAL_API_KEY", OWN)


@settings(max_examples=500, deadline=None)
@given(TEXTS)
def test_a_rule_finds_the_same_with_and_without_its_quick_look(text):
    for rule in RULES:
        assert rule.places(text) == dataclasses.replace(rule, may_hold=None).places(text)


@settings(max_examples=500, deadline=None)
@given(TEXTS)
@example(f"TOKEN={OWN}")
def test_secrets_are_those_that_every_pattern_finds_run_over_the_whole_text(text):
    # The value of a key variable comes first: its name is preferred for a place with two names.
    every = [(at, at + len(OWN), "MISTRAL_API_KEY") for at in range(len(text)) if text.startswith(OWN, at)]
    for name, pattern in redaction.PATTERNS:
        group = "secret" if "secret" in pattern.groupindex else 0
        every += [(*match.span(group), name) for match in pattern.finditer(text)]

    assert redaction.find(text) == merged(sorted(every, key=lambda place: (place[0], -place[1])))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [0, 1])
def test_the_shortest_secret_of_each_kind_is_not_passed(name, length):
    """The secret is cut to the shortest text that its pattern finds: a pre-check must not be stricter."""
    head, secret = IN_PLACE.get(name, ("", in_place(name)))
    pattern = dict(redaction.PATTERNS)[name]
    tail = TAILS.get(name, "")
    kept = len(secret)
    while kept > 1 and pattern.search(f"{head}{secret[: kept - 1]}{tail}"):
        kept -= 1
    text = f"{head}{secret[: kept + length]}{tail}"
    for prefix in range(len(head)):
        if pattern.search(text[prefix:]):
            assert redaction.may_hold(text[prefix:])
            assert redaction.find(text[prefix:])


class Nobody:
    """A provider to which nothing is sent."""

    name, free = "scripted", True


def make_call(texts, *, values, parameters):
    messages = tuple(Message("user", text) for text in texts)
    request = Request(provider="scripted", model="echo", messages=messages, parameters=parameters)
    return Call(request=request, provider=Nobody(), options=CallOptions(values=values))


@pytest.mark.parametrize(
    "options",
    [
        Validation(),
        Validation(preset="strict"),
        Validation(personal_data=True),
        Validation(preset="strict", personal_data=True, injection=True),
        Validation(actions={"secret": "allow"}),
    ],
    ids=["default", "strict", "personal", "all", "allow"],
)
@settings(max_examples=200, deadline=None)
@given(
    st.lists(TEXTS, min_size=1, max_size=3),
    st.none() | st.tuples(TEXTS),
    st.dictionaries(st.sampled_from(["stop", "top_k"]), TEXTS | st.integers() | st.lists(TEXTS, max_size=2), max_size=2),
)  # fmt: skip
def test_a_call_that_passes_holds_nothing(options, texts, values, parameters):
    validator = Validator(options)
    filled = [f"before {value} after" for value in values or ()]
    call = make_call([*texts, *filled], values=values, parameters=parameters)

    if validator.passes(call):
        assert not validator.review(call).findings


def test_ordinary_prompts_pass(reviews):
    validator = Validator(Validation())
    passed = sum(
        validator.passes(make_call([f"Classify: {review}"], values=(review,), parameters={"temperature": 0}))
        for review in reviews
    )

    # The others have a long word and get the full check.
    assert passed > 0.8 * len(reviews)


def test_a_rule_without_a_quick_look_sees_every_call():
    validator = Validator(Validation(rules=[Rule(name="x", find=lambda _text: [(0, 1)], action="warn")]))
    call = make_call(["plain"], values=None, parameters={})

    assert not validator.passes(call)
    assert [finding.rule for finding in validator.review(call).findings] == ["x"]


def test_an_error_in_a_pre_check_refuses_the_call():
    def broken(_text):
        raise KeyError

    validator = Validator(Validation(rules=[Rule(name="x", find=lambda _text: [], may_hold=broken)]))
    call = make_call(["plain"], values=None, parameters={})

    assert not validator.passes(call)
    with pytest.raises(ConfigError, match="the rule 'x' failed with KeyError"):
        validator.review(call)
    with pytest.raises(ConfigError, match="may_hold of the rule 'x' must be a function"):
        Rule(name="x", find=lambda _text: [], may_hold=3)
