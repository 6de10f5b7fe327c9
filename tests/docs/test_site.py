"""Tests of the site: a strict build fails on a broken link or a page outside the navigation."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.python_path import python_path

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 300
LINKED = ("ainb", "notebooks", "SECURITY.md", "CHANGELOG.md")
BROKEN = """
[no such page](no-such-page.md), [no such anchor](security.md#no-such-anchor),
[no such picture](images/no-such-picture.png)
"""


def build(folder, site):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": python_path(folder), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    code, said = build(ROOT, folder)
    assert code == 0, said
    return folder


def test_the_site_is_built_without_a_warning_and_every_notebook_has_a_page(site):
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert (site / "notebooks" / f"{path.stem}.html").is_file()


def test_no_page_loads_anything_from_another_host(site):
    loads = re.compile(r'<(?:script|img|iframe|link rel="stylesheet")[^>]*?(?:src|href)="(https?:[^"]+)"')

    found = {address for path in site.rglob("*.html") for address in loads.findall(path.read_text("utf-8"))}

    assert not found


def test_a_broken_link_anchor_or_picture_and_a_page_outside_the_navigation_fail_the_build(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    settings["plugins"] = ["search"]  # the API pages take most of the time and are not needed here
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    for name in LINKED:
        (tmp_path / name).symlink_to(ROOT / name)
    index = tmp_path / "docs" / "index.md"
    index.write_text(index.read_text("utf-8") + BROKEN, encoding="utf-8")
    (tmp_path / "docs" / "lost.md").write_text("# Lost\n", encoding="utf-8")

    code, said = build(tmp_path, tmp_path / "site")

    assert code != 0
    for broken in ("no-such-page.md", "no-such-anchor", "no-such-picture.png", "lost.md"):
        assert broken in said
