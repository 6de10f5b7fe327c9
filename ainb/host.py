"""Registry of a notebook front end: session factory, origin of a call, path of the notebook, display.

`ainb.magics` registers itself here when the extension is loaded, so that no other module has to import it.
`ainb` itself registers the display, which works without the extension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Shows a result in the running cell, once and as a static panel.
ResultDisplay = Callable[[object], None]
# Called with the progress of a batch while it runs.
BatchWatcher = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Host:
    """Functions of the loaded front end.

    Attributes:
        make_session: Makes a new `ainb.Session` from the current options of the notebook.
        find_origin: Returns the file name of the notebook and the id of the running cell; each None when
            unknown.
        find_notebook: Returns the absolute path of the notebook; None when unknown.
        confirm: Asks the user a yes-or-no question; None when the user cannot be asked.
        watch_batch: Called with ``state``, which returns the rows of `Session.state`, and ``cancel``, the
            action of a Cancel button or None; returns a live panel of a batch in the running cell; None when
            no user is watching.
    """

    make_session: Callable[[], object]
    find_origin: Callable[[], tuple[str | None, str | None]]
    find_notebook: Callable[[], Path | None]
    confirm: Callable[[str], bool | None]
    watch_batch: Callable[..., BatchWatcher | None]


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
