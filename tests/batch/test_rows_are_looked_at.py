"""Tests of validation in a batch: row values are distinguished from typed text; functions get their items."""

from __future__ import annotations

import pytest

import ainb
from ainb import Rule, Validation
from ainb.batch.input.template import Template
from ainb.config import Config
from ainb.pipeline.validation.validator import Validator
from tests.made_up_secrets import SECRETS

KEY = SECRETS["OpenAI key"]
TYPED = "Explain eval(x), import os and <b>: {text}"


@pytest.fixture
def make_session(tmp_path):
    made = []

    def make(**options):
        session = ainb.Session(
            "scripted:echo",
            config=Config(home=tmp_path / "home", log_content=True, validation=Validation(**options)),
        )
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


@pytest.mark.parametrize("bad", ["<script>x</script>", "eval(x)", "import os", "x.__class__", "y" * 10_001])
def test_strict_refuses_the_rows_that_hold_code_and_sends_the_others_whatever_the_prompt_itself_holds(
    make_session, bad
):
    rows = [{"text": "fine"}, {"text": bad}, {"text": "good"}]

    frame = make_session(preset="strict").map(rows, TYPED)

    assert list(frame["status"]) == ["ok", "rejected", "ok"]
    assert frame["reply"][0] == "Explain eval(x), import os and <b>: fine"
    assert frame["error_type"][1] == "InvalidPromptError"
    assert frame["error_message"][1].startswith("the row holds ")


def test_a_value_of_the_notebook_is_no_typed_text_either(make_session):
    frame = make_session(preset="strict").map(["a"], "{note}: {value}", names={"note": "<i>"})

    assert list(frame["status"]) == ["rejected"]


def test_markup_cut_in_two_by_neighbouring_columns_is_seen(make_session):
    rows = [{"a": "<scr", "b": "ipt>"}]
    session = make_session(preset="strict")

    assert list(session.map(rows, "Read {a}{b} now")["status"]) == ["rejected"]
    assert list(session.map(rows, "Read {a}, {b} now")["status"]) == ["ok"]


def test_a_rule_may_look_at_rows_alone_or_at_what_was_typed_alone(make_session):
    def find_apollo(text):
        return [(at, at + 6) for at in [text.find("Apollo")] if at >= 0]

    seen = {}
    for part in ("typed", "values", "rows"):
        rule = Rule(name="project name", find=find_apollo, action="redact", parts=(part,))
        seen[part] = list(make_session(rules=[rule]).map(["Apollo 11"], "From Apollo: {value}")["reply"])

    assert seen == {
        "typed": ["From [redacted project name]: Apollo 11"],
        "values": ["From Apollo: Apollo 11"],
        "rows": ["From Apollo: [redacted project name] 11"],
    }


def test_findings_tell_rows_from_what_was_typed(make_session):
    session = make_session(preset="strict")
    call = session.make_call(f"{KEY} and {KEY[:-1]}x: <b>", batch_id="b1")
    call.values = (f"{KEY[:-1]}x: <b>",)

    found = Validator(Validation(preset="strict")).review(call).findings

    assert [(finding.rule, finding.part) for finding in found] == [
        ("secret", "typed"), ("secret", "rows"), ("HTML tag", "rows"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "row", "values"),
    [
        ("{a}", {"a": "x"}, ("x",)),
        ("a {a} b {b} c", {"a": "x", "b": 3}, ("x", "3")),
        ("{a}{b} {a}", {"a": "x", "b": "y"}, ("xy", "x")),
        ("{a}{note}{b}", {"a": "x", "b": "y"}, ("xNy",)),
        ("{note} {a} {{b}}", {"a": "x"}, ("N", "x")),
    ],
)
def test_a_template_tells_what_was_filled_in(text, row, values):
    template = Template(text, columns=["a", "b"], names={"note": "N"})

    prompt, filled = template.fill(row)

    assert filled == values
    assert all(value in prompt for value in filled)


def test_a_dry_run_of_a_batch_tells_rows_from_what_was_typed(make_session):
    from ainb.batch.plan import preview_rows

    session = make_session(preset="strict")

    assert preview_rows(session.core, [{"text": "fine"}], TYPED, {})[0].refusal is None
    assert "the row holds 1 HTML tag" in preview_rows(session.core, [{"text": "<i>"}], TYPED, {})[0].refusal


def test_a_function_gets_its_item_as_it_is_and_what_is_kept_of_it_is_redacted(make_session, tmp_path):
    items = [{"text": f"use {KEY}"}, f"or {KEY}"]
    got = []

    def own(item):
        got.append(item)
        return "done"

    session = make_session()
    frame = session.map(items, own)
    session.close()

    assert got == items
    assert list(frame["reply"]) == ["done", "done"]
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert b"redacted OpenAI key" in kept
    assert KEY.encode() not in kept


def test_a_rule_that_blocks_keeps_an_item_from_a_function_too(make_session):
    got = []

    frame = make_session(actions={"secret": "block"}).map(["plain", KEY], got.append)

    assert got == ["plain"]
    assert list(frame["status"]) == ["ok", "rejected"]


def test_a_guarded_function_gets_its_prompt_redacted_and_its_other_arguments_as_they_are(make_session):
    got = []
    session = make_session()

    @session.guard(model="mine")
    def own(prompt, *, note=None):
        got.append((prompt, note))
        return "done"

    own(f"use {KEY}", note=KEY)

    assert got == [("use [redacted OpenAI key]", KEY)]
