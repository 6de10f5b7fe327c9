"""Tests of the list of trusted folders: permissions, damaged lists, links, the environment variable."""

from __future__ import annotations

import json
import os
import stat

import pytest

from ainb.config import is_trusted, load_config, trust, trusted_folders, untrust
from ainb.errors import ConfigError

LINE = 'home = "elsewhere"'


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text(f"[tool.ainb]\n{LINE}\n", encoding="utf-8")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def listed(project, tmp_path):
    """The file of the list, in which the project is listed."""
    trust(project)
    return tmp_path / "data" / "ainb" / "trusted.json"


def is_refused():
    try:
        load_config(environ={})
    except ConfigError:
        return True
    return False


def test_trust_lasts_and_can_be_taken_back(project):
    assert is_refused()

    trust(project)
    assert not is_refused()
    assert trusted_folders() == {str(project)}
    assert untrust(project)
    assert is_refused()
    assert not untrust(project)


def test_the_list_does_not_follow_home(project, monkeypatch, tmp_path):
    monkeypatch.setenv("AINB_HOME", str(project / "shipped"))
    (project / "shipped").mkdir()
    (project / "shipped" / "trusted.json").write_text(json.dumps([str(project)]))

    assert is_refused()


@pytest.mark.parametrize("where", ["below", "above", "beside"])
def test_a_folder_is_trusted_for_itself_alone(project, where):
    other = {"below": project / "vendor", "above": project.parent, "beside": project.parent / "project2"}[
        where
    ]
    trust(project)

    assert is_trusted(project, {})
    assert not is_trusted(other, {})
    assert not is_trusted(other, {"AINB_TRUST": str(project)})


def test_a_link_leads_to_the_folder_it_points_to(project, tmp_path):
    (tmp_path / "link").symlink_to(project)

    trust(tmp_path / "link")
    assert is_trusted(project, {})
    assert is_trusted(tmp_path / "link", {})
    assert is_trusted(project, {"AINB_TRUST": str(tmp_path / "link")})


@pytest.mark.parametrize("value", ["", os.pathsep, "1", "*", "/", f"{os.pathsep}/nowhere{os.pathsep}"])
def test_other_values_of_the_variable_trust_nothing(project, value):
    assert not is_trusted(project, {"AINB_TRUST": value})


def test_the_variable_takes_several_folders_relative_ones_and_home(project, monkeypatch):
    monkeypatch.setenv("HOME", str(project.parent))

    for text in (".", "~/project", f"/nowhere{os.pathsep}{project}/", "../project"):
        assert is_trusted(project, {"AINB_TRUST": text}), text


def test_the_list_is_private_whatever_the_umask_is(project, tmp_path):
    before = os.umask(0)
    try:
        trust(project)
    finally:
        os.umask(before)

    data = tmp_path / "data"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (data, data / "ainb")} == {0o700}
    assert stat.S_IMODE((data / "ainb" / "trusted.json").stat().st_mode) == 0o600
    assert [path.name for path in (data / "ainb").iterdir()] == ["trusted.json"]


def written_by_others(path, _outside):
    path.chmod(0o666)


def linked(path, outside):
    outside.write_text(path.read_text())
    path.unlink()
    path.symlink_to(outside)


def second_name(path, outside):
    os.link(path, outside)


def folder(path, _outside):
    path.unlink()
    path.mkdir()


def pipe(path, _outside):
    path.unlink()
    os.mkfifo(path)


def text(content):
    def write(path, _outside):
        path.write_bytes(content)

    return write


def of_another_user(path, _outside):
    if os.getuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, 65534, 65534)


@pytest.mark.parametrize(
    "damage",
    [
        written_by_others,
        linked,
        second_name,
        folder,
        pipe,
        of_another_user,
        text(b""),
        text(b"\xff"),
        text(b"{}"),
        text(b"[" * 100_000),
        text(b'[1, null, {"a": 1}]'),
    ],
)
def test_a_list_that_cannot_be_relied_on_trusts_nothing(listed, tmp_path, damage):
    assert not is_refused()

    damage(listed, tmp_path / "outside")
    assert is_refused()


@pytest.mark.parametrize("damage", [linked, folder, second_name])
def test_a_link_in_its_place_is_refused_and_not_followed(listed, project, tmp_path, damage):
    damage(listed, tmp_path / "outside")
    before = (tmp_path / "outside").read_bytes() if (tmp_path / "outside").exists() else b""

    with pytest.raises(ConfigError, match="list of trusted folders"):
        trust(project)
    if damage is not folder:
        assert (tmp_path / "outside").read_bytes() == before


def test_two_folders_stay_apart(project, tmp_path):
    (tmp_path / "other").mkdir()
    trust(project)
    trust(tmp_path / "other")
    untrust(project)

    assert trusted_folders() == {str(tmp_path / "other")}
