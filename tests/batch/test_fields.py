"""Tests of braces in a batch prompt: which are filled, refused, or sent as typed with a notice."""

from __future__ import annotations

import pandas as pd
import pytest

from ainb.errors import ConfigError
from ainb.events import Notice

LABELS = [
    "Review Text",
    "e-mail",
    "Price ($)",
    "Unnamed: 0",
    "a.b",
    "two  blanks",
    " padded ",
    "отзыв клиента",
    "レビュー 本文",
    "100%",
    "C++",
    "it's",
    'say "hi"',
    "x[0]",
    "{braced}",
    "class",
    "50-60",
    "-",
    "a\nb",
    "π",
    "naïve café",
    "x:y",
    "#",
]


def said(events):
    return [event.text for event in events if isinstance(event, Notice) and event.kind == "fields"]


@pytest.mark.parametrize("label", LABELS)
def test_a_label_in_braces_is_filled_whatever_it_looks_like(session, events, label):
    frame = pd.DataFrame({label: ["great", "bad"], "Rating": [5, 1]})

    result = session.map(frame, f"Rating {{Rating}}/5: {{{label}}}")

    assert list(result["reply"]) == ["Rating 5/5: great", "Rating 1/5: bad"]
    assert said(events) == []


@pytest.mark.parametrize(
    ("label", "typed"),
    [
        (0, "0"),
        (2023, "2023"),
        (1.5, "1.5"),
        (True, "True"),
        (pd.Timestamp("2024-01-01"), "2024-01-01 00:00:00"),
        (("a", "b"), "a.b"),
        (("a", "b"), "('a', 'b')"),
        (("a", ""), "a"),
        (("a", 1), "a.1"),
    ],
)
def test_labels_that_are_no_texts_are_written_as_their_str_and_levels_with_a_dot(session, label, typed):
    columns = pd.MultiIndex.from_tuples([label, ("z", "z")]) if isinstance(label, tuple) else [label, "z"]
    frame = pd.DataFrame([["x", "y"]], columns=columns)

    assert list(session.map(frame, f"<{{{typed}}}>")["reply"]) == ["<x>"]


def test_keys_of_records_that_are_no_texts_are_found_too(session):
    assert list(session.map([{2023: "x", "n": 1}, {2023: "y", "n": 2}], "{2023} {n}")["reply"]) == [
        "x 1",
        "y 2",
    ]


@pytest.mark.parametrize(
    "place",
    [
        "\\frac{{{0}}}{{2}}",
        "$x_{{{0}}}$",
        "${{{0}}}",
        "```\nprint({{{0}}})\n```",
        "```python\nf'{{{0}}}: x'\n```",
        "\\begin{{a}}x^{{{0}}}\\end{{a}}",
        "{{{{{0}}}}}",
    ],
)
@pytest.mark.parametrize("label", ["n", "Review Text"])
def test_a_label_is_filled_wherever_it_stands_and_a_name_is_not(session, place, label):
    template = "{{" + label + "}}" if place == "{{{{{0}}}}}" else place.format(label)
    names = {"n": "secret", "Review Text": "secret"}
    frame = pd.DataFrame({label: ["CELL"], "other": ["o"]})
    without = pd.DataFrame({"other": ["o"]})

    if template.startswith("{{"):
        assert session.map(frame, template + " {other}", names=names)["reply"][0] == f"{{{label}}} o"
        return
    assert session.map(frame, template, names=names)["reply"][0] == template.replace(f"{{{label}}}", "CELL")
    assert session.map(without, template + " {other}", names=names)["reply"][0] == template + " o"


