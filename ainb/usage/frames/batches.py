"""Aggregates of the batches of a home."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

NEWEST = 12


def outcomes(runs: pd.DataFrame, count: int = NEWEST) -> pd.DataFrame:
    """Numbers of answered and failed rows of the newest batches.

    Args:
        runs: As `Session.runs` returns them, newest first.
        count: Maximum number of batches.

    Returns:
        Frame of shape (<= count, 2), newest first, indexed by the batch's title: `answered` and `failed`
        Int64.
    """
    newest = runs.head(count)
    answered = newest["done"] - newest["failed"]
    frame = newest[["failed"]].assign(answered=answered)[["answered", "failed"]]
    frame.index = newest["title"].rename("batch")
    return frame
