"""Raises the threshold of the garbage collector while a batch runs.

A row in flight has about eighty small objects. With 64 rows in flight the usual threshold starts a collection
every nine rows; rows in flight then count as survivors, and enough survivors start a full collection. That
takes a fifth of a row's time, for objects that reference counting frees anyway.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator

# Twice the objects of 64 rows in flight; cycles are still collected after that number.
LEAST_OBJECTS = 10_000


class Collector:
    """Threshold of the garbage collector, raised while a batch runs; only for the engine's thread."""

    def __init__(self) -> None:
        self._asking = 0
        self._usual: tuple[int, int, int] | None = None

    @contextlib.contextmanager
    def rare(self) -> Iterator[None]:
        """Collect young objects only after LEAST_OBJECTS new ones; a higher threshold is not changed."""
        self._asking += 1
        if self._asking == 1:
            self._raise()
        try:
            yield
        finally:
            self._asking = max(0, self._asking - 1)
            if not self._asking:
                self.put_back()

    def put_back(self) -> None:
        """Restore the usual threshold, unless it was changed meanwhile."""
        usual, self._usual = self._usual, None
        self._asking = 0
        if usual is not None and gc.get_threshold()[0] == LEAST_OBJECTS:
            gc.set_threshold(*usual)

    def _raise(self) -> None:
        usual = gc.get_threshold()
        if 0 < usual[0] < LEAST_OBJECTS:
            self._usual = usual
            gc.set_threshold(LEAST_OBJECTS, *usual[1:])


COLLECTOR = Collector()
# A forked child does not run the parent's batch.
os.register_at_fork(after_in_child=COLLECTOR.put_back)
