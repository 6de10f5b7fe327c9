"""Panels of batches: one batch while it runs and afterwards, and all batches of the home."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from ainb.batch import LoopWatcher
from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.panels import charts, formatting
from ainb.panels.base import ROWS, Panel
from ainb.panels.markup import Cell, Column, Table
from ainb.panels.output.slot import Slot, print_line
from ainb.panels.progress import progress_view
from ainb.panels.view import Block, Line, View
from ainb.plain import counted
from ainb.usage.frames.batches import outcomes
from ainb.usage.frames.board import model_now

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ainb.batch import Progress

StateRows = Callable[[], Sequence[Mapping[str, Any]]]
STATE_SECONDS = 1.0


class BatchPanel(LoopWatcher):
    """Panel of one batch: live while it runs, static afterwards; the ``watcher`` of ``Session.map``.

    Args:
        slot: Output that shows it.
        title: Title; empty means the title of the batch itself.
        budget_usd: Budget of the run in US dollars; None without one.
        state: Called once a second for circuit and limits, such as ``session.state``; None hides them.
        cancel: Action of a Cancel button; None means no button. Only for a batch that runs while the cell
            continues, because a blocking cell does not process the button's clicks.
        after_seconds: The panel of a shorter batch is shown only if rows failed or were not sent.
        clock: For the pauses between calls of `state`.
    """

    def __init__(
        self,
        slot: Slot,
        *,
        title: str = "",
        budget_usd: Decimal | float | None = None,
        state: StateRows | None = None,
        cancel: Callable[[], None] | None = None,
        after_seconds: float = 0.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._slot = slot
        self._title = title
        self._budget = budget_usd
        self._state = state
        self._cancel = cancel
        self._after_seconds = after_seconds
        self._clock = clock
        self._refreshed_at = float("-inf")
        self._model_state: Mapping[str, Any] = {}
        self._shown = False
        self.progress: Progress | None = None

    @classmethod
    def open(
        cls,
        *,
        title: str = "",
        budget_usd: Decimal | float | None = None,
        display: str = "auto",
        state: StateRows | None = None,
        cancel: Callable[[], None] | None = None,
        after_seconds: float = 0.0,
        clock: Clock = SYSTEM_CLOCK,
        on_error: Callable[[str], None] = print_line,
    ) -> Self:
        """A panel for a batch that the running cell is about to start; shown once the batch has started.

        Args:
            title: As for the class.
            budget_usd: As for the class.
            display: The option ``display`` of the session.
            state: As for the class.
            cancel: As for the class.
            after_seconds: As for the class.
            clock: As for the class.
            on_error: Called once with a message when display fails.
        """
        slot = Slot(display, clock=clock, on_error=on_error)
        slot.prepare()
        panel = cls(
            slot,
            title=title,
            budget_usd=budget_usd,
            state=state,
            cancel=cancel,
            after_seconds=after_seconds,
            clock=clock,
        )
        _newest_panel[:] = [panel]
        return panel

    def __call__(self, progress: Progress) -> None:
        """Show the state of the batch; called once to five times a second, on the engine's thread."""
        self.progress = progress
        ended = progress.state != "running"
        ended_badly = ended and (progress.failed or progress.rejected)
        if not self._shown and progress.elapsed_s < self._after_seconds and not ended_badly:
            return
        if ended:
            self._slot.close(self.view)
            return
        self._refresh_state(progress.model)
        if self._shown:
            self._slot.update(self.view)
        else:
            self._slot.open(self.view, cancel=self._cancel)
        self._shown = True

    def close(self) -> None:
        """Replace the live form by the static one, also of a running batch; no effect before the start."""
        if self.progress is not None:
            self._slot.close(self.view)

    @property
    def running(self) -> bool:
        """Whether the batch is still running and its panel is live."""
        ended = self.progress is not None and self.progress.state != "running"
        return not ended and not self._slot.closed

    def view(self) -> View:
        """View of the batch at this moment."""
        if self.progress is None:
            return View("ainb batch", [Line(["The batch has not begun."])])
        return progress_view(
            self.progress,
            title=self._title,
            budget_usd=self._budget,
            now=self._model_state,
            unix=self._clock.unix(),
        )

    def _refresh_state(self, model: str) -> None:
        now = self._clock.monotonic()
        if self._state is not None and self._slot.is_live and now - self._refreshed_at >= STATE_SECONDS:
            self._refreshed_at = now
            self._model_state = model_now(self._state(), model)


_newest_panel: list[BatchPanel] = []


def newest_batch_panel() -> BatchPanel | None:
    """Panel of the batch that was started last in this process, or None."""
    return _newest_panel[-1] if _newest_panel else None


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
        """Bar chart of the newest batches: rows answered and failed."""
        frame = outcomes(self.frame)
        return (
            charts.bars(frame, label="rows")
            if len(frame)
            else charts.empty("No batch has run in this home yet.")
        )

    def blocks(self, *, charts: bool = True) -> list[Block]:
        """The newest batch, then a table of all batches."""
        newest = newest_batch_panel()
        found: list[Block] = []
        if newest is not None and newest.progress is not None:
            found += newest.view().blocks
        frame = self.frame
        if not len(frame) and not found:
            return [Line(["No batch has run in this home yet; session.map(frame, prompt) starts one."])]
        now = self.session.runtime.clock.unix()
        columns = [
            Column("batch", lambda run: run.title),
            Column("model", lambda run: run.model),
            Column("started", lambda run: formatting.local_time(run.started_at, now), "short", volatile=True),
            Column("rows", lambda run: formatting.count(run.done), "number"),
            Column("failed", lambda run: formatting.count(run.failed), "number"),
            Column("cost", lambda run: formatting.dollars(run.cost_usd), "number"),
            Column("state", _state),
        ]
        many = Cell(text=self.summary_line(), volatile=True)
        runs = ((run,) for run in frame.itertuples())
        table = Table.of("Batches of this home", runs, columns, limit=ROWS, history=True)
        return [*found, Line([many], "quiet"), table]

    def summary_line(self) -> str:
        """Number of batches."""
        return counted(len(self.frame), "batch", plural="es")


def _state(run: Any) -> Cell | str:
    unfinished = formatting.is_unknown(run.finished_at)
    return Cell(text="unfinished", tone="warn") if unfinished else "finished"
