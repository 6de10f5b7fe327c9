"""Board: cost, errors, and the state of providers, queues and cache in one panel."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ainb.panels import formatting
from ainb.panels.base import NO_CALLS, ROWS, Panel
from ainb.panels.batch import newest_batch_panel
from ainb.panels.cost import (
    CostPanel,
    budget_lines,
    cost_chart,
    cost_table,
    key_figures,
    unpriced_lines,
)
from ainb.panels.errors import ErrorsPanel, kinds_table, no_failures_text
from ainb.panels.markup import Cell, Column, Table
from ainb.panels.view import Block, Line, SideBySide
from ainb.plain import counted
from ainb.usage.frames import board, failures
from ainb.usage.windows import LAST_WEEK

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class BoardPanel(Panel):
    """Overview of cost, errors, providers, cache and the running batch."""

    name = "board"
    title = "Board"
    first_window = LAST_WEEK

    @property
    def frame(self) -> pd.DataFrame:
        """Circuit, queue, limits and durations per model; see `ainb.usage.frames.board.providers_now`."""
        return board.providers_now(self.session.log, self.session.state())

    def figure(self) -> Figure:
        """Cumulative cost over the period."""
        return CostPanel(self.session, window=self.window).figure()

    def blocks(self, *, charts: bool = True) -> list[Block]:
        """Key figures, cost beside failures, cumulative cost, providers, cache, the running batch."""
        sums = key_figures(self.session)
        if sums is None:
            return [Line([NO_CALLS])]
        cost = cost_table(self, "model")
        tables = [block for block in cost if isinstance(block, Table)]
        left_out = [block for block in cost if not isinstance(block, Table)]
        return [
            sums,
            *budget_lines(self.session),
            SideBySide([*tables, *self._failures()]),
            *left_out,
            *unpriced_lines(self),
            *(cost_chart(self) if charts else []),
            self._providers(),
            *self._cache(),
            *self._batch(),
        ]

    def summary_line(self) -> str:
        """Cost and number of failures."""
        return f"{CostPanel(self.session).summary_line()}; {ErrorsPanel(self.session).summary_line()}"

    def change_key(self) -> Any:
        """Newest call and state of circuits and queues, without buckets, which refill by themselves.

        It includes the remaining seconds of a pause, so that they are counted down.
        """
        deterministic = ("name", "circuit", "waiting", "in_flight", "activity", "hits", "entries")
        rows = self.session.state()
        pauses = [round(row.get("probe_in_s") or row.get("paused_s") or 0) for row in rows]
        return super().change_key(), [[row.get(key) for key in deterministic] for row in rows], pauses

    def _failures(self) -> list[Block]:
        errors = ErrorsPanel(self.session)
        sent = failures.sent(errors.frame)
        if not len(sent):
            return [Line([no_failures_text(errors)])]
        return [kinds_table(sent, f"What failed, {errors.window.name}", now=self.session.log.now())]

    def _providers(self) -> Table:
        columns = [
            Column("model", lambda model, _: str(model)),
            Column("provider", lambda _, row: formatting.provider(row["circuit"], row["next_try_s"])),
            Column("waiting", lambda _, row: formatting.count(row["waiting"]), "number"),
            Column("in flight", lambda _, row: formatting.count(row["in_flight"]), "number"),
            *(
                Column(f"{name} left", functools.partial(_left, name), "number")
                for name in ("requests", "tokens")
            ),
            Column("p50", lambda _, row: formatting.seconds(row["p50_s"]), "number"),
            Column("p95", lambda _, row: formatting.seconds(row["p95_s"]), "number"),
        ]
        return Table.of("Providers now", self.frame.iterrows(), columns, limit=ROWS, history=True)

    def _cache(self) -> list[Block]:
        cache = board.cache_now(self.session.state())
        if not cache:
            return [Line(["cache off"], "quiet")]
        facts = (
            counted(cache["hits"], "hit"),
            counted(cache["misses"], "miss", plural="es"),
            f"{formatting.count(cache['coalesced'])} shared with an identical call",
            f"{counted(cache['entries'], 'answer')} kept",
        )
        pieces = ["cache on", *(Cell(text=fact, volatile=True) for fact in facts)]
        return [Line(pieces, "quiet")]

    def _batch(self) -> list[Block]:
        newest = newest_batch_panel()
        if newest is None or newest.progress is None or not newest.running:
            return []
        return [*newest.view().blocks]


def _left(name: str, _model: Any, row: pd.Series[Any]) -> str:
    return formatting.remaining(row[f"{name}_level"], row[f"{name}_capacity"])
