"""Tests of ``%ai trust`` and ``%ai untrust``."""

from __future__ import annotations

import os
import shutil

import pytest

from ainb.errors import ConfigError


@pytest.fixture
def clone(terminal, tmp_path, monkeypatch):
    """A shell in the notebook folder of a repository that sets `home` and `state`."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("AINB_HOME")
    root = tmp_path / "a clone"
    (root / "notebooks").mkdir(parents=True)
    (root / "pyproject.toml").write_text(
        '[tool.ainb]\nmodel = "scripted:echo"\nhome = ".ainb"\nenv_file = ".env"\n', encoding="utf-8"
    )
    (root / ".env").write_text("")
    monkeypatch.chdir(root / "notebooks")
    return root


def test_a_cell_is_refused_until_the_project_is_trusted_and_after_it_is_not(terminal, clone):
    refused = terminal.run("%%ai\nhello")
    assert isinstance(refused.error, ConfigError)
    assert "%ai trust" in str(refused.error)
    assert not (clone / ".ainb").exists()

    out = terminal.run("%ai trust").out
    assert f"{clone} is trusted" in out
    assert "it sets env_file, home" in out
    assert terminal.run("%%ai\nhello").result.text == "hello"
    assert (clone / ".ainb").exists()

    assert "is no longer trusted" in terminal.run("%ai untrust").out
    assert isinstance(terminal.run("%%ai\nhello").error, ConfigError)
    assert "was not trusted" in terminal.run("%ai untrust").out


def test_a_folder_can_be_named_with_blanks_and_links(terminal, clone, tmp_path):
    (tmp_path / "link").symlink_to(clone)

    assert f"{clone} is trusted" in terminal.run(f'%ai trust "{clone}"').out
    assert f"{clone} is trusted" in terminal.run(f"%ai trust {tmp_path / 'link'}").out
    assert "is no longer trusted" in terminal.run(f'%ai untrust "{clone}"').out


def test_a_folder_that_is_not_there_is_an_error(terminal, clone):
    assert "there is no folder 'nowhere'" in str(terminal.run("%ai trust nowhere").error)


def test_trust_by_the_environment_is_named(terminal, clone, monkeypatch):
    monkeypatch.setenv("AINB_TRUST", str(clone))

    assert terminal.run("%%ai\nhello").result.text == "hello"
    assert "is trusted by AINB_TRUST of the environment" in terminal.run("%ai untrust").out


def test_each_option_can_be_set_while_others_still_need_trust(terminal, clone):
    terminal.run("%config Ainb.home = ''")
    assert "env_file" in str(terminal.run("%%ai\nhello").error)

    terminal.run("%config Ainb.env_file = ''")
    assert terminal.run("%%ai\nhello").result.text == "hello"


def test_a_project_that_sets_nothing_of_the_kind_says_so(terminal, clone):
    (clone / "pyproject.toml").write_text('[tool.ainb]\nmodel = "scripted:echo"\n')

    assert "it sets none that needs trust now" in terminal.run("%ai trust").out


@pytest.mark.parametrize("named", ["{}", '"{}"', "../../a clone", "link"])
def test_the_trust_in_a_deleted_folder_can_be_withdrawn(terminal, clone, tmp_path, named):
    terminal.run("%ai trust")
    os.chdir(tmp_path)
    (tmp_path / "link").symlink_to(clone)
    shutil.rmtree(clone)
    place = named.format(clone).replace("../../", "")
    line = place if place.startswith('"') else f'"{place}"'

    assert "is no longer trusted" in terminal.run(f"%ai untrust {line}").out
    assert f"there is no folder {place.strip(chr(34))!r}" in str(terminal.run(f"%ai untrust {line}").error)


def test_a_trusted_folder_that_is_there_is_named_by_its_project(terminal, clone):
    terminal.run("%ai trust")

    assert f"{clone} is no longer trusted" in terminal.run(f'%ai untrust "{clone / "notebooks"}"').out
