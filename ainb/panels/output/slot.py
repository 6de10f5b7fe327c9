"""Output slot of a panel: live at first, static afterwards. The only panel module that uses IPython.

A notebook that is saved at any moment must show everything without a kernel. So a static copy precedes the
live widget in the cell's outputs, and the widget hides it while its kernel runs. At the end the copy is the
panel, and the output of the widget is emptied. A display error never fails a call: after the first one the
slot turns itself off and prints one line.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import shutil
import sys
import uuid
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.fork import new_rlock
from ainb.panels.escapes import one_line
from ainb.panels.output.widgets import Control, Widgets
from ainb.panels.view import Chart, View

PERIOD_SECONDS = 0.2
# Minimum time between two static copies: each is a message to the page and marks the notebook as changed.
COPY_SECONDS = 2.0


def print_line(text: str) -> None:
    """Print one line for the user on stderr."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"ainb: {one_line(text)}\n")
        sys.stderr.flush()


def find_shell() -> Any:
    """The running IPython shell, or None; never loads IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def in_notebook() -> bool:
    """Whether the shell belongs to a Jupyter kernel."""
    return getattr(find_shell(), "kernel", None) is not None


def resolve(display: str) -> str:
    """The display mode of panels here: "widgets", "html", "text", "static" or "off".

    Args:
        display: The option ``display``. "auto" means widgets in Jupyter, html without reliable widgets
            (Colab, VS Code), static when no user is watching (nbclient), text outside a notebook.
    """
    shell = find_shell()
    kernel = getattr(shell, "kernel", None)
    if display == "off":
        return display
    if kernel is None:
        return "text"
    if display in {"html", "text", "static"}:
        return display
    if display == "auto" and not getattr(kernel, "_allow_stdin", False):
        return "static"
    fallback = display == "auto" and ("google.colab" in sys.modules or "__vsc_ipynb_file__" in shell.user_ns)
    return "html" if fallback or find_spec("ipywidgets") is None else "widgets"


class Slot:
    """One output of a cell: opened live, updated at most five times a second, replaced at the end.

    Args:
        display: The option ``display``.
        clock: For the pauses between updates.
        on_error: Called once with a message when display fails.
    """

    def __init__(
        self, display: str, *, clock: Clock = SYSTEM_CLOCK, on_error: Callable[[str], None] = print_line
    ) -> None:
        self.mode = resolve(display)
        self._deterministic = display == "static"
        self._clock = clock
        self._on_error = on_error
        self._lock = new_rlock()
        self._display_id = uuid.uuid4().hex
        self._next_at = 0.0
        self._copy_at = 0.0
        self._uncopied: View | None = None
        self._waiting: Callable[[], View] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._live: Widgets | None = None
        self._opened = False
        self.closed = False

    @property
    def is_live(self) -> bool:
        """Whether anything is shown before the end."""
        return self.mode in {"widgets", "html"} or (
            self.mode == "text" and not self._deterministic and _is_terminal()
        )

    def prepare(self) -> None:
        """Load ipywidgets on the caller's thread, because loading would block the engine's."""
        if self.mode == "widgets":
            self._guard(lambda: importlib.import_module("ipywidgets"))

    def open(
        self,
        make: Callable[[], View],
        *,
        controls: Sequence[Control] = (),
        cancel: Callable[[], None] | None = None,
    ) -> None:
        """Show the first view.

        Args:
            make: Makes the view; not called when nothing is shown.
            controls: Controls above it, in Jupyter.
            cancel: Action of a Cancel button, in Jupyter; None means no button.
        """
        with self._lock:
            if self.is_live:
                self._guard(lambda: self._open(make(), controls, cancel))

    def update(self, make: Callable[[], View]) -> None:
        """Show a new view, at once or when the next update is due; safe from any thread."""
        with self._lock:
            if self.closed or not self.is_live:
                return
            wait = self._next_at - self._clock.monotonic()
            if wait <= 0:
                self._show(make)
                return
            self._waiting = make
            if self._timer is None:
                with contextlib.suppress(
                    RuntimeError
                ):  # no loop on this thread: close() shows the last state
                    self._timer = asyncio.get_running_loop().call_later(wait, self._flush)

    def renew_copy(self) -> None:
        """Update the static copy if it is outdated and the last update is old enough."""
        with self._lock:
            if not self.closed and self._live is not None:
                self._guard(self._renew_copy)

    def close(self, make: Callable[[], View]) -> None:
        """Show the final view and release everything; later calls do nothing."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            self._waiting = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self.mode != "off":
                self._guard(lambda: self._close(make()))

    def _flush(self) -> None:
        with self._lock:
            self._timer = None
            make, self._waiting = self._waiting, None
            if make is not None and not self.closed:
                self._show(make)

    def _show(self, make: Callable[[], View]) -> None:
        self._next_at = self._clock.monotonic() + PERIOD_SECONDS
        self._waiting = None
        self._guard(lambda: self._redraw(make()))

    def _guard(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - a display error never fails a call
            self.mode = "off"
            self._on_error(
                f"the panel is off after a display error ({type(error).__name__}: {error}); "
                "what it was to show is not affected"
            )

    def _open(self, view: View, controls: Sequence[Control], cancel: Callable[[], None] | None) -> None:
        self._next_at = self._clock.monotonic() + PERIOD_SECONDS
        if self.mode == "text":
            _rewrite(view.line)
            return
        if self.mode == "widgets":
            self._live = Widgets(view, controls, cancel, name=self._display_id)
            self._publish_copy(view)
            self._publish(self._live.bundle(), display_id=self._live_id)
        else:
            self._publish(view.bundle())
        self._opened = True

    def _redraw(self, view: View) -> None:
        if self.mode == "text":
            _rewrite(view.line)
        elif self._live is not None:
            self._live.update_view(view)
            self._uncopied = view
            self._renew_copy()
        elif self._opened:
            self._publish(view.bundle())

    def _close(self, view: View) -> None:
        if self.mode == "text":
            _rewrite(view.deterministic_line if self._deterministic else view.line, last=True)
            return
        self._publish(view.bundle(deterministic=self._deterministic))
        if self._live is not None:
            self._publish({}, display_id=self._live_id)
            self._live.finish(view)
        for picture in view.charts() if self._deterministic else ():
            self._publish_alone(picture)

    @property
    def _live_id(self) -> str:
        return f"{self._display_id}-live"

    def _renew_copy(self) -> None:
        if self._uncopied is not None and self._clock.monotonic() >= self._copy_at:
            self._publish_copy(self._uncopied)

    def _publish_copy(self, view: View) -> None:
        self._uncopied = None
        self._copy_at = self._clock.monotonic() + COPY_SECONDS
        self._publish(view.copy(self._display_id))

    def _publish(self, bundle: dict[str, Any], *, display_id: str = "") -> None:
        publisher = find_shell().display_pub
        transient = {"display_id": display_id or self._display_id}
        publisher.publish(bundle, transient=transient, update=self._opened)

    def _publish_alone(self, picture: Chart) -> None:
        # Without text/plain, so that notebook checkers, which skip images, find nothing to compare. The width
        # is given because the image has two pixels per CSS pixel.
        look = {"width": picture.width, "alt": picture.description}
        find_shell().display_pub.publish({"image/png": picture.png}, {"image/png": look})


def _is_terminal() -> bool:
    return bool(getattr(sys.stderr, "isatty", bool)())


def _rewrite(text: str, *, last: bool = False) -> None:
    """Overwrite the terminal's line; elsewhere print only the last one, so that logs hold one line."""
    text = one_line(text)
    if not _is_terminal():
        if last:
            print_line(text.removeprefix("ainb: "))
        return
    columns = shutil.get_terminal_size().columns
    # The last line stays and is shown in full. Earlier ones are cut: a wrapped line cannot be overwritten.
    shown = text if last or len(text) < columns else text[: columns - 2] + "…"
    sys.stderr.write(f"\r\x1b[2K{shown}" + ("\n" if last else ""))
    sys.stderr.flush()
