"""Tables of the batches of a home, and their aggregates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

NEWEST = 12


def records_frame(records: Sequence[object], columns: Mapping[str, Any]) -> pd.DataFrame:
    """One row per record.

    Args:
        records: Objects with the attributes.
        columns: Attributes of the records in the order of their columns, each with its dtype; "time" is for
            seconds since 1970, which become datetime64[us, UTC]. None and NaN are NA.
    """
    import pandas as pd

    made: dict[str, Any] = {}
    for name, dtype in columns.items():
        values = [getattr(record, name) for record in records]
        if dtype == "time":
            made[name] = pd.to_datetime(values, unit="s", utc=True).astype("datetime64[us, UTC]")
        else:
            made[name] = pd.array(values, dtype=dtype)
    return pd.DataFrame(made)


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
