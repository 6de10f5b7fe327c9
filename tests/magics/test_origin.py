"""Tests of the origin of a call: notebook and cell."""

from __future__ import annotations

import pytest

import ainb
from ainb import session as sessions
from ainb.runtime import Runtime, script_origin


@pytest.fixture
def cell_c1(terminal, monkeypatch):
    """A front end that sends the id of the cell."""
    monkeypatch.setattr(terminal.shell, "get_parent", lambda: {"metadata": {"cellId": "c1"}}, raising=False)


def rows(session):
    return [(row.notebook, row.cell_id) for row in session.usage().itertuples()]


def test_calls_of_cells_and_of_python_record_notebook_and_cell(terminal, cell_c1, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ann/notes/reviews.ipynb")

    terminal.run("%%ai scripted:echo\nhello")
    terminal.run("import ainb\nainb.current().ask('x', model='scripted:echo')")
    terminal.run("ainb.Session('scripted:echo').submit('y').result()")

    session = sessions.current()
    assert rows(session) == [("reviews.ipynb", "c1")] * 3
    costs = session.costs(by=["notebook", "cell_id"])
    assert costs.loc[("reviews.ipynb", "c1"), "calls"] == 3


@pytest.mark.parametrize(
    ("variables", "names", "found"),
    [
        ({}, {}, None),
        ({"JPY_SESSION_NAME": "work/a.ipynb"}, {}, "a.ipynb"),
        ({"JPY_SESSION_NAME": "work/a.ipynb"}, {"__vsc_ipynb_file__": r"c:\notes\b.ipynb"}, "b.ipynb"),
        ({"AINB_NOTEBOOK": "c", "JPY_SESSION_NAME": "work/a.ipynb"}, {"__vsc_ipynb_file__": "/b.ipynb"}, "c"),
        ({"JPY_SESSION_NAME": "folder/"}, {}, None),
    ],
)
def test_the_name_of_the_notebook_has_several_sources(terminal, monkeypatch, variables, names, found):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    terminal.shell.user_ns.update(names)

    assert Runtime().origin() == (found, None)


@pytest.mark.parametrize("parent", [None, {}, {"metadata": None}, {"metadata": {}}])
def test_a_front_end_that_tells_no_cell_leaves_it_unknown(terminal, monkeypatch, parent):
    monkeypatch.setattr(terminal.shell, "get_parent", lambda: parent, raising=False)

    assert Runtime().origin() == (None, None)


def test_without_the_extension_it_is_the_script(terminal):
    terminal.run("%unload_ext ainb")

    assert Runtime().origin() == script_origin()


def test_a_place_that_is_given_is_not_looked_for(terminal, cell_c1):
    session = ainb.Session("scripted:echo", runtime=Runtime(origin=lambda: ("mine", "m1")))

    session.ask("hi")

    assert rows(session) == [("mine", "m1")]
