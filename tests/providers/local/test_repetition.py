"""Tests of the repetition check: a reply in a loop is stopped, and similar ordinary texts are not."""

from __future__ import annotations

import random

import pytest

from ainb.providers.local.repetition import RepetitionWatch, repeated_chars

LOOPS = {
    "a word": "no " * 200,
    "a sentence": "The capital of France is Paris, and it is a big city. " * 12,
    "a paragraph": (
        "A cat is a small animal. It sleeps all day, and at night it hunts mice in the garden. " * 2 + "\n\n"
    )
    * 4,
    "lines of a list": "".join(f"{n}. The first step is to read the question.\n" for n in range(1, 20)),
    "one character": "!" * 500,
    "after a good beginning": "Paris is the capital. " + "I hope this helps! " * 30,
    "blanks": "Yes." + " \n" * 400,
    "two alternating lines": "User: what is it?\nAssistant: it is a cat.\n" * 15,
}
TEXTS = {
    "prose": " ".join(
        random.Random(1).choices(
            ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "some", "dogs", "run", "by"], k=800
        )
    ),
    "a table": "| name | value |\n| --- | --- |\n" + "".join(f"| {n} | {n * n} |\n" for n in range(80)),
    "numbers": ", ".join(str(n) for n in range(300)),
    "columns of numbers": "".join(f"{n}, {n * 3}, {n * 7}\n" for n in range(100)),
    "a rule of dashes": "Title\n" + "-" * 120 + "\ntext\n" + "-" * 120,
    "code": "".join(f"def test_{name}():\n    assert {name}(1) == 2\n\n\n" for name in "abcdefghijklmnop"),
    "three times a line": "Row, row, row your boat, gently down the stream.\n" * 3,
    "a list": "".join(
        f"{n}. {word} is a fruit\n"
        for n, word in enumerate(["apple", "pear", "plum", "fig", "kiwi", "grape", "melon"])
    ),
}


def fed(text, **options):
    watch = RepetitionWatch(**options)
    for place in range(0, len(text), 5):
        if watch.feed(text[place : place + 5]):
            return watch, place
    return watch, None


@pytest.mark.parametrize("text", LOOPS.values(), ids=LOOPS)
def test_a_loop_is_stopped_and_kept_once(text):
    watch, place = fed(text)
    assert place is not None
    assert len(watch.trimmed()) < len(watch.text)
    assert text.startswith(watch.trimmed())
    assert repeated_chars(watch.trimmed()) == 0


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_an_ordinary_text_is_not_stopped(text):
    assert fed(text)[1] is None


@pytest.mark.parametrize(
    ("text", "stops"), [("[" + "0, " * 300, False), ('{"a": 1' + " " * 500, True), ("\n" * 500, True)]
)
def test_within_a_grammar_only_blanks_count(text, stops):
    assert (fed(text, only_blanks=True)[1] is not None) is stops
