"""Tests of %config Ainb: effects, precedence, refused values."""

from __future__ import annotations

import pytest

from ainb import errors
from ainb import session as sessions
from ainb.config import OPTIONS


def test_config_lists_every_option_with_its_help(terminal):
    out = terminal.run("%config Ainb").out

    for name, item in OPTIONS.items():
        assert f"Ainb.{name}=" in out
        assert " ".join(item.metadata["help"].split()[:3]) in " ".join(out.split())


def test_a_setting_takes_effect_on_the_next_cell(terminal):
    terminal.run("%config Ainb.model = 'scripted:echo'")

    assert terminal.run("%%ai\nhello").result.text == "hello"
    assert terminal.run("%config Ainb.model").result == "scripted:echo"


def test_what_is_in_force_is_shown_wherever_it_comes_from(terminal, monkeypatch):
    monkeypatch.setenv("AINB_MODEL", "scripted:from_environment")

    assert terminal.run("%config Ainb.model").result == "scripted:from_environment"


def test_a_setting_beats_environment_and_pyproject_and_only_where_it_was_set(terminal, monkeypatch, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.ainb]\nmodel = "scripted:file"\ndisplay = "off"\n')
    monkeypatch.setenv("AINB_DISPLAY", "static")
    terminal.run("%config Ainb.model = 'scripted:echo'")

    config = sessions.current().config

    assert (config.model, config.display) == ("scripted:echo", "static")


def test_a_setting_equal_to_the_default_counts_as_set(terminal, monkeypatch):
    monkeypatch.setenv("AINB_DISPLAY", "off")

    terminal.run("%config Ainb.display = 'auto'")

    assert sessions.current().config.display == "auto"


def test_options_of_a_stage_are_a_dict_or_false(terminal):
    terminal.run("%config Ainb.deadline = {'timeout_seconds': 7}")
    assert sessions.current().config.deadline.timeout_seconds == 7

    terminal.run("%config Ainb.deadline = False")
    assert sessions.current().config.deadline is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Ainb.modle = 'x'", "%config Ainb has no option 'modle'; did you mean 'model'?"),
        ("Ainb.display = 'loud'", "%config Ainb: display takes one of auto"),
        ("Ainb.deadline = {'timeout_second': 1}", "did you mean 'timeout_seconds'?"),
        ("Ainb.deadline = {'timeout_seconds': -1}", "timeout_seconds must be a number of seconds above 0"),
        ("Ainb.deadline = 7", "deadline takes a table of options or false; it is 7"),
    ],
)
def test_a_refused_setting_fails_the_next_call_until_it_is_mended(terminal, caplog, line, message):
    terminal.run("%config Ainb.model = 'scripted:echo'")

    terminal.run(f"%config {line}")
    failed = terminal.run("%%ai\nhello")

    assert message in caplog.text
    assert isinstance(failed.error, errors.ConfigError)
    assert message in str(failed.error)

    terminal.run("%config Ainb.display = 'auto'")
    assert terminal.run("%%ai\nhello").result.text == "hello"


def test_a_new_model_keeps_the_session_and_a_new_limit_makes_another(terminal):
    first = sessions.current()

    terminal.run("%config Ainb.model = 'scripted:echo'")
    assert sessions.current() is first
    assert first.config.model == "scripted:echo"

    terminal.run("%config Ainb.deadline = {'timeout_seconds': 7}")
    assert sessions.current() is not first
    assert sessions.current().config.model == "scripted:echo"


def test_a_session_that_was_handed_over_is_left_alone(terminal):
    sessions.current()
    mine = sessions.Session("scripted:echo")
    sessions.use(mine)

    terminal.run("%config Ainb.deadline = {'timeout_seconds': 7}")

    assert sessions.current() is mine


def test_an_ipython_profile_sets_options_too(bare_shell, capsys):
    bare_shell.config.Ainb.model = "scripted:echo"
    bare_shell.run_line_magic("load_ext", "ainb")

    assert sessions.current().config.model == "scripted:echo"


def test_a_misspelt_option_of_a_profile_fails_the_first_call(bare_shell):
    bare_shell.config.Ainb.modle = "scripted:echo"
    bare_shell.run_line_magic("load_ext", "ainb")

    error = bare_shell.run_cell("%%ai\nhi").error_in_exec

    assert isinstance(error, errors.ConfigError)
    assert "did you mean 'model'?" in str(error)
