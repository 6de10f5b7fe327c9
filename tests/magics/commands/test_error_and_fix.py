"""Tests of %ai error and %ai fix: which parts of a failure are sent."""

from __future__ import annotations

import sys

import pytest

from ainb.errors import ConfigError
from ainb.testing import script


@pytest.fixture
def asked(terminal, monkeypatch):
    """Runs cells, then a line, and returns the prompt."""

    def run(*cells, line="%ai error scripted:echo"):
        for cell in cells:
            terminal.run(cell)
        terminal.run(line)
        return terminal.shell.user_ns["_ai"].text

    return run


def test_the_cell_and_the_error_are_sent(asked):
    prompt = asked("x = {'a': 1}\nx['b']")

    assert prompt.startswith("Explain this Python error")
    assert "```python\nx = {'a': 1}\nx['b']\n```" in prompt
    assert "KeyError: 'b'" in prompt
    assert ">   2 | x['b']" in prompt


def test_frames_of_earlier_cells_are_shown_with_their_lines(asked):
    prompt = asked("def half(n):\n    return n / 0", "half(3)")

    assert "in half:" in prompt
    assert ">   2 |     return n / 0" in prompt
    assert "In[1], line 2" in prompt
    assert "interactiveshell" not in prompt


def test_frames_of_libraries_are_counted_and_not_shown(asked):
    prompt = asked("import json\njson.loads('{')")

    assert "3 frames of Python's own library, the last in" in prompt
    assert "def raw_decode" not in prompt


def test_secrets_are_taken_out(asked, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-live-abcdefghijklmnop0123456789")
    prompt = asked("key = 'sk-live-abcdefghijklmnop0123456789'\nraise ValueError('bad key ' + key)")

    assert "abcdefghijklmnop" not in prompt
    assert "ValueError: bad key" in prompt


def test_braces_of_the_code_are_code(asked):
    prompt = asked("name = 'Ann'", "f'{name}' + 1")

    assert "f'{name}' + 1" in prompt
    assert "Ann" not in prompt.replace("name = 'Ann'", "")


def test_causes_of_an_error_are_sent(asked):
    prompt = asked("try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('no a') from e")

    assert "ValueError: no a\nwhich came from: KeyError: 'a'" in prompt


def test_a_syntax_error_is_sent_with_its_cell(asked):
    prompt = asked("for x in")

    assert "```python\nfor x in\n```" in prompt
    assert "SyntaxError" in prompt


def test_a_long_cell_and_a_long_message_are_cut(asked):
    prompt = asked("x = '" + "y" * 9000 + "'\nraise ValueError('z' * 100_000)")

    assert len(prompt) < 20_000


def test_our_own_errors_are_not_what_is_asked_about(asked):
    prompt = asked("1 / 0", "%ai nothing", "%%ai opnai:x\nhello")

    assert "ZeroDivisionError" in prompt


def test_without_a_failure_it_says_so(terminal, monkeypatch):
    monkeypatch.setattr(sys, "last_value", None, raising=False)

    cell = terminal.run("%ai error scripted:echo")

    assert isinstance(cell.error, ConfigError)
    assert "run the cell that fails first" in str(cell.error)


def test_a_failure_from_before_the_extension_was_loaded_is_known(bare_shell, capsys):
    bare_shell.run_cell("1 / 0")
    bare_shell.run_cell("%load_ext ainb\n%ai error scripted:echo")

    assert "ZeroDivisionError" in bare_shell.user_ns["_ai"].text


def test_fix_offers_the_corrected_cell(terminal, monkeypatch):
    script("mend", ["```python\nx = 1\n```\nA name was missing."])
    offered = []
    monkeypatch.setattr(terminal.shell, "set_next_input", lambda text, **_: offered.append(text))
    terminal.run("x = y")
    cell = terminal.run("%ai fix scripted:mend")

    assert offered == ["x = 1"]
    assert "A name was missing." in cell.out


def test_an_answer_without_code_is_not_offered_as_a_cell(terminal, monkeypatch):
    offered = []
    monkeypatch.setattr(terminal.shell, "set_next_input", lambda text, **_: offered.append(text))
    script("talk", ["I do not know."])
    terminal.run("1 / 0")
    terminal.run("%ai fix scripted:talk")

    assert offered == []


def test_options_of_a_cell_may_stand_behind(terminal):
    terminal.run("1 / 0")
    terminal.run("%ai error scripted:echo --system 'in German' -f text")

    assert terminal.shell.user_ns["_ai"].form == "text"


def test_err_fills_a_prompt_as_in_and_out_do(terminal):
    terminal.run("1 / 0")
    number = terminal.shell.execution_count - 1

    cell = terminal.run(f"%%ai scripted:echo\nWhat is {{Err[{number}]}}")

    assert "ZeroDivisionError: division by zero" in cell.result.text


def test_nothing_is_left_behind_when_the_extension_goes(terminal):
    before = len(terminal.shell.events.callbacks["post_run_cell"])
    terminal.run("%unload_ext ainb")

    assert len(terminal.shell.events.callbacks["post_run_cell"]) == before - 1


@pytest.mark.parametrize("at", [1, 150, 299])
def test_a_long_cell_is_sent_around_the_line_that_failed(asked, at):
    lines = [f"x{n} = {n}  # {'a comment ' * 3}" for n in range(1, 301)]
    lines[at - 1] = "1 / 0  # here"

    prompt = asked("\n".join(lines))

    assert "1 / 0  # here" in prompt.partition("The error:")[0]
    assert len(prompt) < 6_500
    assert ("lines before" in prompt) is (at > 1)
    assert ("lines after" in prompt) is (at < 299)


@pytest.mark.parametrize(
    "cell",
    [
        "raise ValueError('x' * 100_000)",
        "x = '" + "y" * 100_000 + "'\n1 / 0",
        "def f(n):\n    return f(n + 1)\nf(0)",
        "\n" * 5_000 + "1 / 0",
        "x = [" + ", ".join(map(str, range(20_000))) + "]\nx['a']",
    ],
)
def test_whatever_failed_the_context_is_bounded(asked, terminal, cell):
    terminal.run("%xmode Minimal")  # IPython takes 20 s to show a thousand frames
    prompt = asked(cell)
    assert len(prompt) < 6_500
    assert "The error:" in prompt
