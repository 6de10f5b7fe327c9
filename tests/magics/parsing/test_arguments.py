"""Tests of the arguments of %%ai."""

from __future__ import annotations

import itertools

import pytest

from ainb.errors import ConfigError
from ainb.magics.parsing import readers
from ainb.magics.parsing.arguments import one_word, parse
from ainb.magics.parsing.flags import CELL_FLAGS, Flag


def read(line):
    return parse(line, CELL_FLAGS, "%%ai")


def test_options_stand_in_any_order_and_behind_the_model():
    parts = ["openai:gpt-4o", "-f code", "--temperature 0.5", '-m {"top_p": 0.9}']

    for order in itertools.permutations(parts):
        found = read(" ".join(order))
        assert found.words == ["openai:gpt-4o"]
        assert found.cell == {"format": "code"}
        assert found.call == {"temperature": 0.5}
        assert found.body == {"top_p": 0.9}


@pytest.mark.parametrize(
    "typed",
    [
        '-m {"temperature":0}',
        '-m {"temperature": 0}',
        """-m '{"temperature": 0}'""",
        r'-m "{\"temperature\": 0}"',
        "-m {'temperature': 0}",
        '--model-parameters={"temperature": 0}',
    ],
)
def test_parameters_are_read_bare_and_quoted(typed):
    assert read(typed).body == {"temperature": 0}


@pytest.mark.parametrize(
    ("line", "call", "cell"),
    [
        ("--timeout 20 --max-tokens 5", {"timeout_seconds": 20.0, "max_tokens": 5}, {}),
        (
            "--api-base http://127.0.0.1:1/v1 --api-key-name KEY",
            {"api_base": "http://127.0.0.1:1/v1", "api_key_name": "KEY"},
            {},
        ),
        ("--into answer", {}, {"into": "answer"}),
        ("-o=answer", {}, {"into": "answer"}),
        ("--stream", {}, {"stream": True}),
        ("--stream --no-stream", {}, {"stream": False}),
        ("-f md", {}, {"format": "markdown"}),
        ("--system '--into'", {"system": "--into"}, {}),
    ],
)
def test_each_option_goes_where_it_belongs(line, call, cell):
    found = read(line)

    assert (found.call, found.cell) == (call, cell)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--formt code", r"%%ai has no option --formt; did you mean '--format'\?"),
        ("-z", r"%%ai has no option -z; known are: "),
        ("--temperature hot", r"--temperature takes a number of at least 0; it is 'hot'"),
        ("--temperature -1", r"--temperature takes a number of at least 0; it is '-1'"),
        ("--temperature nan", r"--temperature takes a number of at least 0"),
        ("--timeout 0", r"--timeout takes a number above 0; it is '0'"),
        ("--max-tokens 1.5", r"--max-tokens takes a whole number of at least 1; it is '1.5'"),
        ("--into 2nd", r"--into takes a variable name; it is '2nd'"),
        ("--into class", r"--into takes a variable name"),
        ("-f poem", r"-f takes one of markdown, text, code, json, html, math; it is 'poem'"),
        ("--into", r"--into needs a value after it: --into NAME"),
        ("--into --stream", r"--into needs a value after it"),
        ("--stream=yes", r"--stream takes no value; it is given 'yes'"),
        ("-m [1]", r"-m takes a JSON object"),
        ("-m temperature=0", r"-m takes a JSON object"),
        ('-m {"messages": []}', r"-m takes .*without messages, model, stream, which are set by the call"),
        ("--api-base ftp://x", r"--api-base takes a URL that begins with http"),
        ('--system ""', r"--system takes a text"),
        ("--budget much", r"--budget takes a number of USD from 0 to [\d,]+, such as 0.50; it is 'much'"),
        ("--tag team=", r"--tag takes KEY=VALUE, such as team=search; it is 'team='"),
        ("--schema my.class", r"--schema takes the name of an object in the notebook"),
        ("--fallback a:b,,c:d", r"--fallback takes models separated by commas"),
    ],
)  # fmt: skip
def test_a_wrong_line_names_option_value_and_what_it_takes(line, message):
    with pytest.raises(ConfigError, match=message):
        read(line)


@pytest.mark.parametrize(
    "key", ["sk-abcdefghijklmnop1234", "AIzaSyA1234567890", "gsk_abcdef1234567890", "not a name"]
)
def test_a_key_in_place_of_its_variable_is_refused_and_not_repeated(key):
    with pytest.raises(ConfigError, match="never the key itself") as caught:
        read(f'--api-key-name "{key}"')

    assert key not in str(caught.value)


def test_a_password_in_a_base_url_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match="without a password") as caught:
        read("--api-base https://ann:hunter2@example.org/v1")

    assert "hunter2" not in str(caught.value)


def test_a_second_model_is_refused():
    with pytest.raises(ConfigError, match="%%ai takes one MODEL; 'words' is a second word"):
        one_word(["openai:gpt-4o", "words"], "%%ai")


def test_a_new_row_is_all_that_a_new_option_needs():
    def tag(value):
        key, found, text = value.partition("=")
        if not found:
            raise ValueError("KEY=VALUE")
        return {key: text}

    rows = [
        Flag(
            name="tag", metavar="KEY=VALUE", read=tag, key="tags", repeats=True, help="a label", example="x"
        ),
        Flag(name="fallback", metavar="MODEL", key="fallbacks", repeats=True, help="next model", example="x"),
        Flag(name="no-cache", value="off", key="cache", help="leave the cache aside", example="x"),
        Flag(
            name="ttl",
            metavar="SECONDS",
            read=readers.number_from(0),
            key="ttl_seconds",
            help="age",
            example="x",
        ),
    ]

    found = parse("--tag a=1 --fallback x:1 --tag b=2 --no-cache --fallback y:2 --ttl 5", rows, "%%ai")

    assert found.call == {
        "tags": {"a": "1", "b": "2"},
        "fallbacks": ("x:1", "y:2"),
        "cache": "off",
        "ttl_seconds": 5.0,
    }


def test_every_row_has_help_and_an_example_that_parses():
    for flag in CELL_FLAGS:
        assert flag.help
        assert read(flag.example.removeprefix("%%ai"))


def test_no_two_rows_are_spelt_alike():
    spellings = [spelling for flag in CELL_FLAGS for spelling in flag.spellings]

    assert len(spellings) == len(set(spellings))
