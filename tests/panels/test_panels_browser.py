"""Panels in a real JupyterLab in Chromium; few, for each takes seconds."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

BUILD = Path(__file__).parents[2] / "build"
DARK, LIGHT = "JupyterLab Dark", "JupyterLab Light"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
HACKED = "() => window.hacked"
OUTPUTS = ".jp-OutputArea-output"
LIVE_PROGRESS = ".jupyter-widgets progress"

SETUP = """import os, tempfile
os.environ["AINB_HOME"] = tempfile.mkdtemp()
%load_ext ainb
%config Ainb.retry = False
import ainb, pandas as pd
from ainb.panels.batch import BatchPanel
from ainb.testing import Step, script
session = ainb.current()
hostile = "<img src=nowhere onerror='window.hacked=1'><script>window.hacked=1</script>"
"""
ROWS = """frame = pd.DataFrame({{"review": [f"review {{number}} {{hostile}}" for number in range({rows})]}})
answer = Step(text=hostile, delay_seconds={seconds})
script("labels", [answer] * 5 + [Step(status=400)] + [answer])
"""
# A week of made-up calls, the same each time but for the clock.
WEEK = """import random
from ainb.clock import SYSTEM_CLOCK
from ainb.pipeline.record import CallIds
from ainb.usage.rows import Row, utc
from ainb.usage.store import Store, open_log
from decimal import Decimal
from pathlib import Path

rng = random.Random(3)
ids = CallIds(SYSTEM_CLOCK, rng)
models = [("openai", "gpt-5-mini", 10, "0.0011"), ("anthropic", "claude-haiku-4-5", 2, "0.0037"), ("local", "smollm2", 4, "0"), ("openai", "my-finetune", 0.3, None), ("openai", hostile, 0.3, "0.0002")]
faults = [("TransientProviderError", 429, "openai answered 429 (rate limit reached for requests)"), ("TransientProviderError", None, "no answer from openai:gpt-5-mini within the 120 s of one attempt"), ("PermanentProviderError", 401, "anthropic answered 401 " + hostile), ("InvalidReplyError", None, 'the reply is not of the schema Label, asked twice: "label" is "mixed"')]
rows = []
for _ in range(3000):
    provider, model, _weight, price = rng.choices(models, [row[2] for row in models])[0]
    cost = None if price is None else Decimal(price)
    fault = rng.choice(faults) if rng.random() < 0.02 and provider != "local" else (None, None, None)
    hit = fault[0] is None and rng.random() < 0.2
    free = hit or fault[1] is not None
    rows.append(Row(call_id=ids(), started_at=utc(SYSTEM_CLOCK.unix() - rng.random() ** 1.5 * 7 * 86_400), operation_name="chat", provider_name=provider,
        request_model=model, response_model=model, input_tokens=rng.randrange(200, 1500), output_tokens=rng.randrange(20, 300), tokens_source="provider",
        cost_usd=Decimal(0) if free else cost, cost_source="free" if free else "table" if cost is not None else "unpriced", saved_usd=cost if hit else None,
        duration_s=rng.expovariate(0.9), attempts=0 if hit else rng.choice([1] * 20 + [2, 3]), status="error" if fault[0] else "ok", error_type=fault[0],
        http_status=fault[1], error_message=fault[2], cache_hit=hit, request_id=f"req_{rng.getrandbits(48):012x}", notebook="analysis.ipynb", session_id="S"))
rows.sort(key=lambda row: row.started_at)
store = Store(open_log(Path(os.environ["AINB_HOME"]) / "usage.sqlite3"))
store.add(rows)
store.close()
%config Ainb.budget = "5/day"
"""


def offline_text(browser, notebook: Path) -> str:
    """What a page without any network shows of the notebook, as nbconvert exports it."""
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--log-level", "ERROR", str(notebook)]
    subprocess.run(command, check=True, timeout=120, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    context = browser.new_context(offline=True)
    try:
        page = context.new_page()
        page.goto(notebook.with_suffix(".html").as_uri(), wait_until="domcontentloaded")
        assert page.evaluate(HACKED) is None
        return page.locator("body").inner_text()
    finally:
        context.close()


def violations(page) -> list[str]:
    """What axe-core finds critical or serious in the outputs of the page."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        if "chromium" in os.environ.get("AINB_TEST_REQUIRE", ""):
            pytest.fail("axe-playwright-python is not installed")
        pytest.skip("axe-playwright-python is not installed")
    page.evaluate(Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    result = page.evaluate(f"() => axe.run({{include: [['{OUTPUTS}']]}}, {{resultTypes: ['violations']}})")
    return [
        f"{item['id']}: {node['html'][:200]} {node['failureSummary']}"
        for item in result["violations"]
        if item["impact"] in {"critical", "serious"}
        for node in item["nodes"]
    ]


def test_a_batch_is_live_then_static_and_outlives_its_kernel(page, browser):
    batch = "%%ai scripted:labels --each frame --into labels --limit 24\nLabel: {review}"
    page.open(
        "batch.ipynb",
        [SETUP + ROWS.format(rows=24, seconds=0.6) + "%config Ainb.rate_limit = {'concurrency': 4}", batch],
    )
    page.run(0)

    page.start(1)
    page.page.wait_for_selector(LIVE_PROGRESS)
    page.page.wait_for_function("() => document.querySelector('progress')?.value >= 6")
    page.shot("batch_live_light", OUTPUTS)
    page.page.wait_for_function("() => !document.querySelector('.jupyter-widgets')")
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
    assert "24 of 24 rows · done" in offline_text(browser, page.lab.work / page.name)


def test_a_reload_in_mid_run_shows_a_background_batch_live_again_and_it_can_be_cancelled(page):
    start = (
        "watch = BatchPanel.open(background=True, state=session.state)\n"
        'job = watch.job = session.submit_map(frame, "Label: {review}", model="scripted:labels", concurrency=2, watcher=watch)'
    )
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
        "() => document.querySelector('.jp-Notebook').innerText.includes('stopped; run it again to go on')"
    )

    assert page.page.get_by_role("button", name="Cancel").count() == 0


