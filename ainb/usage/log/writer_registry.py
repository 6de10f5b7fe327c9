"""Registry of this process's writers, one per log file; flushed at exit."""

from __future__ import annotations

import atexit
import threading
import weakref
from pathlib import Path

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.fork import at_worker_exit, new_lock
from ainb.usage.log.options import Log
from ainb.usage.log.termination import flush_at_sigterm
from ainb.usage.log.writer import Writer, all_writers

EXIT_SECONDS = 3.0
_SHARED: weakref.WeakValueDictionary[Path, Writer] = weakref.WeakValueDictionary()
_sharing = new_lock()


def shared_writer(path: Path, clock: Clock, options: Log) -> Writer:
    """The only writer of a file in this process; the options of the first call apply."""
    place = path.absolute()
    flush_at_sigterm(_flush_queued)
    with _sharing:
        writer = _SHARED.get(place)
        if writer is None:
            writer = _SHARED[place] = Writer(place, clock, options)
        return writer


def _flush_queued() -> None:
    """Flush all writers in parallel, for at most EXIT_SECONDS in total."""
    threads = [threading.Thread(target=writer.flush, args=(EXIT_SECONDS,)) for writer in list(all_writers)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    for thread in threads:
        thread.join(EXIT_SECONDS)


def _stop_all(clock: Clock = SYSTEM_CLOCK) -> None:
    """Stop all writers in parallel at exit, for at most EXIT_SECONDS in total."""
    until = clock.monotonic() + EXIT_SECONDS
    writers = list(all_writers)
    for writer in writers:
        writer.begin_stop(at_exit=True)
    for writer in writers:
        writer.finish_stop(max(0.0, until - clock.monotonic()))


atexit.register(_stop_all)
at_worker_exit(_flush_queued)
