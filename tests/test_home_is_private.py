"""Tests of the home folder: private modes, and damaged or replaced files, which fail no call."""

from __future__ import annotations

import ast
import contextlib
import os
import pathlib
import shutil
import sqlite3
import stat
import tomllib

import pytest

import ainb
from ainb.config import Config
from ainb.errors import AinbError
from tests.fault_server import FaultServer

PACKAGE = pathlib.Path(ainb.__file__).parent


PRICES = {"ollama:m": {"input_usd_per_million": 1, "output_usd_per_million": 1}}


@contextlib.contextmanager
def opened(home):
    """A session with options under which it writes every file of a home."""
    config = Config(home=home, budget=ainb.Budget(usd=5, per="day"), log_content=True, prices=PRICES)
    with (
        FaultServer() as server,
        ainb.Session("ollama:m", api_base=server.base_url, config=config) as session,
    ):
        yield session


def use_everything(home):
    with opened(home) as session:
        replies = [session.ask(f"prompt {number}").text for number in range(3)]
        frame = session.map(["a", "b"], "say {value}")
    return replies, list(frame["reply"])


EXPECTED = (["prompt 0", "prompt 1", "prompt 2"], ["say a", "say b"])


@pytest.fixture
def home(tmp_path):
    before = os.umask(0)
    yield tmp_path / "new" / "home"
    os.umask(before)


def test_every_folder_is_0700_and_every_file_0600_whatever_the_umask_is(home):
    assert use_everything(home) == EXPECTED

    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (home, *home.rglob("*"))}
    assert len(found) > 5
    wrong = {
        str(path.relative_to(home)): oct(mode)
        for path, mode in found.items()
        if mode != (0o700 if path.is_dir() else 0o600)
    }
    assert wrong == {}


def test_while_it_is_open_the_files_that_sqlite_puts_beside_are_private_too(home):
    config = Config(home=home, budget=ainb.Budget(usd=5, per="day"))
    with ainb.Session("scripted:echo", config=config) as session:
        session.ask("x")
        beside = [path for path in home.rglob("*") if path.name.endswith(("-wal", "-shm"))]

        assert {stat.S_IMODE(path.stat().st_mode) for path in beside} <= {0o600}


OUTSIDE = b"a file of the person's that is none of ours\n" * 50


def garbage(path, outside):
    path.write_bytes(os.urandom(5_000))


def truncated(path, outside):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path, outside):
    path.write_bytes(b"")


def folder(path, outside):
    path.unlink()
    path.mkdir()


def link_to_a_file(path, outside):
    path.unlink()
    path.symlink_to(outside)


def link_to_nowhere(path, outside):
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def link_to_a_database(path, outside):
    path.unlink()
    with contextlib.closing(sqlite3.connect(outside.with_suffix(".db"))) as other:
        other.execute("CREATE TABLE other (x)")
    path.symlink_to(outside.with_suffix(".db"))


def second_name(path, outside):
    path.unlink()
    os.link(outside, path)


def huge(path, outside):
    with path.open("r+b") as file:
        file.truncate(2**31)


def unreadable(path, outside):
    path.chmod(0)


def everybodys(path, outside):
    path.chmod(0o666)


DAMAGES = [
    garbage,
    truncated,
    empty,
    folder,
    link_to_a_file,
    link_to_nowhere,
    link_to_a_database,
    second_name,
    huge,
    unreadable,
    everybodys,
]
FILES = ["cache/cache.db", "usage.sqlite3", "budget.sqlite3", "journal.sqlite3", "reached.json"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "home"
    use_everything(folder)
    return folder


def test_the_list_of_files_is_complete(whole):
    names = {str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()}

    assert {
        name for name in names if not name.endswith(("-wal", "-shm", ".lock")) and "owners" not in name
    } == set(FILES)


def batch_or_one_line(session):
    """Check that a batch is answered, or refused in one line because its journal cannot be used."""
    try:
        frame = session.map(["a", "c"], "say {value}")
    except AinbError as error:
        said = str(error)
    else:
        said = " and ".join(frame["reply"])
    assert said == "say a and say c" or (said.startswith("the journal") and "\n" not in said), said


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", FILES)
def test_whatever_was_done_to_a_file_calls_are_answered_and_nothing_outside_changes(
    whole, tmp_path, name, damage
):
    home, outside = tmp_path / "home", tmp_path / "outside.txt"
    shutil.copytree(whole, home, copy_function=shutil.copy2)
    outside.write_bytes(OUTSIDE)
    damage(home / name, outside)

    with opened(home) as session:
        assert session.ask("prompt 1").text == "prompt 1"
        assert session.ask("new").text == "new"
        if name != "journal.sqlite3":
            assert list(session.map(["a", "c"], "say {value}")["reply"]) == ["say a", "say c"]
        else:
            batch_or_one_line(session)
    assert outside.read_bytes() == OUTSIDE
    if damage is link_to_a_database:
        with contextlib.closing(sqlite3.connect(outside.with_suffix(".db"))) as other:
            assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("other",)]


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_everybody_could_read_is_private_again_after_the_next_session(whole, tmp_path, name):
    home = tmp_path / "home"
    shutil.copytree(whole, home)
    (home / name).chmod(0o666)
    home.chmod(0o777)

    use_everything(home)
    assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def test_a_home_that_cannot_be_written_costs_memory_but_no_call(tmp_path):
    home = tmp_path / "home"
    home.write_text("a file where the folder should be", encoding="utf-8")
    with ainb.Session("scripted:echo", config=Config(home=home)) as session:
        assert session.ask("x").text == "x"


# Stored data is never executed.

RUNS = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "jsonpickle",
    "pickletools",
    "yaml",
}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield f"{ast.unparse(node.func)}()"


def test_no_module_of_the_package_can_run_what_was_stored():
    for path in PACKAGE.rglob("*.py"):
        names = list(imported(ast.parse(path.read_text(encoding="utf-8"))))
        if path == PACKAGE / "magics" / "each.py":
            names.remove("eval()")  # evaluates the expression that the user types after --each
            names.remove("compile()")
        assert not {name.split(".")[0] for name in names} & RUNS, path
        assert not {"eval()", "exec()", "compile()", "os.system()", "__import__()", "pd.read_pickle()"} & set(
            names
        ), path


def test_the_linter_refuses_them_too():
    lint = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"][
        "lint"
    ]
    ignored = [
        *lint["ignore"],
        *(
            rule
            for path, rules in lint["per-file-ignores"].items()
            if path.startswith("ainb")
            for rule in rules
        ),
    ]

    assert lint["select"] == ["ALL"]
    assert not [rule for rule in ignored if rule.startswith("S")]
    assert "pickle" in lint["flake8-tidy-imports"]["banned-api"]
