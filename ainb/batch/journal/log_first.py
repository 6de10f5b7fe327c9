"""Commit order of log and journal: the usage log holds a call before the journal holds its row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ainb.clock import Clock
    from ainb.usage.log import UsageLog

FLUSH_SECONDS = 1.0
SKIP_SECONDS = 10.0


class LogFirst:
    """Flushes the usage log before each commit of the journal, on the thread of the commit.

    After a kill the journal then has no row whose call is missing from the log. A log that cannot be written
    does not delay the batch: it is not flushed again for SKIP_SECONDS.
    """

    def __init__(self, log: UsageLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._skip_until = float("-inf")

    def __call__(self) -> None:
        """Wait until all finished calls are in the log, at most FLUSH_SECONDS."""
        if self._clock.monotonic() >= self._skip_until and not self._log.flush(FLUSH_SECONDS):
            self._skip_until = self._clock.monotonic() + SKIP_SECONDS
