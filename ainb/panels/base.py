"""Base class of the panels: its numbers as a DataFrame, its chart as a figure, and its display."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ainb.panels.escapes import clean
from ainb.panels.output.live import Live
from ainb.panels.output.slot import Slot, print_line, resolve
from ainb.panels.output.widgets import Control
from ainb.panels.view import Block, Line, View
from ainb.usage.windows import WINDOWS, Window

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ainb.session import Session

ROWS = 20
NO_CALLS = "No calls yet. Ask something with %%ai, or with session.ask(…), and look here again."


class Panel:
    """View of a part of a session's usage log.

    ``frame`` is its DataFrame and ``figure()`` its chart; as the last line of a cell it is displayed.

    Args:
        session: Session whose log is shown.
        window: Time window; None means the default of the panel.
        by: Grouping; None means the first one of the panel.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    groups: ClassVar[Sequence[str]] = ()
    windows: ClassVar[Sequence[Window]] = WINDOWS
    first_window: ClassVar[Window] = WINDOWS[2]

    def __init__(self, session: Session, *, window: Window | None = None, by: str | None = None) -> None:
        self.session = session
        self.window = window or self.first_window
        self.by = by or next(iter(self.groups), "")

    @property
    def frame(self) -> pd.DataFrame:
        """The panel's numbers as a DataFrame, queried anew each time."""
        raise NotImplementedError

    def figure(self) -> Figure:
        """The panel's chart as a matplotlib figure with a transparent background."""
        raise NotImplementedError

    def blocks(self, *, charts: bool = True) -> list[Block]:
        """Blocks of the panel at this moment.

        Args:
            charts: Whether charts are included; without them it is faster.
        """
        raise NotImplementedError

    def summary_line(self) -> str:
        """The panel in one line of text."""
        raise NotImplementedError

    def view(self, *, charts: bool = True) -> View:
        """View of the panel at this moment.

        Args:
            charts: Whether charts are included; without them it is faster.
        """
        unreadable_reason = self.session.log.unreadable_reason()
        warning: list[Block] = [Line([unreadable_reason], "warn")] if unreadable_reason else []
        return View(label=f"ainb {self.title.lower()}", blocks=[*warning, *self.blocks(charts=charts)])

    def show(self, *, on_error: Callable[[str], None] = print_line) -> None:
        """Show the panel in the running cell, live if the front end supports it.

        Args:
            on_error: Called once with a message when display fails.
        """
        display = self.session.config.display
        if resolve(display) == "text":
            sys.stdout.write(f"{clean(str(self))}\n")
        else:
            Live(self, Slot(display, clock=self.session.runtime.clock, on_error=on_error)).start()

    def controls(self, changed: Callable[[], None]) -> list[Control]:
        """Controls above the live panel.

        Args:
            changed: Called after a choice has taken effect.
        """

        def choose_window(name: str) -> None:
            self.window = next(window for window in self.windows if window.name == name)
            changed()

        def choose_group(name: str) -> None:
            self.by = name
            changed()

        found = []
        if self.windows:
            names = [window.name for window in self.windows]
            found.append(
                Control(label="period", options=names, value=self.window.name, changed=choose_window)
            )
        if self.groups:
            found.append(Control(label="by", options=self.groups, value=self.by, changed=choose_group))
        return found

    def change_key(self) -> Any:
        """A value that is cheap to compute and changes whenever the panel's content does."""
        from ainb.usage.frames.board import newest_call

        return newest_call(self.session.log)

    def __str__(self) -> str:
        return self.view().text()

    def __repr__(self) -> str:
        return f"<ainb panel {self.name}: {self.summary_line()}>"

    def _ipython_display_(self) -> None:
        self.show()
