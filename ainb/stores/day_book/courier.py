"""Courier: a thread that waits for the file of the day book, so that no event loop does.

It runs only while there is something to bring: money that a call waits for, costs to book, unused money to
give back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Courier:
    """Runs `bring` in a daemon thread, now when it is called for, else after a pause, until nothing is left.

    Args:
        bring: Returns whether there is more to bring after a pause.
        end: Called in the thread before it ends.
        pause_seconds: Pause between two rounds that nobody called for.
    """

    def __init__(self, bring: Callable[[], bool], end: Callable[[], object], pause_seconds: float) -> None:
        self._bring = bring
        self._end = end
        self._pause_seconds = pause_seconds
        self._lock = threading.Lock()
        self._called = threading.Event()
        self._is_running = False

    def start(self, *, at_once: bool) -> None:
        """Have a round run soon; `at_once` without a pause."""
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
