"""Markdown of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ainb.compare.fields import Field
from ainb.compare.verdict import shown_p
from ainb.plain import counted, is_missing

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "\N{EN DASH}"
_SPECIAL = str.maketrans({mark: f"\\{mark}" for mark in r"\`*_[]<>|~#$"} | {"\n": " ", "\r": " "})


def markdown(frame: pd.DataFrame, verdict: str, *, truth: str, field: Field) -> str:
    """The table, the verdict and a note on rows that were left out.

    Args:
        frame: Result of `comparison_frame`.
        verdict: One sentence, or empty.
        truth: Name of the truth column.
        field: The compared field.
    """
    numbers = field.kind == "number"
    whole = bool((frame["answered"] == frame["rows"]).all())
    columns = _columns(numbers=numbers, whole=whole)
    lines = [
        f"| {' | '.join(columns)} |",
        f"| --- | --- |{' ---: |' * (len(columns) - 2)}",
        *(f"| {' | '.join(_cells(row, numbers=numbers, whole=whole))} |" for row in frame.to_dict("records")),
    ]
    if verdict:
        lines += ["", f"**Verdict: {escape(verdict)}.**"]
    return "\n".join([*lines, "", _note(frame, truth, numbers=numbers)])


def _columns(*, numbers: bool, whole: bool) -> list[str]:
    if numbers:
        figures, against = ["mean error (95 %)", "RMSE", "Spearman"], ["nearer: first", "nearer: this"]
    else:
        figures, against = (
            ["accuracy (95 %)", "kappa (95 %)", "macro F1"],
            ["only first right", "only this right"],
        )
        figures[1:1] = [] if whole else ["accuracy of the answered"]
    counts = ["rows", "failed", "invalid"]
    return ["variant", "model", *counts, *figures, "$ / 1,000 rows", "median s", *against, "p"]


def escape(text: Any) -> str:
    """Text escaped for Markdown, on one line."""
    return str(text).translate(_SPECIAL)


def _cells(row: dict[Any, Any], *, numbers: bool, whole: bool) -> list[str]:
    cells = [escape(row["variant"]), escape(row["model"])]
    cells += [f"{row[name]:,}" for name in ("rows", "failed", "invalid")]
    if numbers:
        cells += [
            _interval(row, "mae", "mae_low", "mae_high"),
            _figure(row["rmse"]),
            _figure(row["spearman"]),
        ]
    else:
        cells += [_interval(row, "accuracy", "low", "high")]
        cells += [] if whole else [_figure(row["accuracy_answered"])]
        cells += [_interval(row, "kappa", "kappa_low", "kappa_high"), _figure(row["macro_f1"])]
    cells += [_figure(row["cost_usd_per_1000"], "{:,.4f}"), _figure(row["p50_s"], "{:.2f}")]
    cells += [_figure(row[name], "{:,}") for name in ("only_first_right", "only_this_right")]
    return [*cells, UNKNOWN if is_missing(row["p_value"]) else escape(shown_p(row["p_value"]))]


def _interval(row: dict[Any, Any], value: str, low: str, high: str) -> str:
    if is_missing(row[value]):
        return UNKNOWN
    if is_missing(row[low]):
        return _figure(row[value])
    return f"{_figure(row[value])} ({_figure(row[low])} to {_figure(row[high])})"


def _figure(value: Any, form: str = "{:.3f}") -> str:
    return UNKNOWN if is_missing(value) else form.format(value)


def _note(frame: pd.DataFrame, truth: str, *, numbers: bool) -> str:
    left_out = int(frame["unlabelled"].iloc[0])
    meaning = (
        "figures are those of the answered rows" if numbers else "failed and invalid rows count as wrong"
    )
    note = f"n = {int(frame['rows'].iloc[0]):,} rows with a value in {escape(truth)}; {meaning}."
    if left_out:
        note += f" {counted(left_out, 'row')} without one left out."
    return note
