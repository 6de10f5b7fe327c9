"""Cost panel: key figures, cost by model, day or notebook, and cumulative cost over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ainb.panels import charts, formatting
from ainb.panels.base import NO_CALLS, ROWS, Panel
from ainb.panels.markup import Cell, Column, Table
from ainb.panels.output.slot import in_notebook
from ainb.panels.view import Block, Chart, KeyFigures, Line
from ainb.plain import counted
from ainb.usage.frames import board, spending

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ainb.session import Session
    from ainb.usage.windows import Window

HINT = 'give one: prices = { "MODEL" = { input_usd_per_million = …, output_usd_per_million = … } }'


class CostPanel(Panel):
    """Cost by model, day, provider, notebook or user."""

    name = "cost"
    title = "Cost"
    groups = ("model", "day", "provider", "notebook", "user", "all models")

    @property
    def frame(self) -> pd.DataFrame:
        """Tokens and cost of the period by group; see `ainb.usage.frames.spending.cost_by`."""
        return spending.cost_by(self.session.log, self.by, window=self.window)

    def figure(self) -> Figure:
        """Cumulative cost over the period."""
        log = self.session.log
        frame = spending.cumulative_cost(log, window=self.window)
        if not len(frame):
            return charts.empty("No calls in this period.")
        return _cumulative(frame, self.window, log.now())

    def blocks(self, *, charts: bool = True) -> list[Block]:
        """Key figures, cost table, cumulative cost."""
        sums = key_figures(self.session)
        if sums is None:
            return [Line([NO_CALLS])]
        return [
            sums,
            *budget_lines(self.session),
            *cost_table(self, self.by),
            *unpriced_lines(self),
            *(cost_chart(self) if charts else []),
        ]

    def summary_line(self) -> str:
        """Cost of today and of all time."""
        spent = spending.spent(self.session.log)
        today, ever = spent.loc["today"], spent.loc["all time"]
        spent_today = formatting.dollars(today["cost_usd"], today["unpriced"])
        spent_ever = formatting.dollars(ever["cost_usd"], ever["unpriced"])
        return f"{spent_today} today, {spent_ever} total"


def key_figures(session: Session) -> KeyFigures | None:
    """Cost of today, of this notebook and of all time; None when the log holds no calls."""
    spent = spending.spent(session.log, notebook=session.runtime.origin()[0])
    if not spent["calls"].iloc[-1]:
        return None
    budgets = board.budgets(session.state())
    names = {"today": "spent today", "all time": "total"}
    if in_notebook():  # without the notebook's name, its session is used
        names["this session"] = "this notebook"
    items: list[tuple[Any, Any]] = []
    for span, row in spent.iterrows():
        label = names.get(str(span), str(span))
        if span == "today" and "day" in budgets.index:
            label += f" of {formatting.dollars(budgets['limit_usd']['day'])}"
        if row["unpriced"]:
            label += f", besides {counted(int(row['unpriced']), 'call')} without a price"
        items.append((formatting.priced_dollars(row["cost_usd"], row["unpriced"]), label))
    ever, today = spent.loc["all time"], spent.loc["today"]
    items += _savings(ever)
    sent = today["calls"] - today["not_sent"]
    calls = [f"call{'' if sent == 1 else 's'} today", f"{formatting.percent(today['sent_ok_share'])} ok"]
    if today["not_sent"]:
        calls.append(f"besides {formatting.count(today['not_sent'])} not sent")
    items.append((formatting.count(sent), ", ".join(calls)))
    return KeyFigures(items)


def _savings(ever: Any) -> list[tuple[Any, Any]]:
    """Savings of ainb's cache and of the providers' caches."""
    own, theirs = ever["saved_usd"], ever["provider_saved_usd"]
    items: list[tuple[Any, Any]] = []
    if not formatting.is_unknown(own):
        items.append((formatting.dollars(own), "saved by the cache"))
    if not formatting.is_unknown(theirs) and theirs > 0:
        items.append((formatting.dollars(theirs), "saved by providers' caches"))
    return items


def budget_lines(session: Session) -> list[Block]:
    """One line per budget: limit, spent, left, reserved."""
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


def cost_table(panel: Panel, by: str) -> list[Block]:
    """Table of the cost by group with totals, then lines on the calls it leaves out.

    Args:
        panel: Session and period.
        by: A key of `ainb.usage.frames.spending.GROUPS`; only "all models" includes free models.
    """
    frame = spending.cost_by(
        panel.session.log, by, window=panel.window, only="sent" if by == spending.ALL_MODELS else "billed"
    )
    table = (
        [_cost_table(frame, by.removeprefix("all ").removesuffix("s"), panel.window.name)]
        if len(frame)
        else []
    )
    return [*table, *_left_out_lines(frame)]


def _cost_table(frame: pd.DataFrame, by: str, window: str) -> Table:
    dated = by == "day"
    counts = [
        Column("calls", lambda _, row: formatting.count(row["calls"]), "number"),
        Column("tokens in", lambda _, row: formatting.compact(row["input_tokens"]), "number"),
        Column("out", lambda _, row: formatting.compact(row["output_tokens"]), "number"),
    ]
    if spending.thinks(frame):
        counts.append(
            Column(
                "of it thinking", lambda _, row: formatting.compact(row["reasoning_output_tokens"]), "number"
            )
        )
    columns = [
        Column(by, lambda key, _: f"{key:%Y-%m-%d}" if dated else str(key), volatile=dated),
        *counts,
        Column("cost", lambda _, row: _cost(row), "number"),
        Column("share", lambda _, row: _share(row["share"]), "short"),
    ]
    total = spending.total(frame)
    note = "" if not total["unpriced"] else f"{counted(int(total['unpriced']), 'call')} unpriced"
    foot = (
        "all",
        *(column.value("all", total) for column in counts),
        formatting.dollars(total["cost_usd"], total["unpriced"]),
        Cell(text=note, tone="quiet"),
    )
    return Table.of(f"Cost by {by}, {window}", frame.iterrows(), columns, footer=foot, limit=ROWS)


def _left_out_lines(frame: pd.DataFrame) -> list[Block]:
    """Lines on the calls that a frame of `cost_by` leaves out, and how to show them."""
    lines = []
    if frame.attrs["free_calls"]:
        calls = counted(frame.attrs["free_calls"], "free call")
        models = formatting.listed(frame.attrs["free_models"])
        lines.append(
            f"{calls} to {models} left out; %ai cost --all, and the cost panel by all models, show them."
        )
    if frame.attrs["not_sent"]:
        calls = counted(frame.attrs["not_sent"], "call")
        lines.append(f"{calls} never sent and left out; %ai panel errors shows them.")
    return [Line([Cell(text=line, volatile=True)], "quiet") for line in lines]


def unpriced_lines(panel: Panel) -> list[Block]:
    """Advice for models without a price; an empty list when all have one."""
    models = spending.unpriced_models(panel.session.log, window=panel.window)
    return [Line([f"No price is known for {', '.join(models)}; {HINT}"], "quiet")] if models else []


def cost_chart(panel: Panel) -> list[Chart]:
    """Chart of the cumulative cost with its description; an empty list without cost."""
    frame = spending.cumulative_cost(panel.session.log, window=panel.window)
    known, unpriced = spending.final_total(frame)
    if not known:
        return []
    total = formatting.dollars(known, unpriced)
    now = panel.session.log.now()
    return [
        charts.chart(
            _cumulative(frame, panel.window, now),
            f"Cumulative cost, {panel.window.name}: {total} at the end.",
            span=charts.drawn(frame.index, panel.window.step, panel.window.span(now)).text,
        )
    ]


def _cumulative(frame: pd.DataFrame, window: Window, now: float) -> Figure:
    return charts.line(
        frame["total_usd"],
        step=window.step,
        unit="$",
        span=window.span(now),
        title="Cumulative cost",
        label="US dollars",
    )


def _share(share: Any) -> Cell:
    text = formatting.whole_percent(share)
    return Cell(text=text, tone="quiet", share=float(share) if text else None)


def _cost(row: pd.Series[Any]) -> Cell | str:
    if row["free"]:
        return Cell(text="free", tone="quiet")
    text = formatting.dollars(row["cost_usd"], row["unpriced"])
    return Cell(text="unknown", tone="warn") if text == "unknown" else text
