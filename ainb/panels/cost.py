"""What was spent: so far, by model, day or notebook, and added up over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ainb.panels import formatting as words
from ainb.panels.base import NO_CALLS, ROWS, Panel
from ainb.panels.markup import Cell, Table
from ainb.panels.slot import in_notebook
from ainb.panels.view import Block, Line, Sums
from ainb.usage.windows import ALL_TIME, LAST_DAY, TODAY

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ainb.panels.view import Chart
    from ainb.session import Session

HINT = 'give one: prices = { "MODEL" = { input_usd_per_million = …, output_usd_per_million = … } }'


class CostPanel(Panel):
    """Money by model, day, provider, notebook or user."""

    name = "cost"
    title = "Cost"
    groups = ("model", "day", "provider", "notebook", "user")

    @property
    def frame(self) -> pd.DataFrame:
        """Tokens and money of the window by what the panel groups by; see `ainb.usage.frames.spending.cost_by`."""
        from ainb.usage.frames import spending

        return spending.cost_by(self.session.log, self.by, window=self.window)

    def figure(self) -> Figure:
        """Money of the window, added up over time."""
        from ainb.panels import charts
        from ainb.usage.frames import spending

        frame = spending.added_up(self.session.log, window=self.window)
        return (
            charts.line(frame["total_usd"], step=self.window.step, unit="$")
            if len(frame)
            else charts.empty("No calls in this window.")
        )

    def blocks(self, *, charts: bool = True) -> list[Block]:
        """Sums, the table, the line over time."""
        sums = spending_sums(self.session)
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

    def one_line(self) -> str:
        """What was spent today and in all."""
        from ainb.usage.frames import spending

        spent = spending.spent(self.session.log)
        today, ever = spent.loc["today"], spent.loc["all time"]
        return f"{words.dollars(today['cost_usd'], today['unpriced'])} today, {words.dollars(ever['cost_usd'], ever['unpriced'])} in all"


def spending_sums(session: Session) -> Sums | None:
    """Today, here and ever in large figures; None when the log holds no calls."""
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
            label += f" of {words.dollars(budgets['limit_usd']['day'])}"
        items.append((words.dollars(row["cost_usd"], row["unpriced"]), label))
    ever, today = spent.loc["all time"], spent.loc["today"]
    if not words.is_unknown(ever["saved_usd"]):
        items.append((words.dollars(ever["saved_usd"]), "saved by the cache"))
    items.append(
        (
            words.count(today["calls"]),
            f"call{'' if today['calls'] == 1 else 's'} today, {words.percent(today['ok_share'])} ok",
        )
    )
    return Sums(items)


def budget_lines(session: Session) -> list[Block]:
    """How each budget stands, a line a budget."""
    from ainb.usage.frames import board

    lines: list[Block] = []
    for name, row in board.budgets(session.state()).iterrows():
        left = Cell(
            text=f"{words.dollars(row['left_usd'])} left",
            tone="good" if row["left_usd"] > 0 else "bad",
            run=True,
        )
        pieces: list[Any] = [
            f"budget {words.dollars(row['limit_usd'])} a {name}",
            Cell(text=f"{words.dollars(row['spent_usd'])} spent", run=True),
            left,
        ]
        if row["reserved_usd"] > 0:
            pieces.append(
                Cell(text=f"{words.dollars(row['reserved_usd'])} set aside for calls under way", run=True)
            )
        lines.append(Line(pieces, "quiet"))
    return lines


def cost_table(frame: pd.DataFrame, by: str, window: str) -> Table:
    """A frame of `cost_by` as a table with its sums."""
    from ainb.usage.frames import spending

    dated = by == "day"
    rows = [
        (
            f"{key:%Y-%m-%d}" if dated else str(key),
            words.count(row["calls"]),
            words.compact(row["input_tokens"]),
            words.compact(row["output_tokens"]),
            _cost(row),
            _share(row["share"]),
        )
        for key, row in frame.iterrows()
    ]
    total = spending.total(frame)
    note = "" if not total["unpriced"] else f"{words.counted(int(total['unpriced']), 'call')} unpriced"
    foot = (
        "all",
        words.count(total["calls"]),
        words.compact(total["input_tokens"]),
        words.compact(total["output_tokens"]),
        words.dollars(total["cost_usd"], total["unpriced"]),
        Cell(text=note, tone="quiet"),
    )
    return Table(
        caption=f"Cost by {by}, {window}",
        columns=(by, "calls", "tokens in", "out", "cost", "share"),
        rows=rows,
        foot=foot if rows else None,
        numbers={1, 2, 3, 4},
        run={0} if dated else (),
        whole={5},
        limit=ROWS,
    )


def unpriced_lines(panel: Panel) -> list[Block]:
    """What to do about models without a price; nothing when there are none."""
    from ainb.usage.frames import spending

    models = spending.without_price(panel.session.log, window=panel.window)
    return [Line([f"No price is known for {', '.join(models)}; {HINT}"], "quiet")] if models else []


def cost_chart(panel: Panel) -> list[Chart]:
    """The line over time with its sentence; nothing without money."""
    from ainb.panels import charts
    from ainb.usage.frames import spending

    frame = spending.added_up(panel.session.log, window=panel.window)
    known, unpriced = spending.at_the_end(frame)
    if not known:
        return []
    total = words.dollars(known, unpriced)
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
    text = words.part(share)
    return Cell(text=text, tone="quiet", share=float(share) if text else None)


def _cost(row: pd.Series[Any]) -> Cell | str:
    if row["free"]:
        return Cell(text="free", tone="quiet")
    text = words.dollars(row["cost_usd"], row["unpriced"])
    return Cell(text="unknown", tone="warn") if text == "unknown" else text
