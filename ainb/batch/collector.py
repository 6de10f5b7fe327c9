"""Fewer passes of the garbage collector while rows of a batch come and go.

A row in flight is some eighty small objects, and with 64 rows under way their coming and going alone sets the collector off every
nine rows; whatever is in flight then counts as survivors, and enough survivors make it walk through everything the process
holds. That is a fifth of a row's time, spent on objects that are freed without it.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator

# Twice what 64 rows in flight hold; cycles are still found, after as many objects.
LEAST_OBJECTS = 10_000


class Collector:
    """The collector's threshold, raised while anybody asks for it and put back afterwards; used by one thread, the engine's."""

    def __init__(self) -> None:
        self._asking = 0
        self._usual: tuple[int, int, int] | None = None

    @contextlib.contextmanager
    def rare(self) -> Iterator[None]:
        """Passes over young objects only after LEAST_OBJECTS new ones; a collector that is off or rarer already stays as it is."""
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
        """The usual threshold, unless somebody has set another meanwhile."""
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
# A batch that was under way in the parent is not under way in its child.
os.register_at_fork(after_in_child=COLLECTOR.put_back)
