"""Background thread for transactions of the day book, so that no event loop waits for a locked file.

It runs only while there is work: money to draw for a waiting call, costs to book, unused money to return.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ainb.fork import new_event, new_lock


class Courier:
    """Calls `bring` in a daemon thread, at once on request, else after a pause, until no work is left.

    Args:
        bring: Runs one transaction; returns whether another round is needed.
        end: Called in the thread before it ends.
        pause_seconds: Pause between rounds, unless one is requested at once.
    """

    def __init__(self, bring: Callable[[], bool], end: Callable[[], object], pause_seconds: float) -> None:
        self._bring = bring
        self._end = end
        self._pause_seconds = pause_seconds
        self._lock = new_lock()
        self._called = new_event()
        self._is_running = False

    def start(self, *, at_once: bool) -> None:
        """Request a round: after the pause, or without it if `at_once`."""
        if at_once:
            self._called.set()
        with self._lock:
            if self._is_running:
                return
            self._is_running = True
        threading.Thread(target=self._run, name="ainb-day-book", daemon=True).start()

    def _run(self) -> None:
        try:
            while True:
                self._called.wait(self._pause_seconds)
                self._called.clear()
                if not self._bring() and self._may_end():
                    return
        except BaseException:
            with self._lock:
                self._is_running = False
            raise

    def _may_end(self) -> bool:
        with self._lock:
            if self._called.is_set():
                return False
            self._is_running = False
            self._end()
            return True
