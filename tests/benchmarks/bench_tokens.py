"""Cost in USD of 2,000 rows with a 2,000-token instruction, at servers that bill as the providers do."""

from __future__ import annotations

import os
import tempfile
from decimal import Decimal
from pathlib import Path

import pandas as pd

import ainb
from ainb.config import load_config
from tests.providers.billing_server import BillingServer, count_tokens

ROWS = 2_000
INSTRUCTION_TOKENS = 2_000
ANSWER_SECONDS = 0.01
PACK = 20
MARKED = ("openai:gpt-6-luna", "anthropic:claude-haiku-5-5")
IMPLICIT = "openai:gpt-5.4-nano"
WAYS = {"plain": {"prompt_cache": "off"}, "laid out": {}, "packs": {"rows_per_call": PACK}}


def instruction() -> str:
    """A text of about 2,000 tokens."""
    rules: list[str] = []
    while count_tokens(" ".join(rules)) < INSTRUCTION_TOKENS:
        rules.append(f"Rule {len(rules)}: a review that praises thing {len(rules)} is positive.")
    return " ".join(rules)


def run(model: str, way: str) -> tuple[Decimal, Decimal, int, int]:
    """Input cost and total cost in USD, number of requests that read a cached prefix, number of requests."""
    data = pd.DataFrame(
        {"text": [f"it is {'good' if row % 3 else 'bad'}, says {row}" for row in range(ROWS)]}
    )
    with (
        BillingServer(answer_seconds=ANSWER_SECONDS, record=False) as server,
        tempfile.TemporaryDirectory() as home,
    ):
        session = ainb.Session(
            model, api_base=server.base_url, config=load_config({"home": Path(home)}), cache=None
        )
        frame = session.map(
            data, f"{instruction()}\nReview: {{text}}", schema="label: positive|negative", **WAYS[way]
        )
        logged = Decimal(str(round(session.costs()["cost_usd"].iloc[0], 9)))
        session.close()
        if not (frame["status"] == "ok").all() or abs(logged - server.usd) > Decimal("1e-6"):
            raise AssertionError(f"{frame['status'].value_counts()}, logged {logged}, billed {server.usd}")
        return server.input_usd, server.usd, server.reads, len(server.bills)


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    os.environ.setdefault("OPENAI_API_KEY", "nobody")
    os.environ.setdefault("ANTHROPIC_API_KEY", "nobody")
    found = []
    for model in (*MARKED, IMPLICIT):
        bills = {way: run(model, way) for way in WAYS}
        name = model.partition(":")[2]
        plain_input, plain, plain_reads, _ = bills["plain"]
        laid_input, laid, reads, requests = bills["laid out"]
        _, packs, _, calls = bills["packs"]
        beside = f"plain ${plain_input:.4f}, {plain_reads} of {ROWS} read"
        goal = "1/5 of plain" if model in MARKED else "no worse than plain"
        found += [
            (
                f"2,000 rows, {name}: input, laid out",
                f"${laid_input:.4f} ({laid_input / plain_input:.3f}), {reads} of {requests} read",
                beside,
                goal,
            ),
            (
                f"2,000 rows, {name}: in all, {PACK} rows per call",
                f"${packs:.4f} ({packs / plain:.3f}), {calls} calls",
                f"plain ${plain:.4f}, laid out ${laid:.4f}",
                "1/10 of plain",
            ),
        ]
    return found
