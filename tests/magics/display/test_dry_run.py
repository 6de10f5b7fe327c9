"""Tests of --dry-run in cells."""

from __future__ import annotations

import re

import pytest

from ainb import errors
from ainb import session as sessions
from ainb.testing import script

PRICE = "%config Ainb.prices = {'openai:m': {'input_usd_per_million': 100, 'output_usd_per_million': 1000}}"


def test_a_dry_run_shows_prompt_tokens_and_price_and_sends_nothing(terminal):
    terminal.run(PRICE)
    terminal.run("name = 'Ann'")

    cell = terminal.run(
        "%%ai openai:m --dry-run --system Be.brief --max-tokens 1000\nHi {name},\n  how are you?"
    )

    assert (cell.error, cell.result) == (None, None)
    assert "Prompt, system\n  Be.brief\n" in cell.out
    assert "Prompt, user\n  Hi Ann,\n    how are you?\n" in cell.out
    assert "likely 256, at most 1,000" in cell.out
    assert "to $1.00, likely $0.26" in cell.out
    assert "holds no answer yet" in cell.out
    assert len(sessions.current().usage()) == 0
    assert "_ai" not in terminal.shell.user_ns


def test_a_stored_answer_costs_nothing_and_an_unknown_price_is_said(terminal):
    terminal.run("%%ai scripted:echo\nhi")

    stored = terminal.run("%%ai scripted:echo --dry-run\nhi").out
    unknown = terminal.run("%%ai openai:no-such-model --dry-run --no-cache\nhi").out

    assert "nothing, from the cache; asked again free" in stored
    assert "no price known" in unknown
    assert "holds no answer yet" in unknown


def test_a_key_is_not_shown(terminal):
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"

    cell = terminal.run(f'%%ai scripted:echo --dry-run -m {{"user": "{key}"}}\nmine is {key}')

    assert key not in cell.out
    assert "redacted" in cell.out
    terminal.run("%config Ainb.validation = False")
    cell = terminal.run(f"%%ai scripted:echo --dry-run --schema 'label: a|b'\nmine is {key}")
    assert key not in cell.out
    assert "Secrets are hidden here and would be sent as they are." in cell.out
    assert re.search(r"schema +\w+", cell.out)


def test_a_prompt_that_would_be_refused_is_said(terminal):
    terminal.run("%config Ainb.validation = {'preset': 'strict'}")
    terminal.run("page = '<script>alert(1)</script>'")

    cell = terminal.run("%%ai scripted:echo --dry-run\nsum up {page}")

    assert cell.error is None
    assert "This call would be refused: " in cell.out


def test_a_long_prompt_is_cut_in_what_is_shown(terminal):
    terminal.run("words = 'word ' * 10_000")

    out = terminal.run("%%ai scripted:echo --dry-run\n{words}").out

    assert "(29,999 more characters)" in out


def test_a_table_of_rows_shows_its_first_and_what_all_would_take(terminal):
    played = script("model", ["x"])
    terminal.run("words = ['one', 'two', 'three']")

    cell = terminal.run("%%ai scripted:model --each words --dry-run\nabout {value}")

    assert "3 rows" in cell.out
    assert "  about one\n" in cell.out
    assert (cell.result, played.played) == (None, 0)


@pytest.mark.parametrize("line", ["--dry-run nowhere:x", "--dry-run --each missing"])
def test_a_wrong_line_fails_like_any_other(terminal, line):
    assert isinstance(terminal.run(f"%%ai {line}\nhi").error, errors.ConfigError)
