"""What every panel can do: its numbers as a DataFrame, its chart as a figure, itself on the page or in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ainb.panels.escapes import clean
from ainb.panels.live import Live
from ainb.panels.slot import Slot, resolve, say
from ainb.panels.view import Block, Line, View
from ainb.panels.widgets import Control
from ainb.usage.windows import WINDOWS, Window

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ainb.session import Session

ROWS = 20
NO_CALLS = "No calls yet. Ask something with %%ai, or with session.ask(…), and look here again."


class Panel:
    """Shows a part of a session's usage log.

    ``frame`` is its DataFrame and ``figure()`` its chart; as the last line of a cell it shows itself.

    Args:
        session: Whose log it shows.
        window: The span of time; None means the panel's own.
        by: What it groups by; None means the panel's first choice.
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
        """What the panel shows, as a DataFrame; asked anew each time."""
        raise NotImplementedError

    def figure(self) -> Figure:
        """The panel's chart as a matplotlib figure with a transparent background."""
        raise NotImplementedError

    def blocks(self, *, charts: bool = True) -> list[Block]:
        """What it shows now.

        Args:
            charts: With its charts; without them it is there sooner.
        """
        raise NotImplementedError

    def one_line(self) -> str:
        """The gist of it."""
        raise NotImplementedError

    def view(self, *, charts: bool = True) -> View:
        """The panel at this moment.

        Args:
            charts: With its charts; without them it is there sooner.
        """
        trouble = self.session.log.trouble()
        warning: list[Block] = [Line([trouble], "warn")] if trouble else []
        return View(label=f"ainb {self.title.lower()}", blocks=[*warning, *self.blocks(charts=charts)])

    def show(self, *, complain: Callable[[str], None] = say) -> None:
        """Show it in the cell that is running, live where that can be.

        Args:
            complain: Told once when showing fails.
        """
        display = self.session.config.display
        if resolve(display) == "text":
            sys.stdout.write(f"{clean(str(self))}\n")
        else:
            Live(self, Slot(display, clock=self.session.runtime.clock, complain=complain)).start()

    def controls(self, changed: Callable[[], None]) -> list[Control]:
        """The choices above the live panel.

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
                Control(label="window", options=names, value=self.window.name, changed=choose_window)
            )
        if self.groups:
            found.append(Control(label="by", options=self.groups, value=self.by, changed=choose_group))
        return found

    def pulse(self) -> Any:
        """Something cheap that changes when the panel would."""
        from ainb.usage.frames.board import newest_call

        return newest_call(self.session.log)

    def __str__(self) -> str:
        return self.view().text()

    def __repr__(self) -> str:
        return f"<ainb panel {self.name}: {self.one_line()}>"

    def _ipython_display_(self) -> None:
        self.show()
