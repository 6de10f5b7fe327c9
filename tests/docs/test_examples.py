"""Tests of the code in README and docs: it runs, its outputs are current, and the options it names exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from ainb.__main__ import _parser
from ainb.config import OPTIONS
from ainb.magics.line import is_command
from ainb.magics.parsing.arguments import parse
from ainb.magics.parsing.flags import CELL_FLAGS
from ainb.testing.faults import SCRIPTS
from tests.docs.examples import RUN, blocks, play

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
LANGUAGES = RUN | {"bash", "text", "toml", "yaml"}
CODE = re.compile(r"`([^`\n]+)`")


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.fixture(autouse=True)
def a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AINB_MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    yield
    SCRIPTS.clear()


WITH_CELLS = [path for path in PAGES if any(block.is_cell for block in blocks(path.read_text("utf-8")))]


@pytest.mark.parametrize("path", WITH_CELLS, ids=name_of)
def test_the_cells_of_a_page_run_and_print_what_stands_there(path):
    page = path.read_text("utf-8")

    assert play(page) == page, f"python -m tests.docs.examples {name_of(path)} writes the outputs anew"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_block_of_a_page_has_a_language_and_what_is_not_run_is_read(path):
    page = path.read_text("utf-8")
    found = blocks(page)

    assert len(re.findall(r"^ *```", page, re.MULTILINE)) % 2 == 0
    assert {block.language for block in found} <= LANGUAGES
    for block in found:
        if block.language == "toml":
            assert tomllib.loads(block.text)["tool"]["ainb"].keys() <= OPTIONS.keys()
        elif block.language == "bash":
            read_commands(block.text)
        elif block.language == "text" and block.text.startswith("%%ai"):
            parse(
                block.text.partition("\n")[0].removeprefix("%%ai").replace("[options]", ""),
                CELL_FLAGS,
                "%%ai",
            )
    for text in re.findall(r"^ *```yaml\n(.*?)^ *```", page, re.DOTALL | re.MULTILINE):
        assert yaml.safe_load(text)


def read_commands(text):
    """Check that extras, subcommands and make targets in commands exist."""
    for extras in re.findall(r"ainb-notebook\[([^\]]+)\]", text):
        assert set(extras.split(",")) <= EXTRAS.keys()
    for words in re.findall(r"python -m ainb ([^#\n]+)", text):
        _parser().parse_args(words.split())
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make ([\w-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_command_option_and_setting_that_a_page_names_exists(path):
    text = path.read_text("utf-8")
    options = {spelling for flag in CELL_FLAGS for spelling in flag.spellings}
    for code in CODE.findall(text):
        command = re.match(r"%ai ([a-z]+)", code)
        assert command is None or is_command(command[1]), code
        setting = re.search(r"%config Ainb\.(\w+)", code)
        assert setting is None or setting[1] in OPTIONS or setting[1].isupper(), code
        option = re.match(r"(--[a-z][a-z-]+)", code)
        assert option is None or option[1] in options | OTHER_OPTIONS, code


# Options of %ai cost, %ai alias, %ai pull and pytest.
OTHER_OPTIONS = frozenset({"--since", "--all", "--save", "--older", "--nbval", "--yes"})
