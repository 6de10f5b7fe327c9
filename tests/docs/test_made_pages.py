"""Tests of the generated pages: they are complete, and missing documentation is an error."""

from __future__ import annotations

import dataclasses
import re

import pytest

import ainb
from ainb import errors
from ainb.config import OPTIONS
from ainb.magics.commands.help import VALUES
from ainb.magics.commands.table import COMMANDS
from ainb.magics.parsing.flags import CELL_FLAGS
from ainb.providers.services import SERVICES
from ainb.usage.columns import COLUMNS
from docs.hooks import api_pages, error_pages, table_pages
from docs.hooks.docstrings import read, what_to_do
from docs.hooks.errors import IncompleteDocsError


def rows(page):
    return re.findall(r"^\| \[?`([^`]+)`", page, re.MULTILINE)


def test_every_setting_and_every_option_of_a_section_has_a_row():
    found = rows(table_pages.settings_page())

    sections = [item.metadata["section"] for item in OPTIONS.values() if item.metadata.get("section")]
    assert found == [*OPTIONS, *(part.name for kind in sections for part in dataclasses.fields(kind))]


def test_every_column_option_and_provider_has_a_row():
    assert rows(table_pages.columns_page()) == list(COLUMNS)
    assert rows(table_pages.services_page()) == list(SERVICES)
    shown = table_pages.options_page()
    assert all(
        shown.count(f"--{flag.name}{' ' + flag.metavar if flag.metavar else ''}".replace("|", "\\|"))
        for flag in CELL_FLAGS
    )
    assert len(rows(shown)) == len(CELL_FLAGS)


def test_every_command_has_a_section():
    assert re.findall(r"^## %ai (\w+)", table_pages.commands_page(), re.MULTILINE) == [
        command.name for command in COMMANDS
    ]


def test_every_public_error_has_a_section_with_what_to_do():
    page = error_pages.errors_page()

    named = re.findall(r"^### (\w+) \{", page, re.MULTILINE)
    public = [
        name
        for name in ainb.__all__
        if isinstance(getattr(ainb, name), type) and issubclass(getattr(ainb, name), BaseException)
    ]
    assert set(public) <= set(named)
    assert page.count("**What to do:**") == len(named)


def change(table, key, **fields):
    """A table entry with changed fields, as arguments for monkeypatch."""
    return table, key, dataclasses.replace(table[key], **fields)


@pytest.mark.parametrize(
    ("table", "key", "entry", "page"),
    [
        (*change(CELL_FLAGS, 0, help=" "), table_pages.options_page),
        (*change(CELL_FLAGS, 0, example=""), table_pages.options_page),
        (*change(COMMANDS, 0, help=""), table_pages.commands_page),
        (*change(COMMANDS, 0, example=""), table_pages.commands_page),
        (*change(COLUMNS, "status", meaning=""), table_pages.columns_page),
        (VALUES, "model", "", table_pages.settings_page),
    ],
    ids=["option", "option's example", "command", "command's example", "column", "setting's example"],
)
def test_an_entry_of_a_table_without_a_line_is_an_error(monkeypatch, table, key, entry, page):
    if isinstance(table, list):
        monkeypatch.setattr(
            table_pages, {id(CELL_FLAGS): "CELL_FLAGS", id(COMMANDS): "COMMANDS"}[id(table)], [entry]
        )
    else:
        monkeypatch.setitem(table, key, entry)

    with pytest.raises(IncompleteDocsError, match="has no line of documentation"):
        page()


def test_an_option_of_a_section_without_a_line_is_an_error(monkeypatch):
    section = OPTIONS["cache"].metadata["section"]
    monkeypatch.setattr(section, "__doc__", section.__doc__.replace("where:", "place:"))

    with pytest.raises(IncompleteDocsError, match=r"Cache\.where has no line"):
        table_pages.settings_page()


@pytest.mark.parametrize("text", [None, "", "It fails.", "It fails.\n\nWhat to do about it is not said."])
def test_an_error_class_without_a_docstring_or_without_what_to_do_is_an_error(monkeypatch, text):
    monkeypatch.setattr(errors.RateLimitError, "__doc__", text)

    with pytest.raises(IncompleteDocsError, match="RateLimitError"):
        error_pages.errors_page()


def test_a_public_name_without_a_page_is_an_error(monkeypatch):
    monkeypatch.setattr(ainb, "__all__", [*ainb.__all__, "load_ipython_extension"])

    with pytest.raises(IncompleteDocsError, match="without a page: load_ipython_extension"):
        api_pages.api_pages()


@pytest.mark.parametrize(
    ("thing", "part", "said"),
    [(ainb.Session.ask, None, "Session"), (ainb.RateLimit, None, "RateLimit"), (ainb.price, None, "price")],
)
def test_a_public_name_or_method_without_a_docstring_is_an_error(monkeypatch, thing, part, said):
    monkeypatch.setattr(thing, "__doc__", part)

    with pytest.raises(IncompleteDocsError, match=f"without a docstring: {said}"):
        api_pages.api_pages()


def test_a_docstring_is_read_in_parts():
    class Thing:
        """First line,
        and its second.

        What to do: read ``x``,
        then stop.

        Attributes:
            one: The first
                of two.
            two: The second (see `one`).

        Raises:
            ValueError: Never.
        """

    parts = read(Thing, "Thing")

    assert parts.summary == "First line, and its second."
    assert what_to_do(parts, "Thing") == "read ``x``, then stop."
    assert parts.attributes == {"one": "The first of two.", "two": "The second (see `one`)."}
