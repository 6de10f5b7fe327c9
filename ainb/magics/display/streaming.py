"""A reply while it comes: one output that is renewed in a notebook, pieces in a terminal.

Pieces arrive on the engine's thread, and so their context is that of the cell that asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import uuid
from collections.abc import Callable
from typing import Any, Protocol

from ainb.clock import Clock
from ainb.magics.display.reply import live_bundle
from ainb.panels.escapes import Cleaner

PERIOD_SECONDS = 0.1
# Rendering a long reply again and again must not keep the engine's loop from its other calls.
SHARE_OF_TIME = 0.1


class Stream(Protocol):
    """Shows a reply piece by piece."""

    shown: bool

    def feed(self, piece: str) -> None:
        """Take a piece; called on the engine's thread."""
        ...

    def end(self, *, whole: bool) -> None:
        """No more pieces come; `whole` when the reply itself is shown next."""
        ...


class NotebookStream:
    """One output, renewed about ten times a second and cleared when the whole reply takes its place.

    Args:
        publisher: The shell's display publisher.
        clock: Where time comes from.
        complain: Told once when showing fails; the call goes on without.
    """

    def __init__(self, publisher: Any, clock: Clock, complain: Callable[[str], None]) -> None:
        self.shown = False
        self._publisher = publisher
        self._clock = clock
        self._complain = complain
        self._lock = threading.Lock()
        self._display_id = uuid.uuid4().hex
        self._text = ""
        self._next_at = 0.0
        self._waiting = False
        self._ended = False

    def feed(self, piece: str) -> None:
        """Take a piece and show what has come, now or when its turn is."""
        self._text += piece
        wait = self._next_at - self._clock.monotonic()
        if wait <= 0:
            self._show()
        elif not self._waiting:
            self._waiting = True
            asyncio.get_running_loop().call_later(wait, self._show)

    def end(self, *, whole: bool) -> None:
        """Make way for the whole reply, or leave what has come."""
        if not whole:
            self._show()
        with self._lock:
            self._ended = True
        if whole and self.shown:
            with contextlib.suppress(Exception):  # a display error never fails a call
                self._publisher.clear_output(wait=True)

    def _show(self) -> None:
        self._waiting = False
        with self._lock:
            if self._ended or not self._text:
                return
            began = self._clock.monotonic()
            try:
                self._publisher.publish(
                    live_bundle(self._text), transient={"display_id": self._display_id}, update=self.shown
                )
                self.shown = True
            except Exception as error:  # noqa: BLE001 - a display error never fails a call
                self._ended = True
                self._complain(f"the reply cannot be shown while it comes ({type(error).__name__}: {error})")
            now = self._clock.monotonic()
            self._next_at = now + max(PERIOD_SECONDS, (now - began) / SHARE_OF_TIME)


class TerminalStream:
    """Pieces, written as they come."""

    def __init__(self) -> None:
        self.shown = False
        self._cleaner = Cleaner()
        self._out = sys.stdout

    def feed(self, piece: str) -> None:
        """Write a piece."""
        self._write(self._cleaner.feed(piece))

    def end(self, *, whole: bool) -> None:
        """Write what was held back and end the line."""
        self._write(self._cleaner.end())
        if self.shown:
            self._write("\n")

    def _write(self, text: str) -> None:
        if not text:
            return
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):  # the terminal went away; the reply itself is safe
            return
        self.shown = True
