"""Raises the threshold of the garbage collector while a batch runs, or while many single calls are in flight.

A row in flight has about eighty small objects. With 64 rows in flight the usual threshold starts a collection
every nine rows. Rows in flight then count as survivors, and enough survivors start a full collection. This
takes a fifth of a row's time, for objects that reference counting frees anyway. With 1,024 rows in flight, a
threshold set for 64 starts a collection every 130 rows, and each one visits the objects of all rows: 150 of
the 930 us of a row. For a thousand single calls at once the usual threshold costs as much.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

from ainb.fork import renew_after_fork

# Twice the objects of a row in flight; the threshold is this number times the rows in flight.
ROW_OBJECTS = 160
LEAST_OBJECTS = 10_000
# At most about 50 MB of uncollected cycles.
MOST_OBJECTS = 500_000
FEW_CALLS = 16


class Collector:
    """Threshold of the garbage collector, raised while batches run; only for the engine's thread."""

    def __init__(self) -> None:
        self._asked: list[int] = []
        self._usual: tuple[int, int, int] | None = None
        self._set_to = 0

    @contextlib.contextmanager
    def rare(self, rows: float) -> Iterator[None]:
        """Collect young objects only after more new ones than this number of rows in flight has.

        A higher threshold is not changed.

        Args:
            rows: Maximum rows in flight; infinite without a limit.
        """
        wanted = self.begin(rows)
        try:
            yield
        finally:
            self.end(wanted)

    def begin(self, rows: float) -> int:
        """Enter `rare`; returns the argument for `end`."""
        wanted = int(min(MOST_OBJECTS, max(LEAST_OBJECTS, rows * ROW_OBJECTS)))
        self._asked.append(wanted)
        self._fit()
        return wanted

    def end(self, wanted: int) -> None:
        """Leave `rare`."""
        if wanted in self._asked:  # not in a forked child
            self._asked.remove(wanted)
        self._fit()

    def renew(self) -> None:
        """`put_back` in a forked child, where the batches of the parent do not run."""
        self.put_back()

    def put_back(self) -> None:
        """Restore the usual threshold, unless the user has changed it since."""
        self._asked.clear()
        self._fit()

    def _fit(self) -> None:
        now = gc.get_threshold()
        if self._usual is None:
            self._usual = now
        elif now[0] != self._set_to:  # the user has set another threshold
            if not self._asked:
                self._usual = None
            return
        self._set_to = max(self._asked, default=0)
        if not 0 < self._usual[0] < self._set_to:
            self._set_to = self._usual[0]
        gc.set_threshold(self._set_to, *self._usual[1:])
        if not self._asked:
            self._usual = None


class CallsInFlight:
    """Makes collections rare while more than FEW_CALLS single calls are in flight.

    Used by the engine's thread alone.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self.clear()

    def clear(self) -> None:
        """Forget all calls and their requested threshold."""
        self._count = 0
        self._room_for = FEW_CALLS
        self._held: int | None = None

    def renew(self) -> None:
        """`clear` in a forked child, where the calls of the parent do not run."""
        self.clear()

    def begin(self) -> None:
        """Register a call."""
        self._count += 1
        if self._count > self._room_for:
            self._room_for = 2 * self._count  # so that of a thousand calls ten change the threshold
            before, self._held = self._held, self._collector.begin(self._room_for)
            if before is not None:
                self._collector.end(before)

    def end(self) -> None:
        """Register the end of a call; after the last one the threshold is restored."""
        self._count -= 1
        if self._count <= 0:
            self.end_all()

    def end_all(self) -> None:
        """Restore the threshold: the last call has ended, or the loop of all calls."""
        if self._held is not None:
            self._collector.end(self._held)
        self.clear()


COLLECTOR = Collector()
CALLS_IN_FLIGHT = CallsInFlight(COLLECTOR)
renew_after_fork(COLLECTOR)
renew_after_fork(CALLS_IN_FLIGHT)
