"""Tests of wheel and sdist: reproducible builds, complete contents, use without any extra."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from nbformat import v4, write
from packaging.requirements import Requirement

import ainb

ROOT = Path(__file__).resolve().parents[1]
WAIT_SECONDS = 300
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRA_MODULES = (
    "xllamacpp", "redis", "dask", "opentelemetry", "pyarrow", "openpyxl", "pydantic_ai", "keyring",
    "jupyterlab", "mkdocs",
)  # fmt: skip


def run(*words, cwd=ROOT, **variables):
    done = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env={name: os.environ[name] for name in ("PATH", "HOME")} | variables,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder):
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", folder)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    build(folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    return next(built.glob("*.whl"))


def test_two_builds_are_the_same_bytes(built, tmp_path):
    first = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in built.iterdir()}

    assert build(tmp_path) == first
    assert sorted(first) == [
        f"ainb_notebook-{ainb.__version__}-py3-none-any.whl",
        f"ainb_notebook-{ainb.__version__}.tar.gz",
    ]


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    tracked = run("git", "ls-files", "ainb").split() if (ROOT / ".git").exists() else names
    assert names == set(tracked)


def test_the_sdist_holds_what_builds_the_docs_and_runs_the_tests(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}

    wanted = {"ainb", "docs", "tests", "notebooks", "mkdocs.yml", "Makefile", "README.md", "SECURITY.md"}
    assert wanted <= tops


def requirements(texts):
    """Distributions that these requirements install on this machine, without extras."""
    found, waiting = {}, [Requirement(text) for text in texts]
    while waiting:
        wanted = waiting.pop()
        if wanted.marker is not None and not any(
            wanted.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)
        ):
            continue
        name = wanted.name.lower().replace("_", "-")
        if name not in found:
            found[name] = importlib.metadata.distribution(wanted.name)
            waiting += [Requirement(text) for text in found[name].requires or () if "extra ==" not in text]
    return found.values()


@pytest.fixture(scope="module")
def clean(tmp_path_factory, wheel):
    """Python of an environment with only the wheel, its requirements, pytest and nbval."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    for distribution in requirements([*PROJECT["dependencies"], "pytest", "nbval", "ipykernel"]):
        base = Path(distribution.locate_file(""))
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in {"..", "bin"}}:
            place = packages / top
            if not place.exists() and not place.is_symlink():
                place.symlink_to(base / top)
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel)
    return python


def test_the_clean_environment_holds_no_extra(clean):
    code = f"import importlib.util as u; print([n for n in {EXTRA_MODULES!r} if u.find_spec(n)])"

    assert run(clean, "-c", code, cwd=clean.parent).strip() == "[]"


def test_the_version_is_printed(clean):
    assert run(clean, "-m", "ainb", "version", cwd=clean.parent) == f"ainb {ainb.__version__}\n"


ASK = """
import ainb
with ainb.Session("scripted:echo") as session:
    print(session.ask("hello").text, session.map(["a"], "{value}!")["reply"].tolist())
    print(len(session.usage()), session.costs()["calls"].tolist())
"""


def test_a_session_answers_maps_and_logs(clean, tmp_path):
    said = run(clean, "-c", ASK, cwd=tmp_path, AINB_HOME=str(tmp_path / "home"))

    assert said == "hello ['a!']\n2 [2]\n"


def test_the_extension_loads_and_the_pytest_plugin_chooses_replay_and_static_display(clean, tmp_path):
    show = "import os\nprint(os.environ['AINB_REPLAY'], os.environ['AINB_DISPLAY'])"
    book = v4.new_notebook()
    for source, printed in (
        ("%load_ext ainb", ""),
        ("%%ai scripted:echo --into reply\nhello", ""),
        ("print(reply.text)", "hello\n"),
        (show, "replay static\n"),
    ):
        outputs = [v4.new_output("stream", name="stdout", text=printed)] if printed else []
        book.cells.append(v4.new_code_cell(source, outputs=outputs, execution_count=1))
    write(book, tmp_path / "book.ipynb")

    said = run(
        clean, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env", "book.ipynb",
        cwd=tmp_path, AINB_HOME=str(tmp_path / "home"),
    )  # fmt: skip

    assert "4 passed" in said
