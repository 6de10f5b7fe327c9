"""Faults of the disk store: a pause in the use of the disk, and one notice."""

from __future__ import annotations

from ainb.clock import Clock
from ainb.events import Notice, Sink

REST_SECONDS = 30.0


class TamperedRowError(Exception):
    """A row that this package did not write."""


class Faults:
    """Keeps a fault until a thread that uses the store reports it.

    The writer thread has no cell to print to, so it only records the fault.

    Args:
        sink: Receives one notice.
    """

    def __init__(self, clock: Clock, sink: Sink) -> None:
        self._clock = clock
        self._sink = sink
        self._paused_until: float | None = None
        self._reported = False
        self._noted: str | None = None

    def is_paused(self) -> bool:
        """Whether the disk failed recently and is not used."""
        return self._paused_until is not None and self._clock.monotonic() < self._paused_until

    def pause(self, error: Exception) -> None:
        """Record a failure of the disk, which is then not used for 30 s."""
        self._paused_until = self._clock.monotonic() + REST_SECONDS
        # diskcache's Timeout has no text; the error of SQLite is its context.
        reason = " ".join((str(error) or str(error.__context__ or "")).split()) or type(error).__name__
        self.note(
            f"the disk cache cannot be used ({reason}); answers are kept in memory, and the disk is tried "
            f"again after {REST_SECONDS:.0f} s"
        )

    def resume(self) -> None:
        """Use the disk again at once."""
        self._paused_until = None

    def note(self, fault: str) -> None:
        """Record a fault that does not stop the store."""
        if self._noted is None:
            self._noted = fault

    def report(self) -> None:
        """Send a recorded fault to the sink, unless one was sent before."""
        fault, self._noted = self._noted, None
        if fault is not None and not self._reported:
            self._reported = True
            self._sink(Notice(text=f"{fault}; see %ai cache", kind="cache"))
