"""Tests of --schema NAME in cells."""

from __future__ import annotations

import pytest

from ainb import errors
from ainb.testing import script

GOOD = '{"mood": "good", "stars": 5}'
MODEL = "from pydantic import BaseModel\nclass Label(BaseModel):\n    mood: str\n    stars: int"
DATACLASS = "from dataclasses import dataclass\n@dataclass\nclass Label:\n    mood: str\n    stars: int"
TYPED = "from typing_extensions import TypedDict\nclass Label(TypedDict):\n    mood: str\n    stars: int"
JSON = (
    "Label = {'type': 'object', 'properties': {'mood': {'type': 'string'}, 'stars': {'type': 'integer'}},"
    " 'required': ['mood', 'stars']}"
)


@pytest.mark.parametrize("source", [MODEL, DATACLASS, TYPED, JSON])
def test_the_checked_value_is_the_same_when_it_is_asked_for_and_when_it_is_stored(terminal, source):
    script("labels", [GOOD])
    terminal.run(source)

    first, second = (terminal.run("%%ai scripted:labels --schema Label\nhow?").result for _ in "12")

    assert (first.cached, second.cached) == (False, True)
    assert first.parsed == second.parsed
    kind = terminal.shell.user_ns["Label"]
    assert isinstance(second.parsed, kind if source in (MODEL, DATACLASS) else dict)
    assert second.form == "json"


def test_a_class_inside_something_else_is_named_with_dots(terminal):
    script("labels", [GOOD])
    terminal.run("import types\n" + MODEL + "\nshapes = types.SimpleNamespace(Label=Label)")

    assert terminal.run("%%ai scripted:labels --schema shapes.Label\nhow?").result.parsed.stars == 5


def test_another_form_may_be_asked_for(terminal):
    script("labels", [GOOD])
    terminal.run(MODEL)

    reply = terminal.run("%%ai scripted:labels --schema Label -f text\nhow?").result

    assert (reply.form, reply.parsed.mood) == ("text", "good")


def test_a_reply_that_is_not_of_the_schema_is_asked_for_again_and_then_fails(terminal):
    played = script("labels", ["no", "no"])
    terminal.run(MODEL)

    cell = terminal.run("%%ai scripted:labels --schema Label\nhow?")

    assert isinstance(cell.error, errors.InvalidReplyError)
    assert "does not match the schema Label" in str(cell.error)
    assert played.played == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Labe", "--schema Labe: the notebook has no 'Labe'; did you mean 'Label'?"),
        ("other", "--schema other: the notebook has no 'other'; known are: Label"),
        (
            "number",
            "--schema number: a schema is a pydantic model, a dataclass, a TypedDict, an Enum",
        ),
        ("Label.inner", "--schema Label.inner: there is no 'inner' in it"),
        ("broken", "--schema broken: the JSON schema is wrong at type"),
    ],
)  # fmt: skip
def test_a_name_that_is_no_schema_is_refused_before_anything_is_sent(terminal, name, message):
    played = script("labels", [GOOD])
    terminal.run(MODEL + "\nnumber = 3\nbroken = {'type': 7}")
    terminal.run("del BaseModel; broken_too = 1") if name == "other" else None
    terminal.run("del broken") if name == "other" else None

    cell = terminal.run(f"%%ai scripted:labels --schema {name}\nhow?")

    assert isinstance(cell.error, errors.ConfigError)
    assert message in str(cell.error)
    assert played.played == 0


def test_without_schemas_the_error_says_what_a_schema_is(terminal):
    cell = terminal.run("%%ai scripted:echo --schema Label\nhow?")

    assert "define it first: a pydantic model" in str(cell.error)
