"""Registry of a notebook front end: session factory, origin of a call, path of the notebook, display.

`ainb.magics` registers itself here when the extension is loaded, so that no other module has to import it.
`ainb` itself registers the display, which works without the extension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class SessionFactory(Protocol):
    """Makes the session of the notebook from the current options."""

    def __call__(self) -> object:
        """Make a new `ainb.Session`."""
        ...


class OriginFinder(Protocol):
    """Finds the origin of a call."""

    def __call__(self) -> tuple[str | None, str | None]:
        """File name of the notebook and id of the cell; each None when unknown."""
        ...


class NotebookFinder(Protocol):
    """Finds the running notebook."""

    def __call__(self) -> Path | None:
        """Absolute path of the notebook; None when unknown."""
        ...


class ResultDisplay(Protocol):
    """Shows a result in the cell that is running."""

    def __call__(self, result: object, /) -> None:
        """Show the result once, as a static panel."""
        ...


class Confirm(Protocol):
    """Asks the user a yes-or-no question."""

    def __call__(self, question: str, /) -> bool | None:
        """The answer; None when the user cannot be asked."""
        ...


@dataclass(frozen=True, slots=True)
class Host:
    """Functions of the loaded front end."""

    make_session: SessionFactory
    find_origin: OriginFinder
    find_notebook: NotebookFinder
    confirm: Confirm


_registered: Host | None = None
_on_unregister: list[Callable[[], None]] = []
_result_display: ResultDisplay | None = None


def register(host: Host) -> None:
    """Register the front end of this process."""
    global _registered  # noqa: PLW0603 - a process has one notebook front end
    _registered = host


def unregister() -> None:
    """Remove the front end, and run the callbacks of `on_unregister`."""
    global _registered  # noqa: PLW0603 - see register()
    _registered = None
    for callback in _on_unregister:
        callback()


def on_unregister(callback: Callable[[], None]) -> None:
    """Register a callback for each removal of the front end."""
    _on_unregister.append(callback)


def registered() -> Host | None:
    """The front end of this process; None outside a notebook."""
    return _registered


def register_result_display(display: ResultDisplay) -> None:
    """Register the display of a result that is the last expression of a cell."""
    global _result_display  # noqa: PLW0603 - see register()
    _result_display = display


def result_display() -> ResultDisplay | None:
    """The display of results; None when none is registered."""
    return _result_display
