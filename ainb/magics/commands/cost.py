"""``%ai cost``, ``%ai usage``, ``%ai errors``: the usage log, as a short table and as a DataFrame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ainb.errors import ConfigError
from ainb.magics.commands.frame_report import MAX_ROWS, FrameReport
from ainb.magics.display.numbers import as_text, count, duration, is_known, local_time
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.parsing.flags import Flag
from ainb.magics.parsing.readers import since
from ainb.magics.shell import NotebookShell
from ainb.panels.markup import Report, Table

if TYPE_CHECKING:
    import pandas as pd

SINCE = Flag(
    name="since",
    metavar="SPAN",
    read=since,
    goes_to="cell",
    help="calls of the last 90m, 24h, 7d, or since a date",
    example="%ai cost --since 7d",
)
_SPAN = re.compile(r"\d+[mhdw]|\d{4}-\d\d-\d\d")
USUAL_COST = ("request_model",)


def show_cost(shell: NotebookShell, arguments: Arguments) -> FrameReport:
    """Tokens and money by columns of the log.

    Raises:
        ConfigError: A word names no column; the message lists them.
    """
    by = _names(arguments) or USUAL_COST
    frame = shell.session().costs(by, **arguments.cell)
    first = frame.sort_values("cost_usd", ascending=False, kind="stable").head(MAX_ROWS)
    rows = [
        (
            *_key(key),
            count(row.calls),
            count(row.input_tokens),
            count(row.output_tokens),
            _money(row.cost_usd, row.unpriced),
            _saved(row.saved_usd),
        )
        for key, row in zip(first.index, first.itertuples(index=False), strict=True)
    ]
    columns = (*by, "calls", "tokens in", "tokens out", "cost", "saved")
    lines = [_total(frame), *_more(frame, "groups, the costliest first")]
    return FrameReport(Report(lines, _table("Cost", columns, rows)), frame)


def show_usage(shell: NotebookShell, arguments: Arguments) -> FrameReport:
    """One row per call; the latest are shown."""
    frame = shell.session().usage(**arguments.cell)
    rows = [
        (
            local_time(row.started_at),
            _model(row),
            as_text(row.status) + (", cached" if row.cache_hit or row.coalesced else ""),
            count(row.input_tokens),
            count(row.output_tokens),
            _money(row.cost_usd, int(row.cost_source == "unpriced")),
            duration(row.duration_s),
            as_text(row.notebook),
        )
        for row in _latest(frame)
    ]
    columns = ("started", "model", "status", "tokens in", "tokens out", "cost", "took", "notebook")
    total = _money(
        frame["cost_usd"].sum(min_count=1) if len(frame) else 0, int(frame["cost_usd"].isna().sum())
    )
    lines = [f"{_calls(len(frame))}, {total}", *_more(frame, "calls, the latest first")]
    return FrameReport(Report(lines, _table("Usage", columns, rows)), frame)


def show_errors(shell: NotebookShell, arguments: Arguments) -> FrameReport:
    """Failed calls, or their number by columns of the log.

    Raises:
        ConfigError: A word names no column; the message lists them.
    """
    by = _names(arguments)
    frame = shell.session().errors(by or None, **arguments.cell)
    if by:
        first = frame.head(MAX_ROWS)
        rows: list[Sequence[str]] = [
            (*_key(key), count(row.calls), local_time(row.last_at), as_text(row.last_message))
            for key, row in zip(first.index, first.itertuples(index=False), strict=True)
        ]
        columns: Sequence[str] = (*by, "calls", "last", "last message")
        lines = [
            _calls(int(frame["calls"].sum()), "failed call"),
            *_more(frame, "groups, the most frequent first"),
        ]
    else:
        rows = [
            (
                local_time(row.started_at),
                _model(row),
                _error(row),
                count(row.attempts),
                as_text(row.error_message),
            )
            for row in _latest(frame)
        ]
        columns = ("started", "model", "error", "attempts", "message")
        lines = [_calls(len(frame), "failed call"), *_more(frame, "calls, the latest first")]
    return FrameReport(Report(lines, _table("Errors", columns, rows)), frame)


def _names(arguments: Arguments) -> tuple[str, ...]:
    """Column names; words may also be separated by commas.

    Raises:
        ConfigError: One is a span of time, which stands behind ``--since``.
    """
    span = next((word for word in arguments.words if _SPAN.fullmatch(word)), None)
    if span is not None:
        raise ConfigError(f"a span of time stands behind --since; write --since {span}")
    return tuple(name for word in arguments.words for name in word.split(",") if name)


def _table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Table]:
    return [Table(caption=caption, columns=columns, rows=rows)] if rows else []


def _key(key: Any) -> tuple[str, ...]:
    parts = key if isinstance(key, tuple) else (key,)
    return tuple(
        f"{part:%Y-%m-%d}" if is_known(part) and hasattr(part, "year") else as_text(part) for part in parts
    )


def _latest(frame: pd.DataFrame) -> list[Any]:
    return list(frame.tail(MAX_ROWS).iloc[::-1].itertuples(index=False))


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
    cost = frame["cost_usd"].sum(min_count=1) if len(frame) else 0
    line = f"{_calls(calls)}, {_money(cost, unpriced)}"
    saved = frame["saved_usd"].sum(min_count=1)
    return f"{line}; the cache saved {_money(saved)}" if is_known(saved) and saved > 0 else line


def _money(usd: Any, unpriced: Any = 0) -> str:
    from ainb.usage.frames.totals import money

    return money(usd, int(unpriced))


def _saved(usd: Any) -> str:
    return _money(usd) if is_known(usd) and usd > 0 else as_text(None)


def _calls(number: int, noun: str = "call") -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _more(frame: pd.DataFrame, what: str) -> list[str]:
    if len(frame) <= MAX_ROWS:
        return []
    return [f"The table shows {MAX_ROWS} of {len(frame):,} {what}; the frame that this line gives holds all."]
