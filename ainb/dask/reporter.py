"""Reporter of one partition: sends its progress, notices and usage rows to the notebook."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Callable
from typing import Any, Self

from ainb.batch import Progress
from ainb.core import Core
from ainb.dask.monitor import topic_of
from ainb.dask.reports import COUNTS, PartitionReport
from ainb.events import CallFinished, Event, Notice
from ainb.usage.rows import Row, build_row

REPORT_SECONDS = 0.5

_active: list[PartitionReporter] = []


class PartitionReporter:
    """Reports a partition at most twice a second and when it ends; active inside a ``with`` block.

    Args:
        deliver: Takes a report; thread-safe.
        run_id: The run.
        number: The partition.
        ships_rows: Whether usage rows are part of the report.

    Attributes:
        core: Core of the session that sends the rows; None until it is made.
    """

    def __init__(
        self, deliver: Callable[[PartitionReport], None], *, run_id: str, number: int, ships_rows: bool
    ) -> None:
        self.run_id = run_id
        self.core: Core | None = None
        self._deliver = deliver
        self._number = number
        self._ships_rows = ships_rows
        self._attempt = secrets.token_hex(4)
        self._progress: Progress | None = None
        self._notices: list[tuple[str, str]] = []
        self._rows: list[Row] = []
        self._reported_at = float("-inf")

    def __enter__(self) -> Self:
        _active.append(self)
        return self

    def __exit__(self, *_error: object) -> None:
        _active.remove(self)
        self.send()

    def watch(self, progress: Progress) -> None:
        """Watcher of the partition's batch."""
        self._progress = progress
        if self.core is None or progress.state != "running":
            return  # the last report is sent on exit
        now = self.core.runtime.clock.monotonic()
        if now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            self.send()

    def take(self, event: Event) -> bool:
        """Add an event of the pipeline; returns whether it is a call of this run."""
        if isinstance(event, Notice):
            self._notices.append((event.kind, event.text))
            return False
        if event.call.options.batch_id != self.run_id:
            return False
        if self._ships_rows and self.core is not None:
            log = self.core.log
            self._rows.append(build_row(event, session_id=log.session_id, content=log.options.content))
        return True

    def send(self) -> None:
        """Send a report of the partition at this moment."""
        progress = self._progress
        if progress is None:
            return
        notices, self._notices = self._notices, []
        rows, self._rows = self._rows, []
        report = PartitionReport(
            partition=self._number,
            attempt=self._attempt,
            counts={name: getattr(progress, name) for name in COUNTS},
            total=progress.total,
            errors=[(kind, status, count) for (kind, status), count in progress.kinds.items()],
            last_errors=list(progress.last_errors),
            state=progress.state,
            notices=notices,
            rows=rows,
        )
        self._deliver(report)


def dispatch(event: Event) -> None:
    """Sink of the workers' sessions: notices go to all active reporters, a call to one of its run."""
    for reporter in tuple(_active):
        if reporter.take(event) and isinstance(event, CallFinished):
            return


def current_worker() -> Any:
    """The Dask worker whose task is running; None outside of one."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        with contextlib.suppress(ValueError):
            return distributed.get_worker()
    return None


def delivery(run_id: str) -> Callable[[PartitionReport], None]:
    """A function that sends reports through the scheduler, without which none can reach the notebook."""
    worker = current_worker()
    if worker is None:
        return lambda _report: None
    return lambda report: worker.log_event(topic_of(run_id), report.to_json())
