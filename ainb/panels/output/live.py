"""Live panels: refreshed while calls arrive, replaced by a static one after a time without changes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Protocol

from ainb.engine import ENGINE
from ainb.fork import new_lock
from ainb.job import Job
from ainb.panels.output.slot import Slot
from ainb.panels.output.widgets import Control
from ainb.panels.view import View
from ainb.session import Session

REFRESH_SECONDS = 1.0
# An idle panel becomes static: its widgets use memory in the page and the kernel.
IDLE_SECONDS = 120.0
# Largest share of time for rendering: calls run in the same interpreter.
SHARE_OF_TIME = 0.02
CHARTS = "matplotlib.figure"


class Source(Protocol):
    """A panel that can be live."""

    session: Session

    @property
    def name(self) -> str:
        """Name of the panel; only one of each name is live."""
        ...

    def view(self, *, charts: bool = True) -> View:
        """View at this moment, with or without charts."""
        ...

    def change_key(self) -> Any:
        """A value that is cheap to compute and changes whenever the view does."""
        ...

    def controls(self, changed: Callable[[], None]) -> list[Control]:
        """Controls above the panel."""
        ...


class Live:
    """One live panel in one slot."""

    def __init__(self, panel: Source, slot: Slot) -> None:
        self._panel = panel
        self._slot = slot
        self._clock = panel.session.runtime.clock
        self._drawing = new_lock()
        self._changed_at = self._clock.monotonic()
        self._job: Job[None] | None = None
        self._complete = True

    def start(self) -> None:
        """Show the panel; a live panel of the same name becomes static."""
        before = _running.pop(self._panel.name, None)
        if before is not None:
            before.stop()
        if not self._slot.is_live:
            self._slot.close(self._draw)
            return
        self._slot.open(self._draw_first, controls=self._panel.controls(self._changed))
        _running[self._panel.name] = self
        self._job = ENGINE.submit(self._run())

    def stop(self) -> None:
        """Replace the live panel by a static one."""
        if self._job is not None:
            self._job.cancel()
        self._slot.close(self._draw)

    def _changed(self) -> None:
        """Redraw after a choice; runs on the kernel's main thread."""
        self._changed_at = self._clock.monotonic()
        self._slot.update(self._draw)

    def _draw(self) -> View:
        with self._drawing:
            return self._panel.view()

    def _draw_first(self) -> View:
        """First view, without charts if matplotlib is not loaded yet: the numbers do not wait for it."""
        self._complete = CHARTS in sys.modules
        return self._panel.view(charts=self._complete)

    async def _run(self) -> None:
        """Refresh on the engine's loop; queries and drawing run in a thread."""
        seen = await asyncio.to_thread(self._panel.change_key)
        if not self._complete:
            await self._redraw()
        pause = REFRESH_SECONDS
        while self._clock.monotonic() - self._changed_at < IDLE_SECONDS and not self._slot.closed:
            await self._clock.sleep(pause)
            self._slot.renew_copy()
            now = await asyncio.to_thread(self._panel.change_key)
            if now == seen:
                pause = REFRESH_SECONDS
                continue
            seen, self._changed_at = now, self._clock.monotonic()
            await self._redraw()
            pause = max(REFRESH_SECONDS, (self._clock.monotonic() - self._changed_at) / SHARE_OF_TIME)
        await asyncio.to_thread(self._slot.close, self._draw)
        if _running.get(self._panel.name) is self:
            del _running[self._panel.name]

    async def _redraw(self) -> None:
        view = await asyncio.to_thread(self._draw)
        # Called on the loop, so that an early update is scheduled for its due time.
        self._slot.update(lambda: view)


_running: dict[str, Live] = {}


def stop_all() -> None:
    """Replace every live panel by a static one."""
    for live in list(_running.values()):
        live.stop()
    _running.clear()
