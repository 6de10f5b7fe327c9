"""Tests of the forecast for the prompt layout, compared with one plain message per row."""

from __future__ import annotations

import re

import pandas as pd
import pytest

import ainb
from ainb.config import load_config
from ainb.events import Notice
from ainb.panels.progress import progress_view
from ainb.runtime import Runtime
from tests.providers.billing_server import BillingServer

RULES = " ".join(f"Rule {number}: a review that praises thing {number} is positive." for number in range(150))
SCHEMA = "label: positive|negative"
MODELS = ("openai:gpt-6-luna", "anthropic:claude-haiku-5-5")
HINT = re.compile(r"^the instruction follows the row; put it first to save about \$[\d.]+ of \$[\d.]+$")


@pytest.fixture
def run(tmp_path, events, monkeypatch):
    """Runs a table and returns the server, the last progress state and the notices by kind."""
    monkeypatch.setenv("OPENAI_API_KEY", "test-key-of-nobody")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key-of-nobody")

    def run(model, prompt, rows=60, **options):
        seen = []
        with BillingServer() as server:
            session = ainb.Session(
                model,
                api_base=server.base_url,
                config=load_config({"home": tmp_path / "home"}),
                runtime=Runtime(sink=events.append),
                cache=None,
            )
            data = pd.DataFrame({"text": [f"it is good, says {row}" for row in range(rows)]})
            session.map(data, prompt, schema=SCHEMA, watcher=seen.append, **options)
            session.close()
        notices = {event.kind: event.text for event in events if isinstance(event, Notice)}
        return server, seen[-1], notices

    return run


def numbers(text):
    """Tokens with the layout, tokens as plain messages, and the lower ends of both price ranges."""
    laid_out, plain = text.split("; as one plain message a row ")
    tokens = [int(re.search(r"([\d,]+) tokens", part)[1].replace(",", "")) for part in (laid_out, plain)]
    prices = [float(re.search(r"\$([\d.]+) to", part)[1]) for part in (laid_out, plain)]
    return *tokens, *prices


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "options", [{}, {"rows_per_call": 20}, {"system": RULES}, {"rows_per_call": 7, "system": RULES}]
)
def test_the_forecast_is_near_the_bill(run, model, options):
    prompt = "Review: {text}" if "system" in options else f"{RULES} Review: {{text}}"
    server, progress, notices = run(model, prompt, **options)
    laid_out, plain, least, plain_least = numbers(notices["forecast"])

    billed = sum(bill.plain + bill.read + bill.written for bill in server.bills)
    rows = 60
    assert laid_out == pytest.approx(billed, rel=0.15)
    assert plain == pytest.approx((progress.input_tokens + progress.pack_saved_tokens), rel=0.15)
    # The forecast includes thinking tokens; the server bills none.
    assert plain_least > plain * 0.1e-6 / 1.3
    assert plain_least > least
    assert progress.plain_nano_usd == pytest.approx(plain * 100 + rows * 5 * 500, rel=0.15)
    assert progress.plain_nano_usd > progress.cost_nano_usd


@pytest.mark.parametrize(
    ("model", "prompt", "options"),
    [
        ("openai:gpt-6-luna", "Classify {text}", {}),
        ("openai:gpt-5.4-nano", f"{RULES} Review: {{text}}", {}),
        ("openai:gpt-6-luna", f"{RULES} Review: {{text}}", {"prompt_cache": "off"}),
    ],
)
def test_where_nothing_is_laid_out_the_forecast_is_as_before(run, model, prompt, options):
    _, progress, notices = run(model, prompt, rows=4, **options)

    pattern = r"4 rows, about [\d,]+ tokens in and [\d,]+ out, likely \$[\d.]+ \(\$[\d.]+ to \$[\d.]+\)"
    assert re.fullmatch(pattern, notices["forecast"])
    assert progress.pack_saved_tokens == 0


@pytest.mark.parametrize("rows_per_call", [1, 10])
@pytest.mark.parametrize("model", [*MODELS, "openai:gpt-5.4-nano"])
@pytest.mark.parametrize(
    "prompt", [f"{{text}}\n\n{RULES}", f"Review: {{text}}\n{RULES}", f"{RULES[:300]} {{text}} {RULES}"]
)
def test_a_prompt_with_the_row_first_gets_one_hint(run, events, model, prompt, rows_per_call):
    _, _, notices = run(model, prompt, rows=4, rows_per_call=rows_per_call)

    assert HINT.match(notices["layout"])
    assert sum(getattr(event, "kind", "") == "layout" for event in events) == 1


@pytest.mark.parametrize(
    ("model", "prompt", "options"),
    [
        ("openai:gpt-6-luna", f"{RULES} {{text}}", {}),
        ("openai:gpt-6-luna", f"{RULES} {{text}} Answer in one word.", {}),
        ("openai:gpt-6-luna", "{text} Is it positive?", {}),
        ("openai:gpt-6-luna", f"{{text}} {RULES}", {"prompt_cache": "off"}),
        ("anthropic:claude-haiku-4-5", f"{{text}} {RULES}", {}),
    ],
)
def test_other_prompts_get_none(run, model, prompt, options):
    _, _, notices = run(model, prompt, rows=4, **options)

    assert "layout" not in notices


def test_the_panel_states_both(run):
    _, progress, _ = run("openai:gpt-6-luna", f"{RULES} Review: {{text}}", rows_per_call=20)

    text = repr(progress_view(progress))
    assert "as one plain message a row" in text


@pytest.mark.parametrize(
    ("rows", "rows_per_call", "begin"),
    [
        (1, 1, "1 row, about"),
        (2, 1, "2 rows, about"),
        (2, 20, "2 rows in 1 call, "),
        (3, 2, "3 rows in 2 calls, "),
    ],
)
def test_one_row_and_one_call_are_no_rows_and_calls(run, rows, rows_per_call, begin):
    _, _, notices = run("openai:gpt-6-luna", "Classify {text}", rows=rows, rows_per_call=rows_per_call)

    assert notices["forecast"].startswith(begin)
