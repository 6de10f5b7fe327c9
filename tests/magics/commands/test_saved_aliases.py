"""Tests of %ai alias --save and its effect on later kernels."""

from __future__ import annotations

import pytest

from ainb import session as sessions


def test_an_alias_that_is_saved_is_there_in_the_next_kernel(terminal, tmp_path):
    file = tmp_path / "pyproject.toml"
    file.write_text("# mine\n[tool.ruff]\nline-length = 100\n")

    out = terminal.run("%ai alias fast scripted:echo --save").out

    assert f"fast is scripted:echo now, and kept in {file}" in out
    assert file.read_text().startswith("# mine\n[tool.ruff]\nline-length = 100\n")
    sessions.use(None)
    assert sessions.Session().find_model("fast") == ("scripted", "echo")


def test_without_save_the_file_is_left_alone_and_the_way_is_said(terminal, tmp_path):
    out = terminal.run("%ai alias fast scripted:echo").out

    assert "--save keeps it in [tool.ainb.aliases] of pyproject.toml" in out
    assert not (tmp_path / "pyproject.toml").exists()


def test_the_nearest_file_above_is_the_one(terminal, tmp_path, monkeypatch):
    file = tmp_path / "pyproject.toml"
    file.write_text("")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")

    terminal.run("%ai register fast scripted:echo --save")

    assert 'fast = "scripted:echo"' in file.read_text()
    assert not (tmp_path / "notebooks" / "pyproject.toml").exists()


def test_a_saved_alias_is_taken_out_when_asked(terminal, tmp_path):
    file = tmp_path / "pyproject.toml"
    terminal.run("%ai alias fast scripted:echo --save")
    terminal.run("%ai update fast scripted:other --save")
    assert 'fast = "scripted:other"' in file.read_text()

    assert "fast is no longer an alias" in terminal.run("%ai dealias fast").out
    assert "fast" in file.read_text()
    terminal.run("%ai alias fast scripted:echo")
    assert f"taken out of {file}" in terminal.run("%ai delete fast --save").out
    assert file.read_text() == "[tool.ainb.aliases]\n"


def test_an_alias_that_was_never_saved_is_said(terminal):
    terminal.run("%ai alias fast scripted:echo")

    assert "was not in" in terminal.run("%ai dealias fast --save").out


@pytest.mark.parametrize("line", ["%ai alias fast nowhere:x --save", "%ai alias a:b scripted:echo --save"])
def test_nothing_that_makes_no_sense_is_saved(terminal, tmp_path, line):
    assert terminal.run(line).error is not None
    assert not (tmp_path / "pyproject.toml").exists()
