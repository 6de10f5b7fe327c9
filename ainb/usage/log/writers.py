"""All writers of the process: one a log file, settled together at exit, closed before a fork."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.usage.log.writer import Writer, live

EXIT_SECONDS = 3.0
_SHARED: weakref.WeakValueDictionary[Path, Writer] = weakref.WeakValueDictionary()
_SHARING = threading.Lock()


def shared_writer(path: Path, clock: Clock, *, max_rows: int | None, max_age_days: float | None) -> Writer:
    """The process's one writer of that file; the bounds are those of whoever asked first."""
    place = path.absolute()
    with _SHARING:
        writer = _SHARED.get(place)
        if writer is None:
            writer = _SHARED[place] = Writer(place, clock, max_rows=max_rows, max_age_days=max_age_days)
        return writer


def _each(act: Callable[[Writer], None]) -> Callable[[], None]:
    def run() -> None:
        for writer in list(live):
            act(writer)

    return run


def _settle_all(clock: Clock = SYSTEM_CLOCK) -> None:
    """At exit: every writer's own thread writes what is queued, all at the same time and for EXIT_SECONDS together."""
    until = clock.monotonic() + EXIT_SECONDS
    writers = list(live)
    for done in [writer.settle() for writer in writers]:
        if done is not None:
            done.wait(max(0.0, until - clock.monotonic()))
    for writer in writers:
        writer.end(is_late=clock.monotonic() >= until)


atexit.register(_settle_all)
os.register_at_fork(
    before=_each(Writer.before_fork),
    after_in_parent=_each(Writer.after_fork_in_parent),
    after_in_child=_each(Writer.after_fork_in_child),
)
