"""``%ai cost``, ``%ai usage``, ``%ai errors``: the usage log, as a short table and as a DataFrame."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ainb.errors import ConfigError
from ainb.magics.commands.frame_report import MAX_ROWS, FrameReport
from ainb.magics.display.numbers import as_text, duration, is_known, local_time, money
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.parsing.flags import Flag
from ainb.magics.parsing.readers import since
from ainb.magics.shell import NotebookShell
from ainb.panels.formatting import UNKNOWN, count, listed
from ainb.panels.markup import Column, Report, Table
from ainb.plain import counted

if TYPE_CHECKING:
    import pandas as pd

    from ainb.usage.frames.billed import BilledCosts

SINCE = Flag(
    name="since",
    metavar="SPAN",
    read=since,
    goes_to="cell",
    help="calls of the last 90m, 24h, 7d, or since a date",
    example="%ai cost --since 7d",
)
_SPAN = re.compile(r"\d+[mhdw]|\d{4}-\d\d-\d\d")
ALL = Flag(
    name="all",
    value=True,
    goes_to="cell",
    help="also the models whose calls are free",
    example="%ai cost --all",
)
USUAL_COST = ("request_model",)
# Headings of columns whose names do not explain themselves.
HEADINGS = {
    "request_model": "model",
    "provider_name": "provider",
    "error_type": "error",
    "http_status": "status",
}


def show_cost(shell: NotebookShell, arguments: Arguments) -> FrameReport:
    """Tokens and cost of the calls that were sent, by columns of the log; the frame covers all calls.

    Raises:
        ConfigError: A word is not the name of a column; the message lists them.
    """
    from ainb.usage.frames.billed import billed_costs

    by = _names(arguments) or USUAL_COST
    options = dict(arguments.cell)
    with_free = bool(options.pop("all", False))
    session = shell.session()
    frame = session.costs(by, **options)
    billed = billed_costs(session.log, by, only="sent" if with_free else "billed", **options)
    first = billed.frame.sort_values("cost_usd", ascending=False, kind="stable").head(MAX_ROWS)
    columns = [
        *_key_columns(by),
        Column("calls", lambda _, row: count(row.calls), "number"),
        Column("tokens in", lambda _, row: count(row.input_tokens), "number"),
        Column("tokens out", lambda _, row: count(row.output_tokens), "number"),
        Column("cost", lambda _, row: _price(row), "number"),
        Column("saved", lambda _, row: _saved(row.saved_usd), "number"),
    ]
    lines = [_total(billed.frame), *_left_out(billed), *_more(billed.frame, "groups, the costliest first")]
    return FrameReport(Report(lines, _table("Cost", _groups(first), columns)), frame)


def _left_out(billed: BilledCosts) -> list[str]:
    lines = []
    if billed.free_calls:
        models = listed(billed.free_models)
        lines.append(f"{counted(billed.free_calls, 'free call')} to {models} left out; --all shows them")
    if billed.not_sent:
        lines.append(f"{counted(billed.not_sent, 'call')} never sent and left out; %ai errors shows them")
    return lines


def show_usage(shell: NotebookShell, arguments: Arguments) -> FrameReport:
    """One row per call; the latest are shown."""
    frame = shell.session().usage(**arguments.cell)
    columns = [
        Column("started", lambda row: local_time(row.started_at)),
        Column("model", _model),
        Column("status", lambda row: as_text(row.status) + (", cached" if _is_cached(row) else "")),
        Column("tokens in", lambda row: count(row.input_tokens), "number"),
        Column("tokens out", lambda row: count(row.output_tokens), "number"),
        Column("cost", lambda row: money(row.cost_usd, int(row.cost_source == "unpriced")), "number"),
        Column("took", lambda row: duration(row.duration_s), "number"),
        Column("notebook", lambda row: as_text(row.notebook)),
    ]
    total = _headline(frame["cost_usd"].sum(), int(frame["cost_usd"].isna().sum()))
    lines = [f"{counted(len(frame), 'call')}, {total}", *_more(frame, "calls, the latest first")]
    return FrameReport(Report(lines, _table("Usage", _latest(frame), columns)), frame)


def show_errors(shell: NotebookShell, arguments: Arguments) -> FrameReport:
    """Failed calls, or their number by columns of the log.

    Raises:
        ConfigError: A word is not the name of a column; the message lists them.
    """
    by = _names(arguments)
    frame = shell.session().errors(by or None, **arguments.cell)
    if by:
        records, what = _groups(frame.head(MAX_ROWS)), "groups, the most frequent first"
        columns = [
            *_key_columns(by),
            Column("calls", lambda _, row: count(row.calls), "number"),
            Column("last", lambda _, row: local_time(row.last_at)),
            Column("last message", lambda _, row: as_text(row.last_message)),
        ]
    else:
        records, what = _latest(frame), "calls, the latest first"
        columns = [
            Column("started", lambda row: local_time(row.started_at)),
            Column("model", _model),
            Column("error", lambda row: _error(row) + (", not sent" if row.status == "rejected" else "")),
            Column("attempts", lambda row: count(row.attempts), "number"),
            Column("message", lambda row: as_text(row.error_message)),
        ]
    lines = [_failed(shell, arguments), *_more(frame, what)]
    return FrameReport(Report(lines, _table("Errors", records, columns)), frame)


def _failed(shell: NotebookShell, arguments: Arguments) -> str:
    """Number of failed calls, and of those that were refused before they were sent."""
    calls = shell.session().errors("status", **arguments.cell)["calls"]
    refused = int(calls.get("rejected", 0))
    return counted(int(calls.get("error", 0)), "failed call") + (f", {refused:,} not sent" if refused else "")


def _names(arguments: Arguments) -> tuple[str, ...]:
    """Column names; words may also be separated by commas.

    Raises:
        ConfigError: One is a time span, which belongs after ``--since``.
    """
    span = next((word for word in arguments.words if _SPAN.fullmatch(word)), None)
    if span is not None:
        raise ConfigError(f"a time span belongs after --since; write --since {span}")
    return tuple(name for word in arguments.words for name in word.split(",") if name)


def _table(caption: str, records: Sequence[tuple[Any, ...]], columns: Sequence[Column]) -> list[Table]:
    return [Table.of(caption, records, columns)] if records else []


def _key_columns(by: Sequence[str]) -> list[Column]:
    """The columns that the groups are made by."""
    return [
        Column(HEADINGS.get(name, name), functools.partial(_part, place)) for place, name in enumerate(by)
    ]


def _part(place: int, key: Any, _row: Any) -> str:
    part = key[place] if isinstance(key, tuple) else key
    return f"{part:%Y-%m-%d}" if is_known(part) and hasattr(part, "year") else as_text(part)


def _groups(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(zip(frame.index, frame.itertuples(index=False), strict=True))


def _latest(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [(row,) for row in frame.tail(MAX_ROWS).iloc[::-1].itertuples(index=False)]


def _is_cached(row: Any) -> bool:
    return bool(row.cache_hit or row.coalesced)


def _model(row: Any) -> str:
    return f"{as_text(row.provider_name)}:{as_text(row.request_model)}"


def _error(row: Any) -> str:
    return (
        f"{as_text(row.error_type)} {count(row.http_status)}"
        if is_known(row.http_status)
        else as_text(row.error_type)
    )


def _total(frame: pd.DataFrame) -> str:
    calls, unpriced = int(frame["calls"].sum()), int(frame["unpriced"].sum())
    line = f"{counted(calls, 'call')}, {_headline(frame['cost_usd'].sum(), unpriced)}"
    names = {"saved_usd": "the cache", "provider_saved_usd": "providers' own caches"}
    saved = {words: frame[name].sum(min_count=1) for name, words in names.items()}
    more = [f"{words} saved {money(usd)}" for words, usd in saved.items() if _is_saved(usd)]
    return "; ".join([line, *more])


def _headline(usd: Any, unpriced: int) -> str:
    """Cost of the calls with a price, and the number of calls without one."""
    return f"{money(usd)}, besides {counted(unpriced, 'call')} without a price" if unpriced else money(usd)


def _price(row: Any) -> str:
    free = is_known(row.cost_usd) and row.cost_usd == 0 and not row.unpriced and not _is_saved(row.saved_usd)
    return "free" if free and is_known(row.output_tokens) else money(row.cost_usd, row.unpriced)


def _is_saved(usd: Any) -> bool:
    return bool(is_known(usd) and usd > 0)


def _saved(usd: Any) -> str:
    return money(usd) if _is_saved(usd) else UNKNOWN


def _more(frame: pd.DataFrame, what: str) -> list[str]:
    if len(frame) <= MAX_ROWS:
        return []
    return [f"The table shows {MAX_ROWS} of {len(frame):,} {what}; the returned frame holds all."]
