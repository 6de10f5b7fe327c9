"""Tests of filled names in prompts."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.errors import InvalidPromptError
from ainb.messages import Reply
from ainb.prompts.interpolation import fill


class Trap:
    """Its attributes return their names; calling it is a bug."""

    value = "seen"

    def __call__(self):
        raise AssertionError("code was executed")

    @property
    def broken(self):
        raise RuntimeError("disk on fire")


SPACE = {
    "name": "Ann",
    "n": 3,
    "nothing": None,
    "user": SimpleNamespace(name="Bob", tags=["a", "b"], more={"k": {"x": 1}}),
    "d": {"key": "v", "two words": "w", 3: "three"},
    "items": [10, 20],
    "trap": Trap(),
    "reply": Reply(text="the answer"),
    "In": ["", "1 + 1"],
    "Out": {3: "out three"},
    "json": json,
    "secret": "hunter2",
    "__name__": "__main__",
}


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("Hi {name}!", "Hi Ann!"),
        ("{n} and {nothing}", "3 and None"),
        ("{user.name} {user.tags[1]} {user.more[k][x]}", "Bob b 1"),
        ("{d[key]} {d['two words']} {d[\"key\"]} {d[3]}", "v w v three"),
        ("{items[0]} {items[-1]}", "10 20"),
        ("{In[1]} {Out[3]}", "1 + 1 out three"),
        ("{reply}", "the answer"),
        ("{reply.text}", "the answer"),
        ("{{name}}", "{name}"),
        ("{{unknown}}", "{unknown}"),
        ("{{{name}}}", "{Ann}"),
        ("{trap.value}", "seen"),
    ],
)
def test_a_name_is_filled(typed, sent):
    assert fill(typed, SPACE).text == sent


@pytest.mark.parametrize(
    "typed",
    [
        '{"a": {"b": [1, {"c": 2}]}}',
        "def f(x): return {x: 1 for x in range(3)}",
        "for (;;) { name; }",
        "{ name }",
        "{name!r} {name:>10} {n:.2f}",
        "{trap()} {name.upper()} {items[n]()}",
        "{items[n+1]} {items[0:1]}",
        "{missing_thing} {missing.attr} {x[0]}",
        "\\frac{1}{2} {}",
        "{__name__} {__builtins__}",
        "{name",
        "name}",
    ],
)
def test_everything_else_stays_as_typed(typed):
    assert fill(typed, SPACE).text == typed


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.sampled_from(["{secret}", "{{secret}}", "{d[key]}", "}", "{", "{name}", "x", "{{", "}}", "{In[1]}"]), max_size=8  # noqa: E501
    ).map("".join)
)  # fmt: skip
def test_braces_inside_a_value_are_never_expanded(value):
    space = {**SPACE, "value": value, "obj": SimpleNamespace(a=value), "table": {"k": value}}

    assert fill("<{value}|{obj.a}|{table[k]}>", space).text == f"<{value}|{value}|{value}>"
    assert fill("{{{value}}}", space).text == "{" + value + "}"


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="{}[]().'\"name secret:!\\\n0", max_size=40))
def test_any_body_is_filled_or_refused_with_our_own_error(body):
    try:
        filled = fill(body, SPACE)
    except InvalidPromptError:
        return
    if "{" not in body:
        assert filled.text == body


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("{user.nmae}", r"user has no attribute 'nmae'; nothing was sent; did you mean 'name'\?"),
        ("{user.zzz}", r"user has no attribute 'zzz'; nothing was sent; double the braces"),
        ("{d[kye]}", r"d has no item 'kye'; nothing was sent; did you mean 'key'\?"),
        ("{items[7]}", r"items has no item 7; nothing was sent"),
        ("{n[0]}", r"n\[0\] could not be read \(TypeError\); nothing was sent"),
        ("{Out[9]}", r"Out has no item 9"),
        ("{trap.broken}", r"trap.broken could not be read \(RuntimeError\); nothing was sent"),
        ("{user.__class__}", r"is an internal attribute of Python; nothing was sent"),
        ("{user.__init__.__globals__[x]}", r"is an internal attribute of Python"),
    ],
)
def test_a_part_that_does_not_exist_is_refused(typed, message):
    with pytest.raises(InvalidPromptError, match=message) as caught:
        fill(typed, SPACE)

    assert "\n" not in str(caught.value)
    assert "disk on fire" not in str(caught.value)


@pytest.mark.parametrize(
    ("prompt", "note"),
    [
        (
            "{nmae} and {nmae} and {zzzz}",
            "{nmae} is not a name in the notebook and is sent as typed; did you mean {name}?",
        ),
        ("return {json}", "{json} is a module, not a value; it is sent as typed"),
    ],
)
def test_a_mistyped_name_or_a_module_is_sent_as_typed_with_one_line(prompt, note):
    filled = fill(prompt, SPACE)

    assert filled.text == prompt
    assert filled.notes == (note,)


def test_a_value_without_a_text_is_refused():
    class Mute:
        def __str__(self):
            raise ValueError("no")

    with pytest.raises(InvalidPromptError, match="cannot be written as text"):
        fill("{mute}", {"mute": Mute()})
