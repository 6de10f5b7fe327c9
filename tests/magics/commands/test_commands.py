"""Tests of %ai list, alias, pull, help and version, and of wrong lines."""

from __future__ import annotations

import ast
import re
import sys

import pytest

import ainb
from ainb import errors
from ainb import session as sessions
from ainb.config import OPTIONS, load_config
from ainb.magics.commands.help import VALUES, topics
from ainb.magics.commands.status import ROWS
from ainb.magics.commands.table import COMMANDS
from ainb.magics.line import find_command
from ainb.magics.parsing.arguments import parse
from ainb.magics.parsing.flags import CELL_FLAGS
from ainb.providers.services import SERVICES


def test_alone_it_shows_a_short_status(terminal):
    out = terminal.run("%ai").out

    assert "model" in out
    assert "none set" in out
    terminal.run("%config Ainb.model = 'scripted:echo'")
    assert "scripted:echo" in terminal.run("%ai status").out


def test_a_row_is_all_that_a_new_status_needs(terminal, monkeypatch):
    monkeypatch.setattr(
        "ainb.magics.commands.status.ROWS", [*ROWS, lambda _: ("weather", "fine"), lambda _: None]
    )

    assert "weather" in terminal.run("%ai").out


def test_help_lists_every_option_and_every_subcommand(terminal):
    out = terminal.run("%ai help").out

    assert all(f"--{flag.name}" in out and flag.help in out for flag in CELL_FLAGS)
    assert all(command.name in out and command.help in out for command in COMMANDS)


@pytest.mark.parametrize(
    ("topic", "line"),
    [
        ("format", "-f, --format FORMAT: form of the reply"),
        ("--into", "-o, --into NAME: bind the reply"),
        ("-m", "Example: %%ai -m"),
        ("pull", "%ai pull NAME | hf:OWNER/REPO/FILE.gguf [--yes]: download"),
        ("ttl", "--ttl SECONDS: age up to which"),
        ("cost", "--since SPAN: calls of the last"),
        ("register", "%ai alias NAME MODEL"),
        ("display", "%config Ainb.display: how replies"),
    ],
)
def test_every_topic_has_help(terminal, topic, line):
    assert line in terminal.run(f"%ai help {topic}").out


def test_help_on_anything_ends_in_a_line_that_can_be_typed(terminal):
    for topic in topics(COMMANDS):
        out = terminal.run(f"%ai help {topic}").out
        assert re.search(r"^Example: %\S*(ai|config) ?\S", out, re.MULTILINE), topic
        assert "…" not in out.partition("Example:")[2], topic


def test_the_example_of_every_setting_is_one_that_it_takes(tmp_path):
    assert set(VALUES) == set(OPTIONS)
    for name, value in VALUES.items():
        load_config(settings={name: ast.literal_eval(value)}, environ={}, folder=tmp_path)


def test_the_examples_of_subcommands_and_their_options_can_be_read():
    own = {flag for command in COMMANDS for flag in command.flags or () if flag not in CELL_FLAGS}
    for example in [*(command.example for command in COMMANDS), *(flag.example for flag in own)]:
        name, _, rest = example.removeprefix("%ai ").partition(" ")
        command = find_command(name)
        words = parse(rest, command.flags or (), "%ai").words
        assert command.words[0] <= len(words) <= command.words[1]


def test_every_example_names_its_subcommand():
    assert all(command.example.startswith(f"%ai {command.name}") for command in COMMANDS)


def test_the_version_is_one_line(terminal):
    assert terminal.run("%ai version").out.startswith(f"ainb {ainb.__version__} (prices of ")


