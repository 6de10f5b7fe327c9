"""Tests of symbolic links and modes in the home: no file outside the home is changed."""

from __future__ import annotations

import os
import pathlib
import shutil
import stat
import subprocess
import sys
import textwrap

import pytest

import ainb
from tests.test_home_is_private import batch_or_one_line, opened, use_everything

KEPT = "kept"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "home"
    use_everything(folder)
    return folder


def names(folder):
    """Every file and folder of a home: those that exist after use, and temporary ones."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if "owners/" not in str(path)}
    beside = {
        f"{name}{end}" for name in found if name.endswith((".db", ".sqlite3")) for end in ("-wal", "-shm")
    }
    return sorted(found | beside | {"logins", "learnt.json", "dask", "cache"})


def snapshot(folder):
    """Names, modes and contents of everything below a folder."""
    return {
        str(path.relative_to(folder)): (
            stat.S_IMODE(path.lstat().st_mode),
            path.read_bytes() if path.is_file() else None,
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("kind", ["file", "folder", "nowhere"])
def test_a_link_in_any_place_of_the_home_leads_nowhere(whole, tmp_path, kind):
    for number, name in enumerate(names(whole)):
        home, outside = tmp_path / f"home{number}", tmp_path / f"outside{number}"
        shutil.copytree(whole, home)
        outside.mkdir()
        (outside / "file").write_text(KEPT)
        (outside / "folder").mkdir()
        (outside / "folder" / "file").write_text(KEPT)
        place = home / name
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        place.symlink_to(outside / kind)
        before = snapshot(outside)

        with opened(home) as session:
            assert session.ask("new").text == "new", name
            batch_or_one_line(session)
        assert snapshot(outside) == before, name


def test_every_folder_on_the_way_to_a_new_home_is_private_with_umask_000(tmp_path):
    before = os.umask(0)
    try:
        use_everything(tmp_path / "a" / "b" / "c" / "home")
    finally:
        os.umask(before)

    for folder in ("a", "a/b", "a/b/c", "a/b/c/home"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700, folder


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize(
    "modes", [(0o755, 0o644), (0o700, 0o600), (0o777, 0o666)], ids=["read-only", "closed", "open to all"]
)
def test_a_home_of_another_user_costs_notices_and_no_call(whole, modes):
    # Not below tmp_path, which other users cannot enter.
    root = pathlib.Path("/tmp") / f"ainb-home-{os.getpid()}-{modes[0]}"  # noqa: S108 - removed below
    home = root / "home"
    try:
        shutil.copytree(whole, home)
        for path in (root, home, *home.rglob("*")):
            path.chmod(modes[0] if path.is_dir() else modes[1])
        root.chmod(0o755)
        before = snapshot(home)
        code = textwrap.dedent(
            f"""
            import os, sys
            # All before the change of user: the folder of this Python may be closed to others.
            import ainb, ainb.batch.batch, ainb.session, aiohttp, pandas
            os.setgid(65534); os.setuid(65534)
            from ainb.config import Config
            notices = []
            from ainb.runtime import Runtime
            config = Config(home={str(home)!r}, budget=ainb.Budget(usd=5, per="day"))
            with ainb.Session("scripted:echo", config=config, runtime=Runtime(sink=notices.append)) as session:
                assert session.ask("hello").text == "hello"
                assert session.ask("hello").text == "hello"
                try:
                    print(list(session.map(["a"], "say {{value}}")["reply"]))
                except ainb.AinbError as error:
                    print(str(error).splitlines())
                session.usage(), session.costs(), session.errors(), session.summary(), session.status()
                try:
                    session.runs()
                except ainb.AinbError as error:
                    assert "journal" in str(error)
            """  # noqa: E501
        )
        ran = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd="/",
            env={
                **os.environ,
                "PYTHONPATH": str(pathlib.Path(ainb.__file__).parents[1]),
                "HOME": "/nonexistent",
            },
        )
        assert ran.returncode == 0, ran.stderr
        assert "['say a']" in ran.stdout or "['the journal" in ran.stdout, ran.stdout
        assert "Traceback" not in ran.stderr
        assert snapshot(home) == before
    finally:
        shutil.rmtree(root, ignore_errors=True)
