"""Tests of the shipped notebooks: strict nbval in replay, without model, key or network."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stores.redis.redis_lab import REQUIRED

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
SERVED = "06_team.ipynb"  # needs a redis-server
WAIT_SECONDS = 600
# Loaded by every Python process of the run, including kernels: no network beyond loopback, no llama.cpp.
GUARD = """
import socket, sys
connect = socket.socket.connect
def guarded(self, address):
    host = str(address[0]) if isinstance(address, tuple) else ""
    if host and not host.startswith(("127.", "::1", "localhost")):
        raise OSError(f"the network is blocked: {host}")
    return connect(self, address)
socket.socket.connect = guarded
sys.modules["xllamacpp"] = None
sys.modules["rfc3987_syntax"] = None  # as in tests/startup
"""


def is_installed():
    plugins = importlib.metadata.entry_points(group="pytest11")
    return any(plugin.value == "ainb.pytest_plugin" for plugin in plugins)


PLUGIN = [] if is_installed() else ["-p", "ainb.pytest_plugin"]


@pytest.fixture
def colleague(tmp_path, monkeypatch):
    """A machine that has only the repository: no model, no key, no home, no network."""
    guard = tmp_path / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(guard), str(ROOT)]))
    monkeypatch.setenv("AINB_MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("AINB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    copy = tmp_path / "notebooks"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    return copy


def run(*arguments, cwd=ROOT):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def nbval(*arguments, cwd=ROOT):
    return run(
        "-m", "pytest", *PLUGIN, "-p", "no:cacheprovider", "-q", "--nbval", "--nbval-current-env",
        "--nbval-cell-timeout=180", *arguments, cwd=cwd,
    )  # fmt: skip


@pytest.fixture
def runnable(colleague):
    """The notebooks that this machine can run: the one that needs a server only if it is installed."""
    if shutil.which("redis-server") is None:
        assert not REQUIRED, "redis-server is not installed"
        (colleague / SERVED).unlink()
    return sorted(colleague.glob("*.ipynb"))


def test_the_notebook_of_a_team_is_skipped_with_a_reason_where_there_is_no_server(colleague, monkeypatch):
    monkeypatch.setenv("PATH", "")
    code, said = run(colleague / "run.py", "--quiet", colleague / SERVED, cwd=colleague)
    assert (code, "skipped, it needs redis-server" in said) == (0, True)


def test_every_notebook_passes_strict_nbval_in_replay_and_makes_no_home(colleague, runnable, tmp_path):
    code, said = nbval(colleague, "--nbval-sanitize-with", colleague / "sanitize.cfg", cwd=tmp_path)

    assert code == 0, said
    assert not (tmp_path / "home").exists()
    assert not (tmp_path / "models").exists()
    for path in FOLDER.glob("*.jsonl"):
        assert (colleague / path.name).read_bytes() == path.read_bytes()


def test_every_notebook_run_again_elsewhere_shows_the_bytes_it_was_saved_with(
    colleague, runnable, monkeypatch
):
    monkeypatch.setenv("AINB_REPLAY", "replay")

    code, said = run(colleague / "run.py", "--quiet", "--save", *runnable, cwd=colleague)

    assert code == 0, said
    for path in runnable:
        for now, then in zip(compared(path), compared(FOLDER / path.name), strict=True):
            assert now == then, then["source"]


def compared(path):
    """The cells as nbval compares them: without outputs that the notebook marks as changing."""
    found = cells(path)
    for cell in found:
        if "nbval-ignore-output" in cell["metadata"].get("tags", ()):
            cell["outputs"] = []
    return found


def cells(path):
    """The cells with their outputs, without the bytes of pictures, whose time axis changes; nbval skips them,
    too."""
    found = json.loads(path.read_text("utf-8"))["cells"]
    for cell in found:
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                output["data"]["image/png"] = ""
    return found


def test_a_changed_word_of_a_prompt_fails_the_cell_with_that_word(colleague, tmp_path):
    path = colleague / "05_replay_in_ci.ipynb"
    path.write_text(
        path.read_text("utf-8").replace("capital of Spain? Answer in one", "capital of Chile? Answer in one")
    )

    code, said = nbval(path, cwd=tmp_path)

    assert code == 1
    assert "ReplayMissError" in said
    assert "Chile" in said


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_saved_as_it_was_run_from_top_to_bottom(name):
    code = [cell for cell in cells(FOLDER / name) if cell["cell_type"] == "code"]

    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not any("widget" in json.dumps(cell["outputs"]) for cell in code)
