"""Tests of the panel that ``session.map`` shows in a notebook, as ``%%ai --each`` does."""

from __future__ import annotations

import pytest

SETUP = """
import ainb, pandas as pd
from ainb.testing import Step, script
script('labels', ['{"label": "good"}'])
script('down', [400])
frame = pd.DataFrame({"text": ["one", "two", "three"]})
frame.to_csv('rows.csv', index=False)
session = ainb.current()
"""
MAPS = {
    "a table": "session.map(frame, 'Label: {text}', model='scripted:echo')",
    "the accessor": "frame.ai.map('Label: {text}', model='scripted:echo')",
    "the accessor of a column": "frame['text'].ai.map('Label: {value}', model='scripted:echo')",
    "another session": "ainb.Session('scripted:echo').map(frame, 'Label: {text}')",
    "a list": "session.map(['one', 'two', 'three'], 'Label: {value}', model='scripted:echo')",
    "a function": "session.map(['one', 'two', 'three'], str.upper)",
    "a file": "session.map('rows.csv', 'Label: {text}', model='scripted:echo', out='done.csv')",
    "a schema": "session.map(frame, '{text}', model='scripted:labels', schema='label: good|bad')",
    "a budget as text": "session.map(frame, '{text}', model='scripted:echo', budget_usd='0.5')",
    "in the background": "session.submit_map(frame, 'Label: {text}', model='scripted:echo').result()",
    "in the background by the accessor": "frame.ai.submit_map('{text}', model='scripted:echo').result()",
}


@pytest.fixture
def notebook(kernel, tmp_path):
    kernel.run(f"import os; os.chdir({str(tmp_path)!r})")
    assert kernel.run(SETUP).reply["status"] == "ok"
    return kernel


def panels(ran) -> list[str]:
    """The texts of the panels that are left in the outputs of a cell."""
    left: dict[str, str] = {}
    for kind, content in ran.outputs:
        if kind in {"display_data", "update_display_data"}:
            left[content["transient"]["display_id"]] = content["data"].get("text/plain", "")
    return [text for text in left.values() if text]


@pytest.mark.parametrize("code", MAPS.values(), ids=MAPS)
@pytest.mark.parametrize("watched", [True, False], ids=["watched", "static"])
def test_a_batch_in_python_shows_its_panel(notebook, code, watched):
    ran = notebook.run(f"result = {code}", watched=watched)

    assert ran.reply["status"] == "ok", ran.reply
    (panel,) = panels(ran)
    assert "3 of 3 rows" in panel
    assert "done" in panel


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "static"])
def test_rows_that_failed_are_named_in_the_panel(notebook, watched):
    ran = notebook.run("result = session.map(frame, '{text}', model='scripted:down')", watched=watched)

    (panel,) = panels(ran)
    assert "3 failed" in panel
    assert "400" in panel


def test_the_panel_of_a_job_in_the_background_has_a_button_that_cancels_it(notebook):
    notebook.run("script('slow', [Step(hang=True)])")
    ran = notebook.run(
        "job = session.submit_map(frame, '{text}', model='scripted:slow')\n"
        "import time\nfrom ainb.panels.batch import newest_batch_panel\n"
        "while newest_batch_panel().progress is None: time.sleep(0.01)\n"
        "newest_batch_panel().job is job",
        watched=True,
    )
    assert [content["data"]["text/plain"] for content in ran.of("execute_result")] == ["True"]

    notebook.run("newest_batch_panel()._cancel()", watched=True)
    ended = notebook.run("job.wait(20), newest_batch_panel().progress.state", watched=True)

    assert [content["data"]["text/plain"] for content in ended.of("execute_result")] == ["(True, 'stopped')"]


@pytest.mark.parametrize("watcher", ["None", "states.append"])
@pytest.mark.parametrize("watched", [True, False], ids=["watched", "static"])
def test_a_watcher_of_the_user_takes_the_place_of_the_panel(notebook, watcher, watched):
    ran = notebook.run(
        f"states = []\nresult = session.map(frame, '{{text}}', model='scripted:echo', watcher={watcher})",
        watched=watched,
    )

    assert ran.reply["status"] == "ok"
    assert panels(ran) == []


@pytest.mark.parametrize(
    "code",
    [
        "session.map(frame, '{txt}', model='scripted:echo')",
        "session.map(frame, '{text}', model='scripted:nosuch', on_error='rise')",
        "session.submit_map(frame, '{txt}', model='scripted:echo')",
        "session.map(5, '{text}')",
    ],
)
def test_an_argument_that_is_refused_shows_no_panel(notebook, code):
    ran = notebook.run(code, watched=True)

    assert ran.reply["status"] == "error"
    assert panels(ran) == []


def test_no_panel_is_shown_when_the_display_is_off(notebook):
    notebook.run("%config Ainb.display = 'off'")

    assert panels(notebook.run(f"result = {MAPS['a table']}", watched=True)) == []


def test_without_the_extension_nothing_is_shown(notebook):
    notebook.run("%unload_ext ainb")

    assert panels(notebook.run(f"result = {MAPS['another session']}", watched=True)) == []


def test_a_terminal_prints_one_line_at_the_end(terminal):
    terminal.run("import ainb")

    ran = terminal.run("result = ainb.current().map(['one', 'two'], '{value}', model='scripted:echo')")

    assert ran.error is None
    assert ran.out == ""
    assert ran.err.splitlines()[-1].startswith("ainb: 2 of 2 rows")
    assert ran.err.count("2 of 2 rows") == 1
