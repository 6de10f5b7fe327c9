"""Tests of splitting a line into words and quoted texts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.errors import ConfigError
from ainb.magics.parsing.line_words import split_words


def texts(line):
    return [word.text for word in split_words(line)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  openai:gpt-5-mini   -f code ", ["openai:gpt-5-mini", "-f", "code"]),
        ('-m {"temperature":0}', ["-m", '{"temperature":0}']),
        (
            '-m {"temperature": 0, "stop": ["}", "a b"]} -f code',
            ["-m", '{"temperature": 0, "stop": ["}", "a b"]}', "-f", "code"],
        ),
        ("""-m '{"temperature": 0}'""", ["-m", '{"temperature": 0}']),
        (r'-m "{\"temperature\": 0}"', ["-m", '{"temperature": 0}']),
        ('-m={"a": 1} x', ['-m={"a": 1}', "x"]),
        ("-m {'a': 'it is }'} x", ["-m", "{'a': 'it is }'}", "x"]),
        ('--system "Answer in one word."', ["--system", "Answer in one word."]),
        ("--system='it\\'s short'", ["--system=it's short"]),
        ("--system don't", ["--system", "don't"]),
        ("--system \u201cAnswer briefly\u201d", ["--system", "Answer briefly"]),
        (r"local:C:\models\small.gguf", [r"local:C:\models\small.gguf"]),
        (r'"local:C:\my models\small.gguf"', [r"local:C:\my models\small.gguf"]),
        ('""', [""]),
    ],
)
def test_a_line_is_split_the_way_people_type_it(line, words):
    assert texts(line) == words


@pytest.mark.parametrize("line", ['--system "open', "--system 'open", '-m {"a": 1', "-m {'a': '}"])
def test_what_is_not_closed_is_named(line):
    with pytest.raises(ConfigError, match=r"is not closed; close it with"):
        split_words(line)


def test_a_quoted_word_is_known_as_such():
    assert [word.quoted for word in split_words("'--into' --into")] == [True, False]


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=60))
def test_any_line_is_split_or_refused_with_our_own_error(line):
    try:
        words = split_words(line)
    except ConfigError:
        return
    assert all(isinstance(word.text, str) for word in words)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(min_size=1, max_size=12)))
def test_texts_in_double_quotes_come_back_as_they_were(values):
    line = " ".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)

    assert texts(line) == values
