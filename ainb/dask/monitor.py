"""Monitor of a run in the notebook: adds up the workers' reports for panel, usage log and budget."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import weakref
from decimal import Decimal
from typing import Any

from ainb.batch import Progress, ProgressReporter, Watcher
from ainb.core import Core
from ainb.dask.reports import PartitionReport, add_up
from ainb.dask.runs import PartitionedRun
from ainb.engine import ENGINE
from ainb.fork import new_event

NANO = Decimal(1_000_000_000)


class RunMonitor:
    """Adds up the reports of a run, on the engine's loop.

    Args:
        core: Core of the notebook's session; held weakly.
        run: The run.
        watcher: Called with the progress at most five times a second, or None.
        title: Beginning of the prompt, for display.
        model: ``provider:model``.

    Attributes:
        progress: Sum over all partitions.
        ended: Set while every partition has ended.
    """

    def __init__(
        self, core: Core, run: PartitionedRun, *, watcher: Watcher | None, title: str, model: str
    ) -> None:
        self.run = run
        self.progress = Progress(title=title, model=model)
        self.ended = new_event()
        self._core = weakref.ref(core)
        self._watcher = watcher
        self._reporter: ProgressReporter | None = None
        self._ending: asyncio.Future[None] | None = None
        self._newest: dict[int, PartitionReport] = {}
        self._paid: dict[str, int] = {}
        self._shown: set[tuple[str, str]] = set()
        # With the cell's context, so that the watcher's output goes to the cell that started the run.
        self._context = contextvars.copy_context()

    @property
    def core(self) -> Core | None:
        """Core of the notebook's session; None once it was garbage collected."""
        return self._core()

    def take_text(self, event: tuple[Any, Any]) -> None:
        """Take an event of the scheduler; thread-safe."""
        self.take(PartitionReport.from_json(event[1]), elsewhere=True)

    def take(self, report: PartitionReport, *, elsewhere: bool = False) -> None:
        """Take a report; thread-safe.

        Args:
            report: State of a partition.
            elsewhere: Whether the calls were made by another session than the notebook's.
        """
        ENGINE.loop().call_soon_threadsafe(self._take, report, elsewhere, context=self._context)

    def _take(self, report: PartitionReport, elsewhere: bool) -> None:  # noqa: FBT001 - call_soon_threadsafe passes positional arguments
        self._newest[report.partition] = report
        cost = report.counts["cost_nano_usd"]
        more = cost - self._paid.get(report.attempt, 0)
        self._paid[report.attempt] = cost
        add_up(self._newest, self.progress, partitions=self.run.partitions)
        self.progress.cost_nano_usd = sum(self._paid.values())
        if elsewhere:
            self._forward(report, Decimal(more) / NANO)
        self._update()

    def _forward(self, report: PartitionReport, cost: Decimal) -> None:
        core = self.core
        if core is None:
            return
        for kind, text in report.notices:
            if (kind, text) not in self._shown:
                self._shown.add((kind, text))
                core.notify(text, kind)
        core.take_over(report.rows, cost)

    def _update(self) -> None:
        core = self.core
        if self._reporter is None and core is not None:
            self._reporter = ProgressReporter(self.progress, self._watcher, core.runtime.clock)
        reporter, last = self._reporter, self.progress.state != "running"
        if reporter is not None:
            reporter.update(last=last)
        if not last:
            self.ended.clear()
        elif reporter is None:
            self.ended.set()
        else:
            self._reporter = None  # the frame may be computed again
            self._ending = asyncio.ensure_future(self._end(reporter))

    async def _end(self, reporter: ProgressReporter) -> None:
        await reporter.finish()
        if self.progress.state != "running":
            self.ended.set()


_of_cores: weakref.WeakKeyDictionary[Core, dict[str, RunMonitor]] = weakref.WeakKeyDictionary()


def register(core: Core, monitor: RunMonitor) -> None:
    """Subscribe to the reports of the cluster in use, for as long as the session lives."""
    _of_cores.setdefault(core, {})[monitor.run.run_id] = monitor
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        with contextlib.suppress(ValueError):  # no client: the run stays in this process
            distributed.default_client().subscribe_topic(topic_of(monitor.run.run_id), monitor.take_text)


def latest(core: Core) -> RunMonitor | None:
    """Monitor of the newest run of a session, or None."""
    runs = _of_cores.get(core)
    return next(reversed(runs.values()), None) if runs else None


def find(run_id: str) -> RunMonitor | None:
    """Monitor of a run that was started in this process; None elsewhere or without its session."""
    found = (runs[run_id] for runs in list(_of_cores.values()) if run_id in runs)
    return next((monitor for monitor in found if monitor.core is not None), None)


def topic_of(run_id: str) -> str:
    """Topic of a run's reports at the scheduler."""
    return f"ainb-{run_id}"
