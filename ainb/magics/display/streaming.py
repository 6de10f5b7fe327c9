"""Display of a reply while it is generated: one updated output in a notebook, pieces in a terminal.

Pieces arrive in order in a thread of the call, with the context variables of the cell that sent the call.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import sys
import uuid
from collections.abc import Callable
from typing import Any

from ainb.clock import Clock
from ainb.engine import ENGINE
from ainb.fork import new_lock
from ainb.magics.display.reply import live_bundle
from ainb.panels.escapes import Cleaner
from ainb.panels.markup import box, escape

PERIOD_SECONDS = 0.1
WAIT_SECONDS = 1.0
# Rendering a long reply repeatedly must not block other calls on the engine's loop.
SHARE_OF_TIME = 0.1


class NotebookStream:
    """One output, updated about ten times a second and cleared before the complete reply is shown.

    Args:
        publisher: Display publisher of the shell.
        clock: For the pauses between updates.
        on_error: Called once with a message when display fails; the call continues.
        get_loop: Returns the loop of the timers.

    Attributes:
        shown: Whether anything was shown.
        cleared: Whether the cell's printed output was cleared with it.
    """

    def __init__(
        self,
        publisher: Any,
        clock: Clock,
        on_error: Callable[[str], None],
        *,
        get_loop: Callable[[], asyncio.AbstractEventLoop] = ENGINE.loop,
    ) -> None:
        self.shown = False
        self.cleared = False
        self._publisher = publisher
        self._clock = clock
        self._on_error = on_error
        self._get_loop = get_loop
        self._lock = new_lock()
        self._display_id = uuid.uuid4().hex
        self._text = ""
        self._next_at = 0.0
        self._waiting = False
        self._ended = False
        self._seconds = 0
        self._describe: Callable[[], str] = str

    def wait(self, describe: Callable[[], str]) -> None:
        """Show the reason of the wait, from the second second on, until the first piece arrives.

        Called on the cell's thread, `feed` in a thread of the call.

        Args:
            describe: Returns the reason, such as "waiting for openai:gpt-5-mini".
        """
        self._describe = describe
        self._call_later(WAIT_SECONDS, self._show_wait)

    def _show_wait(self) -> None:
        with self._lock:
            if self._ended or self._text:
                return
            self._seconds += 1
            text = f"{self._describe()} · {self._seconds} s"
            html = box(f'<p class="foot">{escape(text)}</p>')
            self._publish({"text/plain": text, "text/html": html})
        self._call_later(WAIT_SECONDS, self._show_wait)

    def feed(self, piece: str) -> None:
        """Add a piece and update the output, at once or when the next update is due."""
        self._text += piece
        wait = self._next_at - self._clock.monotonic()
        if wait <= 0:
            self._show()
        elif not self._waiting:
            self._waiting = True
            self._call_later(wait, self._show)

    def end(self, *, complete: bool) -> None:
        """Clear the output if the complete reply is shown next, or leave the pieces received."""
        if not complete:
            self._show()
        with self._lock:
            self._ended = True
        if self.shown and (complete or not self._text):
            self.cleared = True
            with contextlib.suppress(Exception):  # a display error never fails a call
                self._publisher.clear_output(wait=True)

    def _show(self) -> None:
        self._waiting = False
        with self._lock:
            if self._ended or not self._text:
                return
            began = self._clock.monotonic()
            self._publish(live_bundle(self._text))
            now = self._clock.monotonic()
            self._next_at = now + max(PERIOD_SECONDS, (now - began) / SHARE_OF_TIME)

    def _call_later(self, seconds: float, work: Callable[[], None]) -> None:
        """Call `work` on the loop, with the context of the cell, so that it is shown in the cell's output."""
        loop, context = self._get_loop(), contextvars.copy_context()
        with contextlib.suppress(RuntimeError):  # closed at this moment
            loop.call_soon_threadsafe(functools.partial(loop.call_later, seconds, work, context=context))

    def _publish(self, bundle: dict[str, Any]) -> None:
        try:
            self._publisher.publish(bundle, transient={"display_id": self._display_id}, update=self.shown)
            self.shown = True
        except Exception as error:  # noqa: BLE001 - a display error never fails a call
            self._ended = True
            self._on_error(f"the reply cannot be shown while it arrives ({type(error).__name__}: {error})")


class TerminalStream:
    """Pieces written to the terminal as they arrive."""

    def __init__(self) -> None:
        self.shown = False
        self.cleared = False
        self._cleaner = Cleaner()
        self._out = sys.stdout

    def wait(self, describe: Callable[[], str]) -> None:
        """Show nothing: a line in a terminal could not be removed."""

    def feed(self, piece: str) -> None:
        """Write a piece."""
        self._write(self._cleaner.feed(piece))

    def end(self, *, complete: bool) -> None:
        """Write the text held back, and end the line."""
        self._write(self._cleaner.end())
        if self.shown:
            self._write("\n")

    def _write(self, text: str) -> None:
        if not text:
            return
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):  # the terminal was closed; the reply itself is not lost
            return
        self.shown = True


Stream = NotebookStream | TerminalStream
