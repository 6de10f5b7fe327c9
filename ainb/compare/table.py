"""The table of a comparison: one row per variant and model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ainb.compare.metrics.metrics import Metrics
from ainb.compare.metrics.statistics import holm, mcnemar
from ainb.plain import is_missing

if TYPE_CHECKING:
    import pandas as pd

    from ainb.compare.answers import Answers

HEAD = ("variant", "model", "rows", "failed", "invalid")
TAIL = (
    "cost_usd_per_1000", "p50_s", "only_first_right", "only_this_right", "p_value",
    "difference", "difference_low", "difference_high", "unlabelled", "priced_rows", "timed_rows",
)  # fmt: skip
COUNTS = {
    "rows", "failed", "invalid", "answered", "only_first_right", "only_this_right", "unlabelled",
    "priced_rows", "timed_rows",
}  # fmt: skip
TEXTS = {"variant", "model"}


def comparison_frame(metrics: Metrics, answers: Sequence[Answers], *, unlabelled: int) -> pd.DataFrame:
    """The metrics of every variant, and of each compared with the first.

    Args:
        metrics: Computes the metrics.
        answers: Answers of each variant; the others are compared with the first.
        unlabelled: Number of rows without a truth, which were left out.

    Returns:
        Frame of shape (n_variants, n_columns): names string, counts Int64, metrics Float64; NA where
        undefined or unknown.
    """
    import pandas as pd

    pairs = [metrics.pair(answers[0], item) for item in answers[1:]]
    p_values = holm([mcnemar(pair.only_first, pair.only_second) for pair in pairs])
    rows = [_row(metrics, item, unlabelled=unlabelled) for item in answers]
    for row, pair, p_value in zip(rows[1:], pairs, p_values, strict=True):
        row |= {
            "only_first_right": pair.only_first,
            "only_this_right": pair.only_second,
            "p_value": p_value,
            "difference": pair.difference,
            "difference_low": pair.interval.low,
            "difference_high": pair.interval.high,
        }
    return pd.DataFrame(
        {
            name: pd.array(
                [None if is_missing(row.get(name)) else row[name] for row in rows], dtype=_dtype(name)
            )
            for name in (*HEAD, *metrics.columns, *TAIL)
        }
    )


def _row(metrics: Metrics, answers: Answers, *, unlabelled: int) -> dict[str, Any]:
    cost = answers.cost_usd_per_1000
    return {
        "variant": answers.variant,
        "model": answers.model,
        "rows": len(answers.labels),
        "failed": int(answers.failed.sum()),
        "invalid": int(answers.invalid.sum()),
        **metrics.row(answers),
        "cost_usd_per_1000": None if cost is None else float(cost),
        "p50_s": answers.p50_s,
        "unlabelled": unlabelled,
        "priced_rows": answers.priced_rows,
        "timed_rows": len(answers.durations_s),
    }


def _dtype(name: str) -> Any:
    return "string" if name in TEXTS else "Int64" if name in COUNTS else "Float64"
