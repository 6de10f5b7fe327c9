"""Keeps a panel fresh while calls come in, and leaves a static one when nothing has happened for a while."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

from ainb.engine import ENGINE, Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from ainb.panels.slot import Slot
    from ainb.panels.view import View
    from ainb.panels.widgets import Control
    from ainb.session import Session

REFRESH_SECONDS = 1.0
# A saved notebook must not hold a live panel, so one that nobody looks after ends by itself.
IDLE_SECONDS = 120.0
# What drawing may take of the time, for the calls go through the same interpreter.
SHARE_OF_TIME = 0.02
CHARTS = "matplotlib.figure"


class Source(Protocol):
    """What is kept fresh."""

    session: Session

    @property
    def name(self) -> str:
        """What it is called; only one of a name is live."""
        ...

    def view(self, *, charts: bool = True) -> View:
        """It at this moment, with or without its charts."""
        ...

    def change_key(self) -> Any:
        """Something cheap that changes when the view would."""
        ...

    def controls(self, changed: Callable[[], None]) -> list[Control]:
        """The choices above it."""
        ...


class Live:
    """One panel in one slot.

    Args:
        panel: What is shown.
        slot: Where it is shown.
    """

    def __init__(self, panel: Source, slot: Slot) -> None:
        self._panel = panel
        self._slot = slot
        self._clock = panel.session.runtime.clock
        self._drawing = threading.Lock()
        self._touched_at = self._clock.monotonic()
        self._job: Job[None] | None = None
        self._complete = True

    def start(self) -> None:
        """Show it; a live panel of that name that was there before is left as it is now."""
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
        """Leave the static panel."""
        if self._job is not None:
            self._job.cancel()
        self._slot.close(self._draw)

    def _changed(self) -> None:
        """A choice was made, on the kernel's main thread."""
        self._touched_at = self._clock.monotonic()
        self._slot.update(self._draw)

    def _draw(self) -> View:
        with self._drawing:
            return self._panel.view()

    def _draw_first(self) -> View:
        """Without charts where their library is not loaded yet: the numbers need not wait for it."""
        self._complete = CHARTS in sys.modules
        return self._panel.view(charts=self._complete)

    async def _run(self) -> None:
        """On the engine's loop; questions to the log and drawing are done in a thread beside it."""
        seen = await asyncio.to_thread(self._panel.change_key)
        if not self._complete:
            await self._redraw()
        pause = REFRESH_SECONDS
        while self._clock.monotonic() - self._touched_at < IDLE_SECONDS and not self._slot.closed:
            await self._clock.sleep(pause)
            now = await asyncio.to_thread(self._panel.change_key)
            if now == seen:
                pause = REFRESH_SECONDS
                continue
            seen, self._touched_at = now, self._clock.monotonic()
            await self._redraw()
            pause = max(REFRESH_SECONDS, (self._clock.monotonic() - self._touched_at) / SHARE_OF_TIME)
        await asyncio.to_thread(self._slot.close, self._draw)
        if _running.get(self._panel.name) is self:
            del _running[self._panel.name]

    async def _redraw(self) -> None:
        view = await asyncio.to_thread(self._draw)
        # From the loop itself, so that what comes too early is shown when its turn is.
        self._slot.update(lambda: view)


_running: dict[str, Live] = {}


def stop_all() -> None:
    """Leave every live panel as a static one."""
    for live in list(_running.values()):
        live.stop()
    _running.clear()
