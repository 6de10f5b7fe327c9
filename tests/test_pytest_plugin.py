"""Tests of the pytest plugin: replay, static display and notebook name under ``--nbval`` only."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from nbformat import v4, write

import ainb
from tests.python_path import python_path
from tests.test_notebooks import PLUGIN, ROOT, WAIT_SECONDS

SHOW = "import os\nprint(os.environ.get('AINB_REPLAY'), os.environ.get('AINB_DISPLAY'), os.path.basename(os.environ.get('AINB_NOTEBOOK', 'none')))"  # noqa: E501


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", python_path())


def notebook(path, *codes):
    """A notebook of code cells, saved with the outputs that they must print."""
    book = v4.new_notebook()
    for number, (source, printed) in enumerate(codes, 1):
        outputs = [v4.new_output("stream", name="stdout", text=f"{printed}\n")]
        book.cells.append(v4.new_code_cell(source, outputs=outputs, execution_count=number))
    write(book, path)


def pytest_run(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, "-p", "no:cacheprovider", "-q", *arguments],
        capture_output=True, text=True, timeout=WAIT_SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_strict_runs_replay_with_static_display_and_the_notebooks_name(tmp_path):
    for name in ("one", "two"):
        notebook(
            tmp_path / f"{name}.ipynb",
            (SHOW, f"replay static {name}.ipynb"),
            (SHOW, f"replay static {name}.ipynb"),
        )

    code, said = pytest_run("--nbval", "--nbval-current-env")

    assert code == 0, said
    assert "4 passed" in said


def test_options_of_the_user_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("AINB_REPLAY", "auto")
    monkeypatch.setenv("AINB_DISPLAY", "text")
    notebook(tmp_path / "one.ipynb", (SHOW, "auto text one.ipynb"))

    code, said = pytest_run("--nbval", "--nbval-current-env")

    assert code == 0, said


def test_a_lax_run_gets_the_notebooks_name_only(tmp_path):
    notebook(tmp_path / "one.ipynb", (f"# NBVAL_CHECK_OUTPUT\n{SHOW}", "None None one.ipynb"))

    code, said = pytest_run("--nbval-lax", "--nbval-current-env")

    assert code == 0, said


def test_other_runs_see_nothing_of_it(tmp_path):
    (tmp_path / "test_other.py").write_text(
        "import os, sys\n"
        "def test_nothing():\n"
        "    assert not [name for name in os.environ if name in ('AINB_REPLAY', 'AINB_DISPLAY', "
        "'AINB_NOTEBOOK')]\n"
        "    loaded = {name for name in sys.modules if name.startswith('ainb')}\n"
        "    assert loaded <= {'ainb', 'ainb.host', 'ainb.lazy', 'ainb.pytest_plugin'}, loaded\n"
    )

    for nbval in ([], ["-p", "no:nbval"]):
        code, said = pytest_run(*nbval)
        assert code == 0, said


def test_the_environment_is_as_it_was_afterwards(monkeypatch):
    import os

    from ainb import pytest_plugin

    class Config:
        def __init__(self):
            self.stash = pytest.Stash()

        def getoption(self, name, default):
            return True

    monkeypatch.setenv("AINB_DISPLAY", "html")
    before, config = dict(os.environ), Config()

    pytest_plugin.pytest_configure(config)
    os.environ["AINB_NOTEBOOK"] = "x.ipynb"
    assert (os.environ["AINB_REPLAY"], os.environ["AINB_DISPLAY"]) == ("replay", "html")
    pytest_plugin.pytest_unconfigure(config)

    assert dict(os.environ) == before


def test_the_plugin_is_an_entry_point_of_the_package():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["entry-points"]["pytest11"] == {"ainb": "ainb.pytest_plugin"}
    assert json.dumps(ainb.__version__)
