"""View of a comparison: intervals on one scale, confusion matrices, rows on which two variants disagree."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ainb.compare import common_scale, narrowed, pair_to_show, row_shares, shown_p
from ainb.panels import formatting
from ainb.panels.compare_cells import IntervalCell, ShadedCell
from ainb.panels.escapes import clean
from ainb.panels.formatting import UNKNOWN
from ainb.panels.markup import Cell, Column, Table
from ainb.panels.output.slot import Slot, print_line, resolve
from ainb.panels.view import Block, Line, SideBySide, View
from ainb.plain import counted

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ainb.compare import Bar, Comparison, Scale

MOST_CLASSES = 12
MOST_MATRICES = 4
MOST_ROWS = 10
MOST_TEXT_COLUMNS = 3
MOST_LETTERS = 240


def show(result: Comparison, *, on_error: Callable[[str], None] = print_line) -> None:
    """Show a comparison in the running cell, or as text outside a notebook.

    Args:
        result: The comparison.
        on_error: Called once with a message when display fails.
    """
    if resolve(result.display) == "text":
        sys.stdout.write(f"{clean(comparison_view(result).text())}\n")
    else:
        Slot(result.display, on_error=on_error).close(lambda: comparison_view(result))


def comparison_view(result: Comparison) -> View:
    """The view of a comparison."""
    blocks: list[Block] = [_summary(result), *_verdict(result), _figures_table(result), _counted(result)]
    if result.field.kind == "label":
        blocks += _matrices(result)
    blocks += _disagreements(result)
    return View(label="ainb comparison", blocks=blocks)


def _summary(result: Comparison) -> Line:
    many = len(result.answers_by_variant)
    rows = len(result.data)
    return Line([f"{counted(many, 'variant')} on {counted(rows, 'labelled row')}"], "quiet")


def _verdict(result: Comparison) -> list[Block]:
    text = result.verdict
    if not text:
        return []
    won = result.conclusion.winner is not None
    return [Line([Cell(text=f"Verdict: {text}", tone="good" if won else "", strong=True)])]


def _counted(result: Comparison) -> Line:
    wrong = (
        "errors are those of the answered rows"
        if result.field.kind == "number"
        else "failed and invalid rows count as wrong"
    )
    pieces = ["every row was answered" if _is_whole(result) else wrong]
    if result.unlabelled:
        pieces.append(f"{counted(result.unlabelled, 'row')} without a truth left out")
    if len(result.answers_by_variant) > 1:
        pieces.append(f"first: {result.names[0]}")
    return Line(pieces, "quiet")


def _figures_table(result: Comparison) -> Table:
    scale = common_scale(result.frame)
    winner = result.conclusion.winner
    names = (Cell(text=name, strong=place == winner) for place, name in enumerate(result.names))
    records = zip(names, result.frame.to_dict("records"), scale.bars, strict=True)
    return Table.of("Comparison", records, _columns(result, scale))


def _columns(result: Comparison, scale: Scale) -> list[Column]:
    """Columns of records of a name, a row of the frame, and the bar of its interval."""
    numbers = result.field.kind == "number"

    def number(name: str, value: Callable[[dict[Any, Any]], Any], *, volatile: bool = False) -> Column:
        return Column(name, lambda _name, row, _bar: value(row), "number", volatile=volatile)

    def figure(name: str, key: str, *, volatile: bool = False) -> Column:
        return number(name, lambda row: _figure(row[key]), volatile=volatile)

    if numbers:
        main = number("mean error (95 %)", lambda row: _interval(row, "mae", "mae_low", "mae_high"))
        more = [figure("RMSE", "rmse"), figure("Pearson", "pearson"), figure("Spearman", "spearman")]
    else:
        main = number("accuracy (95 %)", lambda row: _interval(row, "accuracy", "low", "high", form=_percent))
        kappa = number("kappa (95 %)", lambda row: _interval(row, "kappa", "kappa_low", "kappa_high"))
        more = [kappa, figure("macro F1", "macro_f1")]
    columns = [
        Column("variant", lambda name, _row, _bar: name),
        main,
        Column(_ends(scale, numbers=numbers), lambda _name, _row, bar: _drawn(bar), "short"),
        number("$ / 1,000 rows", lambda row: _cost(row["cost_usd_per_1000"])),
        *more,
    ]
    if not _is_whole(result):
        columns += [
            number("failed", lambda row: formatting.count(row["failed"])),
            number("invalid", lambda row: formatting.count(row["invalid"])),
            number("answered" if numbers else "answered only", lambda row: _answered(row, numbers=numbers)),
        ]
    columns.append(figure("median s", "p50_s", volatile=True))
    if len(result.frame) > 1:
        columns += [
            number("nearer: first, this" if numbers else "only right: first, this", _apart),
            number("p", _p_value),
        ]
    return columns


def _is_whole(result: Comparison) -> bool:
    """Whether every row was answered."""
    return bool((result.frame["answered"] == result.frame["rows"]).all())


def _drawn(bar: Bar | None) -> Cell:
    return Cell(text="") if bar is None else IntervalCell(text="", bar=bar)


def _answered(row: dict[Any, Any], *, numbers: bool) -> str:
    many = formatting.count(row["answered"])
    return many if numbers else f"{_percent(row['accuracy_answered'])} of {many}"


def _ends(scale: Scale, *, numbers: bool) -> str:
    ends = (f"{end:g}" if numbers else f"{end * 100:.0f} %" for end in (scale.start, scale.end))
    return " to ".join(ends)


def _apart(row: dict[Any, Any]) -> str:
    """Rows on which only the first variant is right (or nearer), and only this one; unknown for the first."""
    if formatting.is_unknown(row["p_value"]):
        return UNKNOWN
    return f"{formatting.count(row['only_first_right'])}, {formatting.count(row['only_this_right'])}"


def _p_value(row: dict[Any, Any]) -> str:
    return UNKNOWN if formatting.is_unknown(row["p_value"]) else shown_p(row["p_value"])


def _cost(usd: Any) -> Cell | str:
    known = not formatting.is_unknown(usd)
    return Cell(text="free", tone="quiet") if known and usd == 0 else formatting.dollars(usd)


def _percent(value: Any) -> str:
    return UNKNOWN if formatting.is_unknown(value) else f"{float(value) * 100:.1f} %"


def _figure(value: Any) -> str:
    return UNKNOWN if formatting.is_unknown(value) else f"{value:.2f}"


def _interval(
    row: dict[Any, Any], value: str, low: str, high: str, *, form: Callable[[Any], str] = _figure
) -> str:
    if formatting.is_unknown(row[value]) or formatting.is_unknown(row[low]):
        return form(row[value])
    return f"{form(row[value])} ({form(row[low]).removesuffix(' %')} to {form(row[high]).removesuffix(' %')})"


def _matrices(result: Comparison) -> list[Block]:
    tables: list[Block] = []
    for answers, name in list(zip(result.answers_by_variant, result.names, strict=True))[:MOST_MATRICES]:
        counts = narrowed(result.confusion(answers.variant, answers.model), MOST_CLASSES)
        if len(counts) > MOST_CLASSES:
            text = f"{len(counts):,} classes are too many to draw; see .confusion({answers.variant!r})"
            return [Line([text], "quiet")]
        tables.append(_matrix(counts, row_shares(counts), name))
    more = len(result.answers_by_variant) - len(tables)
    hidden = [Line([f"and {more:,} more: see .confusion(…)"], "quiet")] if more else []
    return [SideBySide(tables), *hidden]


def _matrix(counts: pd.DataFrame, shares: np.ndarray, name: str) -> Table:
    kept = [place for place, column in enumerate(counts) if place < len(counts) or counts[column].any()]
    values = counts.to_numpy(dtype=int)
    rows = [
        [
            str(label),
            *(ShadedCell(text=f"{values[row, place]:,}", shade=float(shares[row, place])) for place in kept),
        ]
        for row, label in enumerate(counts.index)
    ]
    return Table(
        caption=f"{name}: answers by truth",
        columns=("truth", *(str(counts.columns[place]) for place in kept)),
        rows=rows,
        looks=dict.fromkeys(range(1, len(kept) + 1), "number"),
    )


def _disagreements(result: Comparison) -> list[Block]:
    pair = pair_to_show(result)
    if pair is None:
        return []
    one, other = (result.answers_by_variant[place] for place in pair)
    rows = result.disagreements(one.variant, other.variant, model=one.model, other_model=other.model)
    names = [result.names[place] for place in pair]
    if not len(rows):
        return [Line([f"{names[0]} and {names[1]} answer alike on every row"], "quiet")]
    texts = [name for name in result.text_columns if name in map(str, rows.columns)][:MOST_TEXT_COLUMNS]
    return [_disagreement_table(result, rows, texts, names)]


def _disagreement_table(
    result: Comparison, rows: pd.DataFrame, texts: Sequence[str], names: Sequence[str]
) -> Table:
    by_name = {str(column): place for place, column in enumerate(rows.columns)}
    places = [by_name[name] for name in texts]
    places += [by_name[str(result.truth_name)], len(rows.columns) - 2, len(rows.columns) - 1]
    shown = [
        [_row_name(key), *(_cut(rows.iloc[row, place]) for place in places)]
        for row, key in enumerate(rows.index[:MOST_ROWS])
    ]
    more = len(rows) - len(shown)
    ending = f", the first {len(shown)} of {len(rows):,}" if more else ""
    return Table(
        caption=f"{names[0]} and {names[1]} answer differently{ending}",
        columns=("row", *texts, f"truth ({result.truth_name})", *names),
        rows=shown,
        looks=dict.fromkeys(range(1, len(texts) + 1), "wide"),
    )


def _row_name(key: Any) -> str:
    return ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _cut(value: Any) -> Cell | str:
    if not isinstance(value, list | tuple | dict | set) and formatting.is_unknown(value):
        return Cell(text="no answer", tone="warn")
    text = str(getattr(value, "value", value))
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"