def test_an_interrupt_ends_a_batch_and_the_panel_says_so(page):
    slow = 'session.map(frame, "Label: {review}", model="scripted:labels", concurrency=2, watcher=BatchPanel.open())'
    page.open(
        "interrupt.ipynb",
        [SETUP + ROWS.format(rows=200, seconds=0.4), slow, "print('the next cell', 'works')"],
    )
    page.run(0)
    page.start(1)
    page.page.wait_for_function("() => document.querySelector('progress')?.value >= 2")

    page.interrupt()
    page.page.wait_for_function("() => !document.querySelector('.jupyter-widgets')", timeout=10_000)
    page.settle()

    assert "stopped; run it again to go on" in page.text()
    assert "stopped by you" in page.text()
    page.run(2)
    assert "the next cell works" in page.text()


def test_panels_are_accessible_in_light_and_dark_and_run_nothing_of_others(page, browser):
    cells = ["%ai panel", "%ai panel cost", "%ai panel errors"]
    settle = "from ainb.panels.live import settle\nsettle()"
    page.open("panels.ipynb", [SETUP + WEEK, *cells, settle])
    page.run(0)
    for cell in (1, 2, 3):
        page.run(cell)
    page.page.wait_for_selector("text=The latest")

    for theme, name in ((DARK, "dark"), (LIGHT, "light")):
        page.theme(theme)
        for cell, panel in ((1, "board"), (2, "cost"), (3, "errors")):
            page.shot_of_cell(cell, f"{panel}_live_{name}")
        assert violations(page.page) == []
    page.page.locator(".jupyter-widgets select").nth(2).select_option("provider")
    page.page.wait_for_selector("text=Cost by provider, last 7 days")

    page.run(4)
    page.page.wait_for_function("() => !document.querySelector('.jupyter-widgets')")
    assert violations(page.page) == []
    assert page.page.evaluate(HACKED) is None
    saved = page.save()
    assert WIDGET_VIEW not in str(saved)
    shown = offline_text(browser, page.lab.work / page.name)
    for words in (
        "spent today of $5.00",
        "Cost by provider",
        "429 rate limit",
        "What failed, last 24 hours",
        "added up",
    ):
        assert words in shown


REPLIES = [
    "<script>window.hacked=1</script>",
    "<img src=nowhere onerror=window.hacked=1>",
    "[click](javascript:window.hacked=1) <a href='javascript:window.hacked=1'>x</a>",
    "![x](http://127.0.0.1:9/tracker.png)",
    "<svg onload=window.hacked=1></svg><iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "```html\n<script>window.hacked=1</script>\n```",
    "<style>body{display:none}</style><form action=javascript:window.hacked=1><button id=submit>go</button></form>",
]


def test_hostile_replies_do_not_run(page):
    asked = []
    page.page.on("request", lambda request: asked.append(request.url))
    cells = [
        f"%%ai scripted:hostile -f {form}\n{form} {number}"
        for number in range(len(REPLIES))
        for form in ("markdown", "html")
    ]
    cells += [
        "%%ai scripted:hostile -f text\nhello",
        "%%ai scripted:hostile -f code\nhello",
        "%%ai scripted:refused\nhello",
    ]
    script = f"replies = {REPLIES!r}\nscript('hostile', [reply for reply in replies for _ in (1, 2)] + replies[:2])\nscript('refused', [400])\n"
    page.open("hostile.ipynb", [SETUP + script, *cells])
    page.run(0)
    for cell in range(1, len(cells) + 1):
        page.run(cell)
    page.page.wait_for_timeout(500)

    assert page.page.evaluate(HACKED) is None
    assert not [url for url in asked if "tracker" in url or "nowhere" in url]
    assert page.page.locator(".jp-Notebook").is_visible()
    frames = page.page.locator("iframe[srcdoc]")
    assert {frames.nth(place).get_attribute("sandbox") for place in range(frames.count())} == {""}
