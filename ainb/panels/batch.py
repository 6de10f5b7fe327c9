"""A batch while it runs and when it has ended, and the batches of this home."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.panels import words
from ainb.panels.base import ROWS, Panel
from ainb.panels.markup import Cell, Table
from ainb.panels.slot import Slot, say
from ainb.panels.view import BETWEEN, Bar, Block, Line, View

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ainb.batch.progress import Progress
    from ainb.engine import Job

StateRows = Callable[[], Sequence[Mapping[str, Any]]]
STATE_SECONDS = 1.0


class BatchPanel:
    """Watches one batch: live while it runs, a static bundle when it has ended; hand it to ``Session.map`` as ``watcher``.

    Args:
        slot: Where it is shown.
        title: What the batch does; empty means the title of the batch itself.
        budget_usd: Money that the whole run may cost; None means no budget of its own.
        state: Asked once a second for circuit and limits, such as ``session.state``; None shows none.
        clock: Where time comes from.
    """

    def __init__(
        self,
        slot: Slot,
        *,
        title: str = "",
        budget_usd: Decimal | float | None = None,
        state: StateRows | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._slot = slot
        self._title = title
        self._budget = budget_usd
        self._state = state
        self._clock = clock
        self._asked_at = float("-inf")
        self._now: Mapping[str, Any] = {}
        self.progress: Progress | None = None
        self.job: Job[Any] | None = None
        self._background = False

    @classmethod
    def open(
        cls,
        *,
        title: str = "",
        budget_usd: Decimal | float | None = None,
        display: str = "auto",
        state: StateRows | None = None,
        background: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        complain: Callable[[str], None] = say,
    ) -> Self:
        """Get ready to watch a batch that the running cell is about to start; it is shown when it has begun.

        Args:
            title: As for the class.
            budget_usd: As for the class.
            display: The option ``display`` of the session.
            state: As for the class.
            background: Whether the cell goes on while the batch runs. Only then is there a Cancel button, for a cell that blocks cannot
                hear it; it cancels `job`, which is set once the batch is submitted.
            clock: Where time comes from.
            complain: Told once when showing fails.
        """
        slot = Slot(display, clock=clock, complain=complain)
        slot.prepare()
        panel = cls(slot, title=title, budget_usd=budget_usd, state=state, clock=clock)
        panel._background = background
        _newest[:] = [panel]
        return panel

    def __call__(self, progress: Progress) -> None:
        """Take the state of the batch; called at most five times a second, on the engine's thread."""
        first, self.progress = self.progress is None, progress
        if progress.state != "running":
            self._slot.close(self.view)
            return
        self._ask_state(progress.model)
        if first:
            self._slot.open(self.view, cancel=self._cancel if self._background else None)
        else:
            self._slot.update(self.view)

    def close(self) -> None:
        """Replace the live form by the static one, whatever the batch is doing; nothing is shown when it has not begun."""
        if self.progress is not None:
            self._slot.close(self.view)

    @property
    def running(self) -> bool:
        """Whether the batch has not ended and is still shown."""
        return not self._slot.closed

    def view(self) -> View:
        """The batch at this moment."""
        if self.progress is None:
            return View("ainb batch", [Line(["The batch has not begun."])])
        return progress_view(self.progress, title=self._title, budget_usd=self._budget, now=self._now)

    def _cancel(self) -> None:
        if self.job is not None:
            self.job.cancel()

    def _ask_state(self, model: str) -> None:
        now = self._clock.monotonic()
        if self._state is not None and self._slot.is_live and now - self._asked_at >= STATE_SECONDS:
            from ainb.usage.board import model_now

            self._asked_at = now
            self._now = model_now(self._state(), model)


_newest: list[BatchPanel] = []


def newest() -> BatchPanel | None:
    """The batch that was started last in this process, or None."""
    return _newest[-1] if _newest else None


