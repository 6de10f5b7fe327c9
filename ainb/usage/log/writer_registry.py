"""Registry of this process's writers: one per log file, flushed together at exit, closed before a fork."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.stores.fork import at_worker_exit
from ainb.usage.log.termination import flush_at_sigterm
from ainb.usage.log.writer import Writer, all_writers

EXIT_SECONDS = 3.0
_SHARED: weakref.WeakValueDictionary[Path, Writer] = weakref.WeakValueDictionary()
_SHARING = threading.Lock()


def shared_writer(path: Path, clock: Clock, *, max_rows: int | None, max_age_days: float | None) -> Writer:
    """The one writer of a file in this process; the bounds of the first call count."""
    place = path.absolute()
    flush_at_sigterm(_flush_queued)
    with _SHARING:
        writer = _SHARED.get(place)
        if writer is None:
            writer = _SHARED[place] = Writer(place, clock, max_rows=max_rows, max_age_days=max_age_days)
        return writer


def _flush_queued() -> None:
    """Have all writers flush at the same time, for at most EXIT_SECONDS in all."""
    threads = [threading.Thread(target=writer.flush, args=(EXIT_SECONDS,)) for writer in list(all_writers)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    for thread in threads:
        thread.join(EXIT_SECONDS)


def _for_each_writer(act: Callable[[Writer], None]) -> Callable[[], None]:
    def run() -> None:
        for writer in list(all_writers):
            act(writer)

    return run


def _flush_all(clock: Clock = SYSTEM_CLOCK) -> None:
    """At exit: flush all writers by their own threads at the same time, for at most EXIT_SECONDS in all."""
    until = clock.monotonic() + EXIT_SECONDS
    writers = list(all_writers)
    for done in [writer.flush_at_exit() for writer in writers]:
        if done is not None:
            done.wait(max(0.0, until - clock.monotonic()))
    for writer in writers:
        writer.close_at_exit(is_late=clock.monotonic() >= until)


atexit.register(_flush_all)
at_worker_exit(_flush_queued)
os.register_at_fork(
    before=_for_each_writer(Writer.before_fork),
    after_in_parent=_for_each_writer(Writer.after_fork_in_parent),
    after_in_child=_for_each_writer(Writer.after_fork_in_child),
)
