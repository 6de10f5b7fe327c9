"""Errors panel: failed calls by kind, over time, and the latest with messages and advice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ainb.panels import charts, formatting
from ainb.panels.base import NO_CALLS, ROWS, Panel
from ainb.panels.markup import Cell, Column, Table, Tone
from ainb.panels.view import Block, Chart, Line
from ainb.plain import counted
from ainb.usage.frames import board, failures
from ainb.usage.windows import LAST_DAY

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


SENT = ("error",)


class ErrorsPanel(Panel):
    """Failed calls by kind, by kind and provider, or by kind and model."""

    name = "errors"
    title = "Errors"
    groups = ("kind", "kind and provider", "kind and model")
    first_window = LAST_DAY

    @property
    def frame(self) -> pd.DataFrame:
        """Failed calls of the window by kind, with advice; see `ainb.usage.frames.failures.kinds`."""
        return failures.kinds(self.session.log, self.by, window=self.window)

    def figure(self) -> Figure:
        """Failed calls over time, one colour per kind."""
        frame = failures.over_time(self.session.log, window=self.window, statuses=SENT)
        return self._stacks(frame) if len(frame) else charts.empty("Nothing failed in this period.")

    def blocks(self, *, charts: bool = True) -> list[Block]:
        """Table of kinds, chart over time, the latest failures."""
        frame = self.frame
        now = self.session.log.now()
        sent, refused = failures.sent(frame), failures.not_sent(frame)
        blocks: list[Block] = []
        if len(sent):
            again = failures.retried(self.session.log, window=self.window)
            retried = f"{counted(again, 'call')} answered after another attempt, and not counted here."
            blocks = [
                kinds_table(sent, f"What failed, {self.window.name}", now=now),
                *([Line([retried], "quiet")] if again else []),
                *(self._chart() if charts else []),
                self._latest(now),
            ]
        elif not len(refused):
            return [Line([no_failures_text(self)])]
        if len(refused):
            blocks.append(kinds_table(refused, f"Not sent, {self.window.name}", now=now, tone="warn"))
        return blocks

    def summary_line(self) -> str:
        """Number of failed calls, and of those that were not sent."""
        frame = self.frame
        failed = counted(failures.total(failures.sent(frame)), "failed call")
        refused = failures.total(failures.not_sent(frame))
        return ", ".join(filter(None, (failed, f"{refused:,} not sent" if refused else "", self.window.name)))

    def _chart(self) -> list[Chart]:
        log = self.session.log
        frame = failures.over_time(log, window=self.window, statuses=SENT)
        parts = "; ".join(
            f"{kind}: {formatting.count(number)}" for kind, number in failures.per_kind(frame).items()
        )
        description = f"Failed calls over time, {self.window.name}. {parts}."
        drawn = charts.drawn(frame.index, self.window.step, self.window.span(log.now()))
        return [charts.chart(self._stacks(frame), description, span=drawn.text)]

    def _stacks(self, frame: pd.DataFrame) -> Figure:
        return charts.stacks(
            frame,
            step=self.window.step,
            span=self.window.span(self.session.log.now()),
            title="Failed calls",
            label="calls per hour" if self.window.hourly else "calls per day",
        )

    def _latest(self, now: float) -> Table:
        frame = failures.latest(self.session.log, window=self.window, statuses=SENT)
        columns = [
            Column(
                "at", lambda _, row: formatting.local_time(row["started_at"], now), "short", volatile=True
            ),
            Column("kind", lambda _, row: row["kind"], "short"),
            Column("model", lambda _, row: f"{row['provider_name']}:{row['request_model']}"),
            Column("message", lambda _, row: row["error_message"], "wide"),
            Column("attempts", lambda _, row: formatting.count(row["attempts"]), "number"),
            Column("request id", lambda _, row: _known(row["request_id"]), volatile=True),
        ]
        return Table.of("The latest", frame.iterrows(), columns, limit=ROWS)


def _known(value: Any) -> Any:
    return "" if formatting.is_unknown(value) else value


def no_failures_text(panel: Panel) -> str:
    """Text for a window without failures, or for a log without calls."""
    calls = board.newest_call(panel.session.log)
    return f"Nothing failed, {panel.window.name}." if calls else NO_CALLS


def kinds_table(frame: pd.DataFrame, caption: str, *, now: float, tone: Tone = "bad") -> Table:
    """A frame of `kinds` as a table."""
    placed = bool(frame["where"].notna().any())
    columns = [
        Column("kind", lambda kind, _: Cell(text=str(kind), tone=tone), "short"),
        *([Column("where", lambda _, row: str(row["where"]))] if placed else []),
        Column("calls", lambda _, row: formatting.count(row["calls"]), "number"),
        Column("last", lambda _, row: formatting.local_time(row["last_at"], now), "short", volatile=True),
        Column("what to do", lambda _, row: row["advice"], "wide"),
    ]
    return Table.of(caption, frame.iterrows(), columns, limit=ROWS)
