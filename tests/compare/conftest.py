"""Fixtures of the comparison tests: a session on ``scripted:echo``, so that columns set the answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import ainb
from ainb.testing.faults import SCRIPTS

LABELS = ["positive", "negative", "neutral"]


@pytest.fixture
def events():
    return []


@pytest.fixture
def session(tmp_path, events):
    made = ainb.Session(
        "scripted:echo",
        home=tmp_path / "home",
        runtime=ainb.runtime.Runtime(sink=events.append),
        retry=None,
        circuit=None,
    )
    yield made
    made.close()
    SCRIPTS.clear()


def table(rows, *, good=0.9, better=0.95, seed=0, labels=LABELS):
    """Rows with true labels and two columns of answers that are correct with these probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(labels, rows)

    def answers(share):
        return np.where(rng.random(rows) < share, truth, rng.choice(labels, rows))

    return pd.DataFrame(
        {
            "text": [f"sentence {row}" for row in range(rows)],
            "label": truth,
            "a": answers(good),
            "b": answers(better),
        },
        index=pd.Index([f"r{row}" for row in range(rows)], name="key"),
    )
