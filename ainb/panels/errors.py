"""What failed: by kind, provider and model, over time, the latest with their messages, and what to do about each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.panels import formatting as words
from ainb.panels.base import NO_CALLS, ROWS, Panel
from ainb.panels.markup import Cell, Table
from ainb.panels.view import Block, Line
from ainb.usage.windows import LAST_DAY

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ainb.panels.view import Chart


class ErrorsPanel(Panel):
    """Failed calls by kind, by kind and provider, or by kind and model."""

    name = "errors"
    title = "Errors"
    groups = ("kind", "kind and provider", "kind and model")
    first_window = LAST_DAY

    @property
    def frame(self) -> pd.DataFrame:
        """Failed calls of the window by kind, with what to do about each; see `ainb.usage.frames.failures.kinds`."""
        from ainb.usage.frames import failures

        return failures.kinds(self.session.log, self.by, window=self.window)

    def figure(self) -> Figure:
        """Failed calls over time, a colour a kind."""
        from ainb.panels import charts
        from ainb.usage.frames import failures

        frame = failures.over_time(self.session.log, window=self.window)
        return (
            charts.stacks(frame, step=self.window.step)
            if len(frame)
            else charts.empty("Nothing failed in this window.")
        )

    def blocks(self, *, charts: bool = True) -> list[Block]:
        """Kinds, bars over time, the latest."""
        from ainb.usage.frames import failures

        frame = self.frame
        if not len(frame):
            return [Line([nothing_failed(self)])]
        now = self.session.log.now()
        again = failures.retried(self.session.log, window=self.window)
        retried = f"{words.counted(again, 'call')} answered after another attempt, and not counted here."
        return [
            kinds_table(frame, self.window.name, now=now),
            *([Line([retried], "quiet")] if again else []),
            *(self._chart() if charts else []),
            self._latest(now),
        ]

    def one_line(self) -> str:
        """How many failed."""
        from ainb.usage.frames import failures

        return f"{words.counted(failures.total(self.frame), 'failed call')}, {self.window.name}"

    def _chart(self) -> list[Chart]:
        from ainb.panels import charts
        from ainb.usage.frames import failures

        frame = failures.over_time(self.session.log, window=self.window)
        parts = "; ".join(
            f"{kind}: {words.count(number)}" for kind, number in failures.per_kind(frame).items()
        )
        says = f"Failed calls over time, {self.window.name}. {parts}."
        return [charts.chart(charts.stacks(frame, step=self.window.step), says)]

    def _latest(self, now: float) -> Table:
        from ainb.usage.frames import failures

        frame = failures.latest(self.session.log, window=self.window)
        rows = [
            (
                words.when(row["started_at"], now),
                row["kind"],
                f"{row['provider_name']}:{row['request_model']}",
                row["error_message"],
                words.count(row["attempts"]),
                "" if words.is_unknown(row["request_id"]) else row["request_id"],
            )
            for _, row in frame.iterrows()
        ]
        columns = ("at", "kind", "model", "message", "attempts", "request id")
        return Table(
            caption="The latest",
            columns=columns,
            rows=rows,
            numbers={4},
            run={0, 5},
            whole={0, 1},
            long={3},
            limit=ROWS,
        )


def nothing_failed(panel: Panel) -> str:
    """What to say when no call failed, or when there was none."""
    from ainb.usage.frames import board

    calls = board.newest_call(panel.session.log)
    return f"Nothing failed, {panel.window.name}." if calls else NO_CALLS


def kinds_table(frame: pd.DataFrame, window: str, *, now: float) -> Table:
    """A frame of `kinds` as a table."""
    placed = bool(frame["where"].notna().any())
    rows = [
        (
            Cell(text=str(kind), tone="bad"),
            *([str(row["where"])] if placed else []),
            words.count(row["calls"]),
            words.when(row["last_at"], now),
            row["advice"],
        )
        for kind, row in frame.iterrows()
    ]
    columns = ("kind", *(["where"] if placed else []), "calls", "last", "what to do")
    first_number = columns.index("calls")
    return Table(
        caption=f"What failed, {window}",
        columns=columns,
        rows=rows,
        numbers={first_number},
        run={first_number + 1},
        whole={0, first_number + 1},
        long={first_number + 2},
        limit=ROWS,
    )
