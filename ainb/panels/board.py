"""Cost, errors, and the state of providers, queues and cache on one board."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ainb.panels import formatting as words
from ainb.panels.base import NO_CALLS, ROWS, Panel
from ainb.panels.batch import newest
from ainb.panels.cost import (
    budget_lines,
    cost_chart,
    cost_table,
    spending_sums,
    unpriced_lines,
)
from ainb.panels.errors import ErrorsPanel, kinds_table, nothing_failed
from ainb.panels.markup import Cell, Table
from ainb.panels.view import Block, Line, Side
from ainb.usage.windows import LAST_WEEK

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class BoardPanel(Panel):
    """Everything at a glance."""

    name = "board"
    title = "Board"
    first_window = LAST_WEEK

    @property
    def frame(self) -> pd.DataFrame:
        """Every model that was called with circuit, queue, limits and speed; see `ainb.usage.frames.board.providers_now`."""
        from ainb.usage.frames import board

        return board.providers_now(self.session.log, self.session.state())

    def figure(self) -> Figure:
        """Money of the window, added up over time."""
        from ainb.panels.cost import CostPanel

        return CostPanel(self.session, window=self.window).figure()

    def blocks(self, *, charts: bool = True) -> list[Block]:
        """Sums, cost and failures side by side, the line over time, providers, cache, the batch that runs."""
        from ainb.usage.frames import spending

        sums = spending_sums(self.session)
        if sums is None:
            return [Line([NO_CALLS])]
        costs = spending.cost_by(self.session.log, window=self.window)
        cost = cost_table(costs, "model", self.window.name)
        return [
            sums,
            *budget_lines(self.session),
            Side([cost, self._failures()]),
            *unpriced_lines(self),
            *(cost_chart(self) if charts else []),
            *self._providers(),
            *self._cache(),
            *self._batch(),
        ]

    def one_line(self) -> str:
        """What was spent and what failed."""
        from ainb.panels.cost import CostPanel

        return f"{CostPanel(self.session).one_line()}; {ErrorsPanel(self.session).one_line()}"

    def pulse(self) -> Any:
        """Calls, and everything that circuits and queues say but for buckets that fill by themselves."""
        steady = ("name", "circuit", "waiting", "in_flight", "hits", "entries")
        return super().pulse(), [[row.get(key) for key in steady] for row in self.session.state()]

    def _failures(self) -> Block:
        errors = ErrorsPanel(self.session)
        frame = errors.frame
        if not len(frame):
            return Line([nothing_failed(errors)])
        return kinds_table(frame, errors.window.name, now=self.session.log.now())

    def _providers(self) -> list[Block]:
        frame = self.frame
        rows = [
            (
                str(model),
                words.circuit(row["circuit"], row["probe_in_s"]),
                words.count(row["waiting"]),
                words.count(row["in_flight"]),
                words.left_of(row["requests_level"], row["requests_capacity"]),
                words.left_of(row["tokens_level"], row["tokens_capacity"]),
                words.seconds(row["p50_s"]),
                words.seconds(row["p95_s"]),
            )
            for model, row in frame.iterrows()
        ]
        columns = ("model", "circuit", "waiting", "in flight", "requests left", "tokens left", "p50", "p95")
        table = Table(
            caption="Providers now",
            columns=columns,
            rows=rows,
            numbers=range(2, 8),
            limit=ROWS,
            history=True,
        )
        return [table]

    def _cache(self) -> list[Block]:
        from ainb.usage.frames import board

        cache = board.cache_now(self.session.state())
        if not cache:
            return [Line(["cache off"], "quiet")]
        facts = (
            words.counted(cache["hits"], "hit"),
            words.counted(cache["misses"], "miss", plural="es"),
            f"{words.count(cache['coalesced'])} shared with an identical call",
            f"{words.counted(cache['entries'], 'answer')} kept",
        )
        pieces = ["cache on", *(Cell(text=fact, run=True) for fact in facts)]
        return [Line(pieces, "quiet")]

    def _batch(self) -> list[Block]:
        watched = newest()
        if watched is None or watched.progress is None or not watched.running:
            return []
        return [*watched.view().blocks]
