"""Tests of loading and unloading the extension."""

from __future__ import annotations

import subprocess
import sys

import pytest
from IPython.core.magic import no_var_expand

import ainb.magics
from ainb import session as sessions

HEAVY = [
    "pandas",
    "matplotlib",
    "ipywidgets",
    "aiohttp",
    "tiktoken",
    "pydantic",
    "orjson",
    "markdown_it",
    "diskcache",
    "genai_prices",
    "importlib.metadata",
]
FRESH = f"""
import sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=config)
shell.run_line_magic("load_ext", "ainb")
print(*[name for name in {HEAVY!r} if name in sys.modules], sep=",")
print(*sorted(name for name in sys.modules if name.split(".")[0] == "ainb"), sep=",")
shell.run_cell("%%ai scripted:echo -o x\\nhi")
print(*[name for name in {HEAVY!r} if name in sys.modules], sep=",")
"""


def test_loading_imports_nothing_heavy_and_a_first_call_only_what_the_cache_needs():
    done = subprocess.run(
        [sys.executable, "-c", FRESH], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.splitlines() == [
        "",
        (
            "ainb,ainb.host,ainb.lazy,ainb.magics,ainb.magics.display,ainb.magics.display.frames,ainb.magics.errors,"
            "ainb.magics.jupyter_ai"
        ),
        "orjson,diskcache",
    ]


def test_both_names_are_registered_and_taken_away(bare_shell):
    manager = bare_shell.magics_manager

    bare_shell.run_line_magic("load_ext", "ainb")
    assert all(name in manager.magics[kind] for kind in ("cell", "line") for name in ("ai", "ainb"))
    matchers = len(bare_shell.Completer.custom_matchers)

    bare_shell.run_line_magic("unload_ext", "ainb")
    assert not any(name in manager.magics[kind] for kind in ("cell", "line") for name in ("ai", "ainb"))
    assert len(bare_shell.Completer.custom_matchers) == matchers - 1
    assert not {"Ainb", "AiMagics"} & {type(item).__name__ for item in bare_shell.configurables}
    assert not any(type(item).__module__.startswith("ainb") for item in bare_shell.configurables)
    assert ainb.host.registered() is None


def test_loading_again_leaves_one_of_everything(bare_shell):
    bare_shell.run_line_magic("load_ext", "ainb")
    before = len(bare_shell.Completer.custom_matchers), len(bare_shell.configurables)

    bare_shell.run_line_magic("reload_ext", "ainb")

    assert (len(bare_shell.Completer.custom_matchers), len(bare_shell.configurables)) == before


def test_an_extension_that_owns_ai_keeps_it(bare_shell, capsys):
    @no_var_expand
    def theirs(line, cell=None):
        return "theirs"

    bare_shell.register_magic_function(theirs, "line_cell", "ai")
    bare_shell.run_line_magic("load_ext", "ainb")

    assert capsys.readouterr().err == (
        "ainb: another extension owns %%ai and keeps it; "
        "use %%ainb and %ainb, or load ainb in a kernel without the other\n"
    )
    assert bare_shell.run_cell_magic("ai", "", "x") == "theirs"
    assert bare_shell.run_cell_magic("ainb", "scripted:echo", "x").text == "x"
    bare_shell.run_line_magic("unload_ext", "ainb")
    assert bare_shell.run_cell_magic("ai", "", "x") == "theirs"


@pytest.mark.parametrize("name", ["ainb-0.3.dist-info", "ainb-1.0.0rc1.dist-info", "ainb-2-py3.11.egg-info"])
def test_files_mixed_with_a_stranger_are_named_with_the_way_out(
    bare_shell, capsys, monkeypatch, tmp_path, name
):
    (tmp_path / name).mkdir()
    monkeypatch.setattr(ainb.magics, "site_folder", lambda: tmp_path)

    bare_shell.run_line_magic("load_ext", "ainb")

    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "pip uninstall ainb, then pip install --force-reinstall ainb-notebook" in err


def test_the_magics_are_shown_as_they_are_not_as_python(bare_shell):
    bare_shell.run_line_magic("load_ext", "ainb")

    for kind in ("cell", "line"):
        magic = bare_shell.magics_manager.magics[kind]["ai"]
        assert magic._ipython_magic_no_var_expand
        assert not getattr(magic, "_ipython_magic_output_can_be_silenced", False)
        assert magic.__doc__


def test_a_session_of_python_is_the_notebooks_own(bare_shell):
    bare_shell.run_line_magic("load_ext", "ainb")
    bare_shell.run_cell("%config Ainb.model = 'scripted:echo'")

    assert sessions.current().config.model == "scripted:echo"
    assert sessions.current() is sessions.current()


def test_without_the_extension_the_session_is_a_plain_one():
    assert sessions.current().config.model is None


@pytest.mark.parametrize("kind", ["cell", "line"])
def test_errors_name_the_magic_as_typed(terminal, kind):
    cell = terminal.run("%%ainb --nope\nx" if kind == "cell" else "%ainb nope")

    assert f"{'%%' if kind == 'cell' else '%'}ainb has no" in cell.out