@pytest.mark.parametrize(
    ("label", "typed"),
    [
        ("Review Text", "review text"),
        ("Review Text", "Review_Text"),
        ("Review Text", "ReviewText"),
        ("Review Text", "Reviw Text"),
        ("Review Text", " Review Text "),
        ("Rating", "rating"),
        ("Rating", " Rating "),
        ("Rating", "Rating:.1f"),
        ("Rating", "Rating!r"),
        ("e-mail", "email"),
        ("Price ($)", "Price (€)"),
        ("Price ($)", "Price"),
        ("Unnamed: 0", "Unnamed 0"),
        ("Rating", "'Rating'"),
        (" Rating", "Rating"),
        ("Ratings", "Rating"),
    ],
)
def test_what_is_nearly_a_label_is_an_error_that_names_it_and_the_way_out(session, label, typed):
    frame = pd.DataFrame({label: ["x"], "other": ["o"]})

    with pytest.raises(ConfigError, match=r"did you mean") as caught:
        session.map(frame, f"{{{typed}}} {{other}}")

    assert f"{{{label}}}" in str(caught.value)
    assert f"{{{{{typed.strip()}" in str(caught.value) or f"{{{{{typed}}}}}" in str(caught.value)
    assert session.usage().empty
    assert session.map(frame, f"{{{{{typed}}}}} {{other}}")["reply"][0] == f"{{{typed}}} o"


@pytest.mark.parametrize(
    "typed",
    [
        '{"review": "…", "stars": 1}',
        '{"review"}: no',
        "{review: the text, stars: a number}",
        "{ 1, 2 }",
        "{}",
        "{...}",
        "f(x) { return x; }",
        "{% if a %}",
        "{{ name }}",
        '{\n  "review": 1\n}',
        "{1}",
        "{0}",
    ],
)
def test_other_braces_stay_as_typed(session, typed):
    frame = pd.DataFrame({"review": ["x"], "stars": [3]})

    if typed == '{"review"}: no':  # a quoted label is taken for a misspelt label
        with pytest.raises(ConfigError, match="did you mean"):
            session.map(frame, typed)
        return
    assert session.map(frame, typed + " {review}")["reply"][0] == typed + " x"


def test_what_stays_unfilled_is_named_once_before_anything_is_sent(session, events):
    session.map(pd.DataFrame({"a": ["x", "y"]}), "{a} {Some Thing} $x_{i}$ {Some Thing}", names={"i": 3})

    assert said(events) == ["sent as typed, not filled from a column: {Some Thing}, {i}"]
    kinds = [getattr(event, "kind", "call") for event in events]
    assert kinds.index("fields") < kinds.index("call")


def test_a_name_that_nearly_is_a_column_is_filled_from_the_notebook_and_said(session, events):
    result = session.map(
        pd.DataFrame({"Rating": [1, 2], "t": ["x", "y"]}), "{t} {rating}", names={"rating": 5}
    )

    assert list(result["reply"]) == ["x 5", "y 5"]
    assert "the column is {Rating}" in said(events)[0]


def test_repeated_labels_matter_only_where_they_are_used(session):
    frame = pd.DataFrame([["x", "y", "z"]], columns=["a", "b", "b"])

    assert session.map(frame, "{a}")["reply"][0] == "x"
    assert session.map(frame, "{a}", keep=["a"])["a"][0] == "x"
    for options in ({"task": "{b}"}, {"task": "{a}", "keep": ["b"]}, {"task": "{a}", "keep": True}):
        with pytest.raises(ConfigError, match="several columns named 'b'"):
            session.map(frame, **options)
    with pytest.raises(ConfigError, match="several columns named 'b'"):
        session.map(frame, lambda row: row["a"])


def test_two_labels_with_one_text_are_repeated(session):
    with pytest.raises(ConfigError, match="several columns named '1'"):
        session.map(pd.DataFrame([["x", "y"]], columns=[1, "1"]), "{1}")


def test_modules_and_functions_of_the_notebook_are_no_values(session, events):
    result = session.map(pd.DataFrame({"a": ["x"]}), "{a} {pd} {len}", names={"pd": pd, "len": len})

    assert result["reply"][0] == "x {pd} {len}"
    assert "{pd} is a module, not a value; it is sent as typed" in " ".join(said(events))


def test_a_thousand_columns_are_no_burden(session):
    frame = pd.DataFrame(
        [[f"v{number}" for number in range(1_700)]], columns=[f"Column {n}" for n in range(1_700)]
    )

    assert session.map(frame, "{Column 7} {Column 1699}" + " {}" * 1_000)["reply"][0].startswith(
        "v7 v1699 {}"
    )
