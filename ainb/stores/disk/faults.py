"""What a store does about its own faults: leave the disk alone for a while, and say so once."""

from __future__ import annotations

from ainb.clock import Clock
from ainb.events import Notice, Sink

REST_SECONDS = 30.0


class Faults:
    """Remembers a fault until a thread that uses the store comes by to tell the person.

    A writer thread has no cell to print to, so it only notes what went wrong.

    Args:
        clock: Where time comes from.
        sink: Who is told, once.
    """

    def __init__(self, clock: Clock, sink: Sink) -> None:
        self._clock = clock
        self._sink = sink
        self._rest_until: float | None = None
        self._told = False
        self.noted: str | None = None

    def is_resting(self) -> bool:
        """Whether the disk failed a moment ago and is left alone."""
        return self._rest_until is not None and self._clock.monotonic() < self._rest_until

    def rest(self, error: Exception) -> None:
        """The disk failed: leave it alone for 30 s."""
        self._rest_until = self._clock.monotonic() + REST_SECONDS
        # diskcache's Timeout is empty; what SQLite said stands behind it.
        reason = " ".join((str(error) or str(error.__context__ or "")).split()) or type(error).__name__
        self.note(f"the disk cache cannot be used just now ({reason}); answers are kept in memory meanwhile")

    def wake(self) -> None:
        """Try the disk again at once."""
        self._rest_until = None

    def note(self, fault: str) -> None:
        """Something went wrong that does not stop the store."""
        if not self._told and self.noted is None:
            self.noted = fault

    def tell(self) -> None:
        """Tell what was noted, unless something was told before."""
        fault, self.noted = self.noted, None
        told, self._told = self._told, True
        if fault is not None and not told:
            self._sink(Notice(text=f"{fault}; see %ai cache", kind="cache"))
