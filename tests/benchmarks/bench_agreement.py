"""Agreement of the small model with human labels of 300 sentences: one row per call, and five."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from pathlib import Path

import pandas as pd

import ainb
from ainb.config import load_config
from ainb.providers.local import weights

SENTENCES = 300
REVIEWS = Path(__file__).parents[2] / "notebooks" / "data" / "reviews.csv"
PROMPT = """Label the sentence of a product review as positive or negative.

Examples of negative sentences:
- The battery died after two days and support never answered.
- The buttons stick and the manual is useless.
Examples of positive sentences:
- It is light, quick, and the screen is beautiful.
- I would buy it again at once.

Sentence: {text}"""


def sentences() -> pd.DataFrame:
    """The sentences of the notebook 03_batch."""
    reviews = pd.read_csv(REVIEWS)
    clear = reviews[reviews["rating"].abs() >= 1.5]
    chosen = clear[clear["text"].str.len().between(20, 160)].sample(SENTENCES, random_state=7)
    return chosen.reset_index(drop=True)


def run(rows_per_call: int) -> tuple[float, int, int, float]:
    """Share of sentences with the human label, rows without an answer, calls, seconds."""
    data = sentences()
    with tempfile.TemporaryDirectory() as home:
        session = ainb.Session("local:smollm2", config=load_config({"home": Path(home)}), cache=None)
        started = time.perf_counter()
        frame = session.map(
            data,
            PROMPT,
            schema="label: positive|negative",
            temperature=0,
            max_tokens=20,
            rows_per_call=rows_per_call,
        )
        seconds = time.perf_counter() - started
        calls = int(session.costs()["calls"].iloc[0])
        session.close()
    people = data["rating"].gt(0).map({True: "positive", False: "negative"})
    agrees = (frame["label"].astype("string") == people).fillna(value=False)
    return float(agrees.mean()), int((frame["status"] != "ok").sum()), calls, seconds


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    if importlib.util.find_spec("xllamacpp") is None or not weights.is_pulled("smollm2"):
        return [("agreement with people", "model not installed or not pulled", "-", "-")]
    found = []
    for rows_per_call in (1, 5):
        agreement, unanswered, calls, seconds = run(rows_per_call)
        found.append(
            (
                f"300 sentences, smollm2, {rows_per_call} a call: agrees with people",
                f"{agreement:.1%}",
                f"{unanswered} without an answer, {calls} calls, {seconds:.0f} s",
                "-",
            )
        )
    return found
