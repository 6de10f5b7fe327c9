"""Tests of ``%ai help TOPIC`` and ``%ai SUBCOMMAND --help``, also where names are shared."""

from __future__ import annotations

from collections import Counter

import pytest

from ainb.config import OPTIONS
from ainb.errors import ConfigError
from ainb.magics.commands.help import topics
from ainb.magics.commands.table import COMMANDS
from ainb.magics.parsing.flags import CELL_FLAGS

FLAGS = {flag.name: flag for flag in CELL_FLAGS}
SUBCOMMANDS = {command.name: command for command in COMMANDS}
ALL = [*FLAGS, *SUBCOMMANDS, *OPTIONS]
SHARED = [name for name, count in Counter(ALL).items() if count > 1]


@pytest.fixture
def said(terminal):
    def said(line):
        terminal.run("%config Ainb.display = 'static'")
        ran = terminal.run(line)
        if ran.error is not None:
            raise ran.error
        return ran.out

    return said


@pytest.mark.parametrize("name", SUBCOMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_a_subcommand_is_about_the_subcommand(said, name, flag):
    first = said(f"%ai {name} {flag}").splitlines()[0]

    assert first == f"%ai {SUBCOMMANDS[name].usage}: {SUBCOMMANDS[name].help}"


@pytest.mark.parametrize("name", SHARED)
def test_a_topic_with_several_meanings_shows_each(said, name):
    text = said(f"%ai help {name}")

    assert (FLAGS[name].help in text) if name in FLAGS else True
    assert (SUBCOMMANDS[name].help in text) if name in SUBCOMMANDS else True
    assert (OPTIONS[name].metadata["help"] in text) if name in OPTIONS else True


@pytest.mark.parametrize("name", [name for name in SHARED if name in FLAGS])
def test_a_topic_with_dashes_is_an_option(said, name):
    text = said(f"%ai help --{name}")

    assert FLAGS[name].help in text
    assert "%ai " + name not in text
    assert "%config" not in text


@pytest.mark.parametrize("name", [name for name in SHARED if name in OPTIONS])
def test_a_topic_of_the_settings_is_a_setting(said, name):
    text = said(f"%ai help Ainb.{name}")

    assert text.startswith(f"%config Ainb.{name}: ")
    assert "%%ai" not in text


def test_the_shared_names_are_tested():
    assert {"budget", "cache", "fallback", "chat"} <= set(SHARED)


def test_each_topic_is_named_once(said):
    assert sorted(topics(COMMANDS)) == sorted(set(ALL))
    with pytest.raises(ConfigError) as raised:
        said("%ai help zzz")
    names = str(raised.value).partition("known are: ")[2].split(", ")
    assert sorted(names) == sorted(set(ALL))


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_an_example_of_an_option_is_one_of_its_own_subcommand(said, name):
    examples = [line for line in said(f"%ai {name} --help").splitlines() if line.startswith("Example: ")]

    assert examples
    assert all(line.startswith(f"Example: %ai {name}") for line in examples)