def test_the_list_tells_whether_a_key_is_set_and_never_the_key(terminal, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-value")
    monkeypatch.setenv("GROQ_BASE_URL", "https://ann:hunter2@proxy.example/v1?token=abc")

    out = terminal.run("%ai list").out

    assert all(name in out for name in SERVICES)
    assert "OPENAI_API_KEY is set" in out
    assert "MISTRAL_API_KEY is not set" in out
    assert "https://proxy.example/v1" in out
    assert not any(secret in out for secret in ("sk-secret", "hunter2", "ann:", "token"))


def test_the_list_can_be_of_one_provider(terminal):
    out = terminal.run("%ai list openai-chat").out

    assert "https://api.openai.com/v1" in out
    assert "ollama" not in out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hepl", "%ai has no subcommand 'hepl'; did you mean 'help'?"),
        ("openai:gpt-4o", "to ask a model write %%ai openai:gpt-4o above a prompt"),
        ("list opanai", "there is no provider 'opanai'; did you mean 'openai'?"),
        ("help formatt", "there is no help on 'formatt'; did you mean 'format'?"),
        ("alias fast", "%ai alias is written %ai alias NAME MODEL [--save]; 1 word given"),
        ("alias fast nowhere:x", "names no provider and no alias"),
        ("alias a:b scripted:echo", "an alias is one word without : and /"),
        ("dealias nobody", "there is no alias 'nobody'; there are none"),
        ("version --loud", "%ai version has no option --loud"),
        ("cost modell", "by names no column of the log: 'modell'; columns are: day, "),
        ("errors modell", "by names no column of the log: 'modell'; columns are: day, "),
        (
            "cost --since soon",
            (
                "--since takes a span back from now such as 90m, 24h, 7d, "
                "or a date such as 2026-03-31; it is 'soon'"
            ),
        ),
        ("cost --since", "--since needs a value after it: --since SPAN"),
        ("usage request_model", "%ai usage is written %ai usage [--since SPAN]; 1 word given"),
        ("usage --sicne 7d", "%ai usage has no option --sicne; did you mean '--since'?"),
    ],
)
def test_a_wrong_line_fails_the_cell_with_the_way_out(terminal, line, message):
    cell = terminal.run(f"%ai {line}")

    assert isinstance(cell.error, errors.ConfigError)
    assert message in str(cell.error)


def test_aliases_come_and_go(terminal, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.ainb.aliases]\nkept = "scripted:echo"\n')
    sessions.use(None)

    assert "fast is scripted:echo now" in terminal.run("%ai alias fast kept").out
    assert terminal.run("%%ai fast\nhi").result.text == "hi"
    assert terminal.run("%%ai kept\nhi").result.text == "hi"
    assert "fast" in terminal.run("%ai list").out
    terminal.run("%ai delete fast")
    assert isinstance(terminal.run("%%ai fast\nhi").error, errors.ConfigError)


def test_an_alias_cannot_lead_to_itself(terminal):
    cell = terminal.run("%ai alias fast fast")

    assert isinstance(cell.error, errors.ConfigError)


@pytest.fixture
def pulls(monkeypatch):
    """Replaces downloads and records the pulled models."""
    asked = []

    def pull(name, *, progress):
        asked.append(name)
        for done in range(0, 100_000_001, 20_000_000):
            progress(done, 100_000_000)
        progress(5, None)

    monkeypatch.setattr("ainb.providers.local.pull", pull)
    monkeypatch.setattr("ainb.providers.local.pulled", lambda: asked)
    return asked


def test_pull_downloads_and_says_what_to_type_next(terminal, pulls):
    cell = terminal.run("%ai pull local:smollm2")

    assert pulls == ["smollm2"]
    assert cell.out.strip() == "local:smollm2 is on this machine; ask it with %%ai local:smollm2"
    assert cell.err == ""
    assert "local:smollm2" in terminal.run("%ai").out
    assert "local:smollm2" in terminal.run("%ai list local").out


def test_pull_shows_its_progress_in_a_watched_kernel(terminal, pulls, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    assert "smollm2: 0 MB of 100 MB" in terminal.run("%ai pull smollm2").err


def test_a_stopped_pull_is_one_line(terminal, monkeypatch):
    def stopped(name, *, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr("ainb.providers.local.pull", stopped)

    cell = terminal.run("%ai pull smollm2")

    assert isinstance(cell.error, errors.CallInterrupted)
    assert cell.out == "CallInterrupted: stopped by you; %ai pull starts again where it can\n"


def test_pull_without_llama_cpp_names_the_package(terminal, pulls, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    assert "pip install 'ainb-notebook[local]'" in terminal.run("%ai pull smollm2").out


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("models", "list"), ("model", "list"), ("Models", "list"), ("keys", "login"), ("download", "pull")],
)
def test_what_people_type_for_another_name_is_understood(terminal, typed, meant):
    assert f"did you mean '{meant}'?" in str(terminal.run(f"%ai {typed}").error)
