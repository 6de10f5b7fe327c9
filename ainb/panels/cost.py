"""Cost panel: key figures, cost by model, day or notebook, and cumulative cost over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ainb.panels import formatting
from ainb.panels.base import NO_CALLS, ROWS, Panel
from ainb.panels.markup import Cell, Table
from ainb.panels.slot import in_notebook
from ainb.panels.view import Block, KeyFigures, Line
from ainb.usage.windows import ALL_TIME, LAST_DAY, TODAY

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ainb.panels.view import Chart
    from ainb.session import Session

HINT = 'give one: prices = { "MODEL" = { input_usd_per_million = …, output_usd_per_million = … } }'


class CostPanel(Panel):
    """Cost by model, day, provider, notebook or user."""

    name = "cost"
    title = "Cost"
    groups = ("model", "day", "provider", "notebook", "user")

    @property
    def frame(self) -> pd.DataFrame:
        """Tokens and cost of the window by group; see `ainb.usage.frames.spending.cost_by`."""
        from ainb.usage.frames import spending

        return spending.cost_by(self.session.log, self.by, window=self.window)

    def figure(self) -> Figure:
        """Cumulative cost over the window."""
        from ainb.panels import charts
        from ainb.usage.frames import spending

        frame = spending.cumulative_cost(self.session.log, window=self.window)
        return (
            charts.line(frame["total_usd"], step=self.window.step, unit="$")
            if len(frame)
            else charts.empty("No calls in this window.")
        )

    def blocks(self, *, charts: bool = True) -> list[Block]:
        """Key figures, cost table, cumulative cost."""
        sums = key_figures(self.session)
        if sums is None:
            return [Line([NO_CALLS])]
        frame = self.frame
        table = cost_table(frame, self.by, self.window.name)
        return [
            sums,
            *budget_lines(self.session),
            table,
            *unpriced_lines(self),
            *(cost_chart(self) if charts else []),
        ]

    def summary_line(self) -> str:
        """Cost of today and in all."""
        from ainb.usage.frames import spending

        spent = spending.spent(self.session.log)
        today, ever = spent.loc["today"], spent.loc["all time"]
        spent_today = formatting.dollars(today["cost_usd"], today["unpriced"])
        spent_ever = formatting.dollars(ever["cost_usd"], ever["unpriced"])
        return f"{spent_today} today, {spent_ever} in all"


def key_figures(session: Session) -> KeyFigures | None:
    """Cost of today, of this notebook and in all; None when the log holds no calls."""
    from ainb.usage.frames import board, spending

    spent = spending.spent(session.log, notebook=session.runtime.origin()[0])
    if not spent["calls"].iloc[-1]:
        return None
    budgets = board.budgets(session.state())
    names = {"today": "spent today", "all time": "in all"}
    if in_notebook():  # where its name is not known, its session stands for it
        names["this session"] = "this notebook"
    items: list[tuple[Any, Any]] = []
    for span, row in spent.iterrows():
        label = names.get(str(span), str(span))
        if span == "today" and "day" in budgets.index:
            label += f" of {formatting.dollars(budgets['limit_usd']['day'])}"
        items.append((formatting.dollars(row["cost_usd"], row["unpriced"]), label))
    ever, today = spent.loc["all time"], spent.loc["today"]
    if not formatting.is_unknown(ever["saved_usd"]):
        items.append((formatting.dollars(ever["saved_usd"]), "saved by the cache"))
    items.append(
        (
            formatting.count(today["calls"]),
            f"call{'' if today['calls'] == 1 else 's'} today, {formatting.percent(today['ok_share'])} ok",
        )
    )
    return KeyFigures(items)


def budget_lines(session: Session) -> list[Block]:
    """One line per budget: limit, spent, left, reserved."""
    from ainb.usage.frames import board

    lines: list[Block] = []
    for name, row in board.budgets(session.state()).iterrows():
        left = Cell(
            text=f"{formatting.dollars(row['left_usd'])} left",
            tone="good" if row["left_usd"] > 0 else "bad",
            volatile=True,
        )
        pieces: list[Any] = [
            f"budget {formatting.dollars(row['limit_usd'])} a {name}",
            Cell(text=f"{formatting.dollars(row['spent_usd'])} spent", volatile=True),
            left,
        ]
        if row["reserved_usd"] > 0:
            pieces.append(
                Cell(
                    text=f"{formatting.dollars(row['reserved_usd'])} set aside for calls under way",
                    volatile=True,
                )
            )
        lines.append(Line(pieces, "quiet"))
    return lines


def cost_table(frame: pd.DataFrame, by: str, window: str) -> Table:
    """A frame of `cost_by` as a table with totals."""
    from ainb.usage.frames import spending

    dated = by == "day"
    rows = [
        (
            f"{key:%Y-%m-%d}" if dated else str(key),
            formatting.count(row["calls"]),
            formatting.compact(row["input_tokens"]),
            formatting.compact(row["output_tokens"]),
            _cost(row),
            _share(row["share"]),
        )
        for key, row in frame.iterrows()
    ]
    total = spending.total(frame)
    note = "" if not total["unpriced"] else f"{formatting.counted(int(total['unpriced']), 'call')} unpriced"
    foot = (
        "all",
        formatting.count(total["calls"]),
        formatting.compact(total["input_tokens"]),
        formatting.compact(total["output_tokens"]),
        formatting.dollars(total["cost_usd"], total["unpriced"]),
        Cell(text=note, tone="quiet"),
    )
    return Table(
        caption=f"Cost by {by}, {window}",
        columns=(by, "calls", "tokens in", "out", "cost", "share"),
        rows=rows,
        footer=foot if rows else None,
        numeric={1, 2, 3, 4},
        volatile={0} if dated else (),
        nowrap={5},
        limit=ROWS,
    )


def unpriced_lines(panel: Panel) -> list[Block]:
    """What to do about models without a price; nothing when there are none."""
    from ainb.usage.frames import spending

    models = spending.unpriced_models(panel.session.log, window=panel.window)
    return [Line([f"No price is known for {', '.join(models)}; {HINT}"], "quiet")] if models else []


def cost_chart(panel: Panel) -> list[Chart]:
    """Chart of the cumulative cost with its description; an empty list without cost."""
    from ainb.panels import charts
    from ainb.usage.frames import spending

    frame = spending.cumulative_cost(panel.session.log, window=panel.window)
    known, unpriced = spending.final_total(frame)
    if not known:
        return []
    total = formatting.dollars(known, unpriced)
    span = {
        ALL_TIME.name: "Cost since the first call",
        TODAY.name: "Cost of today",
        LAST_DAY.name: "Cost of the last 24 hours",
    }
    what = span.get(panel.window.name, f"Cost of the {panel.window.name}")
    return [
        charts.chart(
            charts.line(frame["total_usd"], step=panel.window.step, unit="$"),
            f"{what}, added up: {total} at the end.",
        )
    ]


def _share(share: Any) -> Cell:
    text = formatting.whole_percent(share)
    return Cell(text=text, tone="quiet", share=float(share) if text else None)


def _cost(row: pd.Series[Any]) -> Cell | str:
    if row["free"]:
        return Cell(text="free", tone="quiet")
    text = formatting.dollars(row["cost_usd"], row["unpriced"])
    return Cell(text="unknown", tone="warn") if text == "unknown" else text
