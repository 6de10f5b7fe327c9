"""Tests of the panel of batches that Python code starts in a notebook."""

from __future__ import annotations

import pytest

ROWS = """import threading
import ainb
from ainb.testing import Step, script
slow = script("slow", [Step(text="good", delay_seconds=0.7)]);
fast = script("fast", ["good"]);
"""
SLOW = 'list("abcd"), "Label {value}", model="scripted:slow", concurrency=1'
LONG = SLOW.replace('"abcd"', '"abcd" * 50')
FAST = 'list("abcd"), "Label {value}", model="scripted:fast"'
COMPARED = (
    'ainb.current().compare([{"text": word, "truth": "good"} for word in "abcd"], '
    '{"a": "{text}", "b": "Label {text}"}, truth="truth", models="scripted:slow", concurrency=1);'
)
BUTTON = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def rows(kernel):
    """A kernel in which `SLOW` takes 2.8 s and `FAST` a few milliseconds."""
    kernel.run(ROWS)
    yield kernel
    kernel.run("%config Ainb.display = 'auto'\n%config Ainb.replay = 'off'")


def panels(ran):
    """The last text of each panel of a cell."""
    last = {}
    for kind in ("display_data", "update_display_data"):
        for content in ran.of(kind):
            name = content.get("transient", {}).get("display_id", "")
            text = content["data"].get("text/plain", "")
            if not name.endswith("-live"):
                last[name] = text
    return list(last.values())


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        (f"frame = ainb.current().map({SLOW})", 1),
        (f"frame = await ainb.current().submit_map({SLOW})", 1),
        (f"frame = ainb.current().submit_map({SLOW}).result()", 1),
        (COMPARED, 2),
    ],
)
def test_a_batch_that_takes_seconds_is_watched(rows, cell, found):
    shown = panels(rows.run(cell, watched=True))

    assert len(shown) == found
    for text in shown:
        assert "4 of 4 rows · done" in text
        assert "scripted:slow" in text


def test_a_data_frames_own_map_is_watched(rows):
    rows.run("import pandas as pd; data = pd.DataFrame({'value': list('abcd')})")
    cell = f"frame = data.ai.map({SLOW.partition(', ')[2]})"

    assert ["4 of 4 rows · done" in text for text in panels(rows.run(cell, watched=True))] == [True]


@pytest.mark.parametrize("mode", ["static", "off"])
def test_no_panel_is_opened_where_it_is_off(rows, mode):
    rows.run(f"%config Ainb.display = {mode!r}")

    assert panels(rows.run(f"frame = ainb.current().map({SLOW})", watched=True)) == []


@pytest.mark.parametrize(
    "cell",
    [
        f"frame = ainb.current().map({FAST})",
        f"for _ in range(20): frame = ainb.current().map({FAST}, resume=False)",
        f"frame = ainb.current().map({SLOW}, watcher=lambda progress: None)",
        f"thread = threading.Thread(target=lambda: ainb.current().map({SLOW}));thread.start();thread.join()",
        f"%config Ainb.replay = 'record'\nframe = ainb.current().map({SLOW})",
    ],
    ids=["fast", "many fast ones", "a watcher of its own", "in a thread", "recorded"],
)
def test_other_batches_have_none(rows, cell):
    assert panels(rows.run(cell, watched=True)) == []


def test_without_a_user_there_is_no_panel(rows):
    assert panels(rows.run(f"frame = ainb.current().map({SLOW})")) == []


def test_only_a_batch_in_the_background_has_a_button(rows):
    rows.run(
        "import time\n"
        "from ipywidgets import Button, Widget\n"
        "def buttons(): return [widget for widget in Widget.widgets.values() if isinstance(widget, Button)]"
    )
    rows.run(f"frame = ainb.current().map({SLOW})", watched=True)
    assert rows.run("print(len(buttons()))").text("stdout") == "0\n"

    rows.run(f"job = ainb.current().submit_map({LONG})", watched=True)
    rows.run("for _ in range(100):\n    if not buttons(): time.sleep(0.1)")  # shown by the loop's thread
    rows.run("for button in buttons(): button.click()")
    assert rows.run("print(job.wait(10), job)").text("stdout") == "True <Job cancelled>\n"


@pytest.mark.parametrize("seconds", [0.7, 0])
def test_a_failed_batch_says_so_in_its_panel(rows, seconds):
    rows.run(f'bad = script("bad", [Step(status=400, delay_seconds={seconds})]);')

    (text,) = panels(rows.run(f"frame = ainb.current().map({SLOW.replace('slow', 'bad')})", watched=True))

    assert "4 of 4 rows · done" in text
    assert "4 failed" in text


@pytest.mark.parametrize(
    "cell",
    [
        'ainb.current().map(list("abcd"), "{value}", model="openai:m")',
        'ainb.current().map([{"text": None}] * 4, "{text}", model="scripted:fast")',
        f"ainb.current().map({FAST}, budget_usd=0)",
    ],
    ids=["no key", "no text", "no money"],
)
def test_a_batch_whose_rows_were_not_sent_says_so_in_its_panel(rows, cell):
    rows.run("import os; os.environ.pop('OPENAI_API_KEY', None)")
    rows.run('%config Ainb.prices = {"fast": {"input_usd_per_million": 1, "output_usd_per_million": 1}}')

    (text,) = panels(rows.run(f"frame = {cell}", watched=True))

    assert "4 of 4 rows" in text
    assert "4 not sent" in text
