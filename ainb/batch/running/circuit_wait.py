"""Wait of a batch for an open circuit, with a limit of the total time."""

from __future__ import annotations

from ainb.batch.context import BatchContext
from ainb.batch.reporter import ProgressReporter
from ainb.errors import CircuitOpenError

LEAST_SECONDS = 0.05
USUAL_SECONDS = 1.0


class CircuitWait:
    """Wait of all rows until the circuit allows a probe.

    Args:
        context: Context of the batch.
        reporter: Shows the end of the wait.
    """

    def __init__(self, context: BatchContext, reporter: ProgressReporter) -> None:
        self._clock = context.clock
        self._notify = context.core.notify
        self._reporter = reporter
        self._left_seconds = context.options.circuit_wait_seconds

    async def wait(self, error: CircuitOpenError) -> bool:
        """Wait until the circuit allows a probe; False when the total time is used up."""
        progress, now = self._reporter.progress, self._clock.monotonic()
        wait = error.retry_after if error.retry_after is not None else USUAL_SECONDS
        wait = max(wait, LEAST_SECONDS)
        if progress.waiting_until is None or progress.waiting_until <= now:
            if wait > self._left_seconds:
                return False
            self._left_seconds -= wait
            progress.waiting_until = now + wait
            self._notify(f"{error}; the batch waits {wait:.0f} s for it", "circuit")
            self._reporter.update()
        progress.paused += 1
        try:
            await self._clock.sleep(max(0.0, progress.waiting_until - now))
        finally:
            progress.paused -= 1
        return True
