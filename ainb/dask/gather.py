"""The notebook's side of a run: what the workers report, added up for the panel, the log and the budget."""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
import weakref
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ainb.batch.progress import Progress, Ticker, Watcher
from ainb.dask.reports import Report, add_up
from ainb.dask.runs import Run
from ainb.engine import ENGINE
from ainb.events import Notice

if TYPE_CHECKING:
    from ainb.core import Core

NANO = Decimal(1_000_000_000)


class Gather:
    """Adds up what is reported of a run; everything happens on the engine's loop.

    Args:
        core: The notebook's; not kept alive.
        run: The run.
        watcher: Told of progress at most five times a second; None means nobody.
        title: What the batch does, for people.
        model: ``provider:model``.

    Attributes:
        progress: The sum.
        ended: Set while every partition has ended.
    """

    def __init__(self, core: Core, run: Run, *, watcher: Watcher | None, title: str, model: str) -> None:
        self.run = run
        self.progress = Progress(title=title, model=model)
        self.ended = threading.Event()
        self._core = weakref.ref(core)
        self._watcher = watcher
        self._ticker: Ticker | None = None
        self._newest: dict[int, Report] = {}
        self._paid: dict[str, int] = {}
        self._said: set[tuple[str, str]] = set()
        # Its output belongs to the cell that asked.
        self._context = contextvars.copy_context()

    @property
    def core(self) -> Core | None:
        """The notebook's session, while there is one."""
        return self._core()

    def take_text(self, event: tuple[Any, Any]) -> None:
        """Take what the scheduler passes on; from any thread."""
        self.take(Report.from_json(event[1]), elsewhere=True)

    def take(self, report: Report, *, elsewhere: bool = False) -> None:
        """Take a report; from any thread.

        Args:
            report: The news.
            elsewhere: Whether the calls were made by another session than the notebook's.
        """
        ENGINE.loop().call_soon_threadsafe(self._take, report, elsewhere, context=self._context)

    def _take(self, report: Report, elsewhere: bool) -> None:  # noqa: FBT001 - handed over by the loop
        self._newest[report.partition] = report
        cost = report.counts["cost_nano_usd"]
        more = cost - self._paid.get(report.attempt, 0)
        self._paid[report.attempt] = cost
        add_up(self._newest, self.progress, partitions=self.run.partitions)
        self.progress.cost_nano_usd = sum(self._paid.values())
        if elsewhere:
            self._pass_on(report, Decimal(more) / NANO)
        self._tick()

    def _pass_on(self, report: Report, cost: Decimal) -> None:
        core = self.core
        if core is None:
            return
        for kind, text in report.notices:
            if (kind, text) not in self._said:
                self._said.add((kind, text))
                core.runtime.sink(Notice(text, kind))
        core.take_over(report.rows, cost)

    def _tick(self) -> None:
        core = self.core
        if self._ticker is None and core is not None:
            self._ticker = Ticker(self.progress, self._watcher, core.runtime.clock)
        last = self.progress.state != "running"
        if self._ticker is not None:
            self._ticker.tick(last=last)
        if last:
            self.ended.set()
        else:
            self.ended.clear()


_of_cores: weakref.WeakKeyDictionary[Core, dict[str, Gather]] = weakref.WeakKeyDictionary()


def adopt(core: Core, gather: Gather) -> None:
    """Listen to the workers of the cluster that is in use, for as long as the session lives."""
    _of_cores.setdefault(core, {})[gather.run.run_id] = gather
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        with contextlib.suppress(ValueError):  # there is no client; everything will run in this process
            distributed.default_client().subscribe_topic(topic_of(gather.run.run_id), gather.take_text)


def latest(core: Core) -> Gather | None:
    """The newest run of a session, or None."""
    runs = _of_cores.get(core)
    return next(reversed(runs.values()), None) if runs else None


def find(run_id: str) -> Gather | None:
    """The run, where its notebook is this very process and its session lives; else None."""
    found = (runs[run_id] for runs in list(_of_cores.values()) if run_id in runs)
    return next((gather for gather in found if gather.core is not None), None)


def topic_of(run_id: str) -> str:
    """What a run's reports are called at the scheduler."""
    return f"ainb-{run_id}"
