"""Browser tests of panels in JupyterLab: few, because each takes seconds."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from tests.panels.browser_lab import OUTPUTS, violations

pytestmark = pytest.mark.browser

DARK, LIGHT = "JupyterLab Dark", "JupyterLab Light"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
HACKED = "() => window.hacked"
LIVE_PROGRESS = ".jupyter-widgets progress"
NO_WIDGETS = "() => !document.querySelector('.jupyter-widgets')"
INTERRUPT_MS = 2_000

SETUP = """import os, tempfile
os.environ["AINB_HOME"] = tempfile.mkdtemp()
%load_ext ainb
%config Ainb.retry = False
%config Ainb.prices = {"labels": {"input_usd_per_million": 20, "output_usd_per_million": 80}}
import ainb, pandas as pd
from ainb.testing import Step, script
session = ainb.current()
hostile = "<img src=nowhere onerror='window.hacked=1'><script>window.hacked=1</script>"
"""
ROWS = """
frame = pd.DataFrame({{"review": [f"review {{number}} {{hostile}}" for number in range({rows})]}})
answer = Step(text=hostile, delay_seconds={seconds})
script("labels", [answer] * 5 + [Step(status=400)] + [answer])
"""
WEEK = """
from pathlib import Path
from tests.panels.made_up_week import fill
fill(Path(os.environ["AINB_HOME"]), hostile=hostile)
%config Ainb.budget = "5/day"
"""
COMPARISON = """
rows = pd.DataFrame({"text": [f"{n} {hostile}" for n in range(200)], "truth": ["good", hostile] * 100})
rows["b"] = rows["truth"].where(rows.index % 5 > 0, "good")
session.compare(rows, {"a": "{text}", hostile: "{b}"}, truth="truth", models="scripted:echo")
"""


def offline_text(browser, page_file: Path) -> str:
    """The text of an exported notebook in a page without a network."""
    context = browser.new_context(offline=True)
    try:
        context.route("http*://**", lambda route: route.abort())
        page = context.new_page()
        page.goto(page_file.as_uri(), wait_until="domcontentloaded")
        assert page.evaluate(HACKED) is None
        return page.locator("body").inner_text()
    finally:
        context.close()


def overflowing(page) -> list[str]:
    """Outputs that scroll horizontally; only regions inside them, such as wide tables, may."""
    return page.evaluate(
        f"() => [...document.querySelectorAll('{OUTPUTS}')]"
        ".filter(output => output.scrollWidth > output.clientWidth + 1)"
        ".map(output => output.innerText.slice(0, 80))"
    )


def test_a_batch_is_live_then_static_and_outlives_its_kernel(page, browser):
    batch = "%%ai scripted:labels --each frame --into labels --limit 24\nLabel: {review}"
    limits = "%config Ainb.rate_limit = {'concurrency': 4}"
    page.open("batch.ipynb", [SETUP + ROWS.format(rows=24, seconds=0.6) + limits, batch])
    page.run(0)

    page.start(1)
    page.page.wait_for_function(f"() => document.querySelector('{LIVE_PROGRESS}')?.value >= 6")
    assert violations(page.page) == []
    page.shot("batch_live_light", OUTPUTS)
    page.page.wait_for_function(NO_WIDGETS)
    page.settle()

    assert "24 of 24 rows · done" in page.text()
    assert "23 answered · 1 failed" in page.text()
    assert page.page.evaluate(HACKED) is None
    saved = page.save()
    assert WIDGET_VIEW not in str(saved)
    page.restart_kernel()
    page.visit()
    assert "24 of 24 rows · done" in page.text()
    assert "Error displaying widget" not in page.text()
    page.shot("batch_done_light", OUTPUTS)
    assert violations(page.page) == []
    assert overflowing(page.page) == []
    assert "24 of 24 rows · done" in offline_text(browser, page.export())


def test_a_reload_in_mid_run_shows_a_background_batch_live_again_and_it_can_be_cancelled(page):
    start = 'job = session.submit_map(frame, "Label: {review}", model="scripted:labels", concurrency=2)'
    page.open("background.ipynb", [SETUP + ROWS.format(rows=400, seconds=0.5), start])
    page.run(0)
    page.run(1)
    page.page.wait_for_selector(LIVE_PROGRESS)

    page.save()
    page.page.reload()
    page.page.wait_for_selector(LIVE_PROGRESS)
    before = page.page.evaluate("() => document.querySelector('progress').value")
    page.page.wait_for_function(f"() => document.querySelector('progress').value > {before} + 3")
    page.page.get_by_role("button", name="Cancel").click()
    page.page.wait_for_function(
        "() => document.querySelector('.jp-Notebook').innerText.includes('stopped; run it again to continue')"
    )

    page.page.get_by_role("button", name="Cancel").wait_for(state="detached")
    assert page.page.get_by_role("button", name="Cancel").count() == 0


DEAD = ("Error displaying widget", "Loading widget", "widget-view")
STOPPED = re.compile(r"stopped at (\d+) of 400 rows")


def saved_html(page, cell):
    """Save the notebook and return the HTML of a cell in the file."""
    outputs = page.save().cells[cell].outputs
    return "".join(output.get("data", {}).get("text/html", "") for output in outputs)


def test_a_file_that_is_saved_at_any_moment_holds_the_panels(page, browser):
    start = 'job = session.submit_map(frame, "Label: {review}", model="scripted:labels", concurrency=2)'
    page.open("saved.ipynb", [SETUP + WEEK + ROWS.format(rows=400, seconds=0.5), start, "%ai panel"])
    for cell in (0, 1, 2):
        page.run(cell)
    page.page.wait_for_selector(LIVE_PROGRESS)
    page.cell(2).locator("figure img >> visible=true").wait_for()

    done = []
    for _ in range(3):
        page.page.wait_for_timeout(2_500)
        done.append(int(STOPPED.search(saved_html(page, 1))[1]))
        assert "Cost by model, last 7 days" in saved_html(page, 2)
        assert "stopped at" not in page.text_of_cell(1)
        assert page.text_of_cell(2).count("Cost by model, last 7 days") == 1
    assert done == sorted(set(done))
    page.shot_of_cell(1, "batch_live_light")

    page.restart_kernel()
    page.cell(1).get_by_text("stopped at").wait_for()
    assert page.page.locator(f"{LIVE_PROGRESS} >> visible=true").count() == 0
    for name in ("saved.ipynb", "sent.ipynb"):
        page.name = name
        page.visit()
        for cell, words in ((1, "stopped at"), (2, "Cost by model, last 7 days")):
            assert page.text_of_cell(cell).count(words) == 1
            assert [word for word in DEAD if word in page.text_of_cell(cell)] == []
        page.shot_of_cell(1, f"batch_{name.split('.')[0]}_light")
        if name == "saved.ipynb":
            saved = page.save()
            for number, cell in enumerate(saved.cells):
                cell.source = f"# sent by somebody, {number}"  # so that its signature changes
            nbformat.write(saved, page.lab.work / "sent.ipynb")
    assert violations(page.page) == []
    shown = offline_text(browser, page.export())
    assert [words for words in ("stopped at", "Cost by model, last 7 days") if words not in shown] == []
    assert [word for word in DEAD if word in shown] == []


def test_an_update_keeps_focus_selection_and_height(page):
    start = 'job = session.submit_map(frame, "Label: {review}", model="scripted:labels", concurrency=2)'
    page.open("focus.ipynb", [SETUP + ROWS.format(rows=400, seconds=0.5), start])
    page.run(0)
    page.run(1)
    page.page.wait_for_function(f"() => document.querySelector('{LIVE_PROGRESS}')?.value >= 12")
    page.page.wait_for_selector('.jupyter-widgets[tabindex="0"] table >> visible=true')
    page.page.evaluate(
        """() => {
          window.box = document.querySelector('.jupyter-widgets[tabindex="0"]:has(table)');
          window.box.focus();
          const area = window.box.closest('.jp-OutputArea');
          window.heights = new Set();
          new ResizeObserver(() => window.heights.add(Math.round(area.offsetHeight))).observe(area);
        }"""
    )
    before = page.page.evaluate(f"() => document.querySelector('{LIVE_PROGRESS}').value")
    page.page.wait_for_function(f"() => document.querySelector('{LIVE_PROGRESS}').value > {before} + 10")

    assert page.page.evaluate("() => document.activeElement === window.box && window.box.isConnected")
    assert page.page.evaluate("() => [...window.heights].every(height => height > 100)")


def test_an_interrupt_ends_a_batch_within_two_seconds_and_the_panel_says_so(page):
    slow = 'session.map(frame, "Label: {review}", model="scripted:labels", concurrency=2)'
    page.open(
        "interrupt.ipynb",
        [SETUP + ROWS.format(rows=200, seconds=0.4), slow, slow, "print('the next cell', 'works')"],
    )
    page.run(0)
    took_ms = []
    for cell in (1, 2):  # twice, because a machine may be under load
        page.start(cell)
        page.page.wait_for_function(f"() => document.querySelector('{LIVE_PROGRESS}')?.value >= 2")
        page.interrupt()
        took_ms.append(page.milliseconds_until(NO_WIDGETS))
        page.cell(cell).get_by_text(
            "stopped by you"
        ).wait_for()  # the kernel also reports idle for the interrupt
        page.settle()
        assert "stopped; run it again to continue" in page.text_of_cell(cell)

    assert min(took_ms) < INTERRUPT_MS
    page.run(3)
    assert "the next cell works" in page.text()


# Words of each panel: live, static, exported, and in a notebook that JupyterLab does not trust.
SAID = (
    "spent today of $5.00",
    "429 rate limit",
    "What failed, last 24 hours",
    "Cumulative cost",
    "The latest",
)


def test_panels_are_accessible_in_light_and_dark_and_run_nothing_of_others(page, browser):
    cells = ["%ai panel", "%ai panel cost", "%ai panel errors"]
    settle = "from ainb.panels.output.live import stop_all\nstop_all()"
    page.open("panels.ipynb", [SETUP + WEEK, *cells, settle, COMPARISON])
    page.run(0)
    page.run(5)
    for cell in (1, 2, 3):
        page.run(cell)
        page.cell(cell).locator("figure img").wait_for()

    for theme, name in ((DARK, "dark"), (LIGHT, "light")):
        page.theme(theme)
        for cell, panel in ((1, "board"), (2, "cost"), (3, "errors")):
            page.shot_of_cell(cell, f"{panel}_live_{name}")
        assert violations(page.page) == []
        assert overflowing(page.page) == []
    page.page.locator(".jupyter-widgets select").nth(2).select_option("provider")
    page.page.wait_for_selector("text=Cost by provider, last 7 days >> visible=true")

    page.run(4)
    page.page.wait_for_function(NO_WIDGETS)
    for theme, name in ((DARK, "dark"), (LIGHT, "light")):
        page.theme(theme)
        page.shot_of_cell(1, f"board_static_{name}")
        page.shot_of_cell(5, f"comparison_{name}")
        assert violations(page.page) == []
        assert overflowing(page.page) == []
    assert page.page.evaluate(HACKED) is None
    saved = page.save()
    assert WIDGET_VIEW not in str(saved)
    shown = offline_text(browser, page.export())
    assert [words for words in (*SAID, "Cost by provider", "is better than a") if words not in shown] == []


def test_a_notebook_that_is_not_trusted_shows_the_same_words(page):
    page.open(
        "home.ipynb",
        [
            SETUP + WEEK,
            "%ai panel",
            "%ai panel errors",
            "from ainb.panels.output.live import stop_all\nstop_all()",
        ],
    )
    for cell in range(4):
        page.run(cell)
    page.page.wait_for_function(NO_WIDGETS)
    saved = page.save()

    for number, cell in enumerate(saved.cells):
        cell.source = f"# sent by somebody, {number}"  # so that its signature changes
    nbformat.write(saved, page.lab.work / "sent.ipynb")
    page.name = "sent.ipynb"
    page.visit()

    assert (
        page.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.cells.get(1).trusted")
        is False
    )
    assert [words for words in SAID if words not in page.text()] == []
    assert page.page.evaluate(HACKED) is None
    assert violations(page.page) == []
    page.shot("board_untrusted_light")