def progress_view(
    progress: Progress,
    *,
    title: str = "",
    budget_usd: Decimal | float | None = None,
    now: Mapping[str, Any] | None = None,
) -> View:
    """A batch at one moment.

    Args:
        progress: Its counts.
        title: What it does; empty means the batch's own title.
        budget_usd: Money that the whole run may cost, or None.
        now: The model's row of `Session.state`, while it runs.
    """
    running = progress.state == "running"
    title = title or progress.title or "batch"
    gist = [
        _headline(progress),
        Line(_counts(progress), "quiet"),
        Line(_money(progress, budget_usd), "quiet"),
    ]
    headline, counts, money = gist
    bar = [] if progress.state == "finished" else [Bar("rows done", progress.done, progress.total)]
    under_way = [Line(_under_way(progress, now or {}), "quiet")] if running else []
    blocks: list[Block] = [
        Line([title, Cell(text=progress.model, tone="quiet")], "title"),
        headline,
        *bar,
        counts,
        *under_way,
        money,
        *_failures(progress),
    ]
    return View(
        label=f"ainb batch {title}",
        blocks=blocks,
        line=_one_line(gist),
        steady_line=_one_line(gist, steady=True),
        status=_status(progress, headline.text(steady=True)),
    )


def _one_line(gist: Sequence[Line], *, steady: bool = False) -> str:
    texts = (line.text(steady=steady) for line in gist)
    return f"ainb: {BETWEEN.join(text for text in texts if text)}"


def _of(progress: Progress) -> str:
    return f"{progress.done:,} of {progress.total:,}" if progress.total is not None else f"{progress.done:,}"


def _headline(progress: Progress) -> Line:
    rows = Cell(text=f"{_of(progress)} rows", strong=True)
    if progress.state == "running":
        left = "" if progress.left_s is None else f"about {words.seconds(progress.left_s)} left"
        return Line([rows, left])
    took = [Cell(text=f"in {words.seconds(progress.elapsed_s)}", run=True)]
    if progress.rows_per_s is not None:
        took.append(Cell(text=f"{progress.rows_per_s:.1f} rows/s", run=True))
    ended = {"finished": Cell(text="done", tone="good"), "failed": Cell(text="ended by an error", tone="bad")}
    return Line([rows, ended.get(progress.state) or Cell(text=_why_stopped(progress), tone="warn"), *took])


def _why_stopped(progress: Progress) -> str:
    if progress.total is not None and progress.done >= progress.total:
        return f"{progress.rejected:,} not sent; run it again to send these"
    return "stopped; run it again to go on"


def _counts(progress: Progress) -> list[Any]:
    """How the rows ended; where an answer came from differs from run to run."""
    pieces: list[Any] = [f"{progress.succeeded:,} answered"]
    if progress.cached:
        pieces.append(Cell(text=f"{progress.cached:,} of them from cache", run=True))
    if progress.resumed:
        pieces.append(Cell(text=f"{progress.resumed:,} of them by an earlier run", run=True))
    if progress.failed:
        pieces.append(Cell(text=f"{progress.failed:,} failed", tone="bad"))
    if progress.rejected:
        pieces.append(Cell(text=f"{progress.rejected:,} not sent", tone="warn"))
    return pieces


def _under_way(progress: Progress, now: Mapping[str, Any]) -> list[Any]:
    most = f" of at most {progress.concurrency:,}" if progress.concurrency else ""
    pieces: list[Any] = [f"{progress.in_flight:,} in flight{most}"]
    if progress.rows_per_s is not None:
        pieces.append(f"{progress.rows_per_s:.1f} rows/s")
    if now.get("requests_limit"):
        pieces.append(f"rate limit {words.compact(now['requests_limit'])} requests/min")
    if now.get("tokens_limit"):
        pieces.append(f"{words.compact(now['tokens_limit'])} tokens/min")
    if now.get("waiting"):
        pieces.append(f"{now['waiting']:,} waiting for a permit")
    if now.get("circuit"):
        state = words.circuit(now["circuit"], now.get("probe_in_s"))
        pieces.append(Cell(text=f"circuit {state}", tone=state.tone))
    elif progress.waiting_until is not None:
        pieces.append(Cell(text="waits for an open circuit", tone="warn"))
    return pieces


