"""A batch while it runs and when it has ended, and the batches of this home."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.panels import formatting as words
from ainb.panels.base import ROWS, Panel
from ainb.panels.markup import Cell, Table
from ainb.panels.progress import progress_view
from ainb.panels.slot import Slot, say
from ainb.panels.view import Block, Line, View

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
            from ainb.usage.frames.board import model_now

            self._asked_at = now
            self._now = model_now(self._state(), model)


_newest: list[BatchPanel] = []


def newest() -> BatchPanel | None:
    """The batch that was started last in this process, or None."""
    return _newest[-1] if _newest else None


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
        from ainb.usage.frames.batches import outcomes

        frame = outcomes(self.frame)
        return charts.bars(frame) if len(frame) else charts.empty("No batch has run in this home yet.")

    def blocks(self, *, charts: bool = True) -> list[Block]:
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
