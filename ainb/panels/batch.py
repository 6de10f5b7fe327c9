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
from ainb.panels.view import Bar, Block, Line, View

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

    @classmethod
    def open(
        cls,
        *,
        title: str = "",
        budget_usd: Decimal | float | None = None,
        display: str = "auto",
        state: StateRows | None = None,
        job: Job[Any] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        complain: Callable[[str], None] = say,
    ) -> Self:
        """Make a place for a batch in the cell that is running.

        Args:
            title: As for the class.
            budget_usd: As for the class.
            display: The option ``display`` of the session.
            state: As for the class.
            job: The background job, where there is one: only then is there a Cancel button, for a cell that blocks cannot hear it.
            clock: Where time comes from.
            complain: Told once when showing fails.
        """
        panel = cls(
            Slot(display, clock=clock, complain=complain),
            title=title,
            budget_usd=budget_usd,
            state=state,
            clock=clock,
        )
        panel._slot.open(panel._waiting_view, cancel=None if job is None else job.cancel)
        _newest.append(panel)
        del _newest[:-1]
        return panel

    def __call__(self, progress: Progress) -> None:
        """Take the state of the batch; called at most five times a second, on the engine's thread."""
        self.progress = progress
        if progress.state == "running":
            self._ask_state(progress.model)
            self._slot.update(self.view)
        else:
            self._slot.close(self.view)

    def close(self) -> None:
        """Replace the live form by the static one, whatever the batch is doing."""
        self._slot.close(self._waiting_view if self.progress is None else self.view)

    @property
    def running(self) -> bool:
        """Whether the batch has not ended and is still shown."""
        return not self._slot.closed

    def view(self) -> View:
        """The batch at this moment."""
        if self.progress is None:
            return self._waiting_view()
        return progress_view(self.progress, title=self._title, budget_usd=self._budget, now=self._now)

    def _waiting_view(self) -> View:
        title = self._title or "batch"
        return View(
            f"ainb batch {title}",
            [Line([title], "title"), Line(["starting"], "quiet")],
            "ainb: starting",
            "ainb batch: starting",
        )

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
    blocks: list[Block] = [
        Line([title, Cell(text=progress.model, tone="quiet")], "title"),
        _headline(progress),
    ]
    if running or progress.state != "finished":
        blocks.append(Bar("rows done", progress.done, progress.total))
    blocks.append(Line(_counts(progress), "quiet"))
    if running:
        blocks.append(Line(_under_way(progress, now or {}), "quiet"))
    blocks.append(Line(_money(progress, budget_usd), "quiet"))
    blocks += _failures(progress)
    headline = blocks[1].text()
    return View(
        label=f"ainb batch {title}",
        blocks=blocks,
        line="ainb: "
        + " · ".join(
            [headline, *map(str, _counts(progress)[:3]), *map(str, _money(progress, budget_usd)[:1])]
        ),
        status=_status(progress, headline),
    )


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
    pieces: list[Any] = [f"{progress.answered:,} answered"]
    for number, what, tone in (
        (progress.cached, "from cache", ""),
        (progress.resumed, "done before", ""),
        (progress.failed, "failed", "bad"),
        (progress.rejected, "not sent", "warn"),
    ):
        if number:
            pieces.append(Cell(text=f"{number:,} {what}", tone=tone))  # type: ignore[arg-type]  # the tones above
    if progress.input_tokens or progress.output_tokens:
        pieces.append(
            f"{words.compact(progress.input_tokens)} tokens in, {words.compact(progress.output_tokens)} out"
        )
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
    spent = words.nano_dollars(progress.cost_nano_usd)
    pieces: list[Any] = []
    if progress.unpriced:
        unknown = Cell(text=f"cost of {words.counted(progress.unpriced, 'row')} unknown", tone="warn")
        pieces += [f"{spent} known", unknown]
    elif progress.state == "running":
        pieces.append(f"{spent} so far")
        if progress.projected_nano_usd is not None:
            pieces.append(f"about {words.nano_dollars(progress.projected_nano_usd)} in all")
    else:
        pieces.append(f"{spent} in all")
    if budget_usd is not None:
        pieces.append(f"budget {words.dollars(budget_usd)}")
    return pieces


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
        if not len(frame):
            return found or [
                Line(["No batch has run in this home yet; session.map(frame, prompt) starts one."])
            ]
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
        return [
            *found,
            Table(
                caption="Batches of this home",
                columns=columns,
                rows=rows,
                numbers={3, 4, 5},
                run={2},
                whole={2},
                limit=ROWS,
            ),
        ]

    def one_line(self) -> str:
        """How many there are."""
        return words.counted(len(self.frame), "batch", plural="es")