def _money(progress: Progress, budget_usd: Decimal | float | None) -> list[Any]:
    """Tokens and money; money differs from run to run, for answers from the cache cost nothing."""
    tokens = f"{words.compact(progress.input_tokens)} tokens in, {words.compact(progress.output_tokens)} out"
    spent = words.nano_dollars(progress.cost_nano_usd)
    if progress.unpriced:
        rows = words.counted(progress.unpriced, "row")
        money = [f"{spent} known", f"cost of {rows} unknown"]
    elif progress.state != "running":
        money = [f"{spent} in all"]
    elif progress.projected_nano_usd is None:
        money = [f"{spent} so far"]
    else:
        money = [f"{spent} so far", f"about {words.nano_dollars(progress.projected_nano_usd)} in all"]
    budget = [] if budget_usd is None else [f"budget {words.dollars(budget_usd)}"]
    return [tokens, *(Cell(text=text, run=True) for text in money), *budget]


def _failures(progress: Progress) -> list[Block]:
    from ainb.usage.failures import describe

    if not progress.errors:
        return []
    rows = [
        (describe(kind)[0], f"{number:,}", describe(kind)[1])
        for kind, number in progress.errors.most_common()
    ]
    kinds = Table(
        caption="What failed", columns=("kind", "rows", "what to do"), rows=rows, numbers={1}, limit=ROWS
    )
    # Which are the newest depends on which rows ended last, unless they are all there are.
    all_shown = len(progress.last_errors) == progress.errors.total()
    last = [
        Line([Cell(text=f"row {position:,} · {kind}: {message}", run=not all_shown)], "quiet")
        for position, kind, message in sorted(progress.last_errors)
    ]
    return [kinds, *last]


def _status(progress: Progress, headline: str) -> str:
    """What a screen reader is told: at quarters and at the end."""
    if progress.state != "running":
        return f"ainb batch: {headline}"
    if not progress.total:
        return "ainb batch: running"
    parts = ("started", "a quarter done", "half done", "three quarters done", "all rows done")
    return f"ainb batch of {progress.total:,} rows: {parts[min(progress.quarters, len(parts) - 1)]}"


class BatchesPanel(Panel):
    """The newest batch of this process, and all batches of the home."""

    name = "batch"
    title = "Batches"
    by = ""
    groups = ()
    windows = ()

    @property
    def frame(self) -> pd.DataFrame:
        """The batches of this home, newest first; see `Session.runs`."""
        return self.session.runs()

    def figure(self) -> Figure:
        """Rows of the last batches: answered and failed, a bar a batch."""
        from ainb.panels import charts
        from ainb.usage.batches import outcomes

        frame = outcomes(self.frame)
        return charts.bars(frame) if len(frame) else charts.empty("No batch has run in this home yet.")

    def blocks(self) -> list[Block]:
        """The newest batch, then the table of all."""
        watched = newest()
        found: list[Block] = []
        if watched is not None and watched.progress is not None:
            found += watched.view().blocks
        frame = self.frame
        if not len(frame) and not found:
            return [Line(["No batch has run in this home yet; session.map(frame, prompt) starts one."])]
        now = self.session.runtime.clock.unix()
        rows = [
            (
                run.title,
                run.model,
                words.when(run.started_at, now),
                words.count(run.done),
                words.count(run.failed),
                words.dollars(run.cost_usd),
                "finished" if not words.is_unknown(run.finished_at) else Cell(text="unfinished", tone="warn"),
            )
            for run in frame.itertuples()
        ]
        columns = ("batch", "model", "started", "rows", "failed", "cost", "state")
        many = Cell(text=self.one_line(), run=True)
        return [
            *found,
            Line([many], "quiet"),
            Table(
                caption="Batches of this home",
                columns=columns,
                rows=rows,
                numbers={3, 4, 5},
                run={2},
                whole={2},
                limit=ROWS,
                history=True,
            ),
        ]

    def one_line(self) -> str:
        """How many there are."""
        return words.counted(len(self.frame), "batch", plural="es")
