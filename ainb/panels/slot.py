"""One place on the page: live while something goes on, a static bundle afterwards. Knows IPython and ipywidgets.

A saved notebook must show everything without a kernel, so the live widget is replaced, not kept. Nothing here fails a call: after the first
display error the slot turns itself off and says so once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.panels.escapes import one_line
from ainb.panels.markup import escape, style
from ainb.panels.view import View

PERIOD_SECONDS = 0.2
# A page that was reloaded in the middle no longer takes the replacement, so what it shows is kept for a while.
KEPT_WIDGETS = 20
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WAS_LIVE = "This panel was live when the notebook was saved; run the cell again to see it."
_kept: deque[Any] = deque()


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A choice above a live panel.

    Attributes:
        label: What is chosen.
        options: The choices.
        value: The one in force.
        changed: Called with the new choice, on the kernel's main thread.
    """

    label: str
    options: Sequence[str]
    value: str
    changed: Callable[[str], None]


def say(text: str) -> None:
    """One line for the person, on stderr."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"ainb: {one_line(text)}\n")
        sys.stderr.flush()


def find_shell() -> Any:
    """The running IPython shell, or None; IPython is not loaded for the question."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def notebook_name() -> str | None:
    """Path of the notebook as far as its front end tells; None where nobody can tell."""
    shell = find_shell()
    if getattr(shell, "kernel", None) is None:
        return None
    return os.environ.get("JPY_SESSION_NAME") or shell.user_ns.get("__vsc_ipynb_file__")


def resolve(display: str) -> str:
    """How this place shows a panel: "widgets", "html", "text", "static" or "off".

    Args:
        display: The option ``display``. "auto" means widgets in Jupyter, html where widgets are missing or in doubt (Colab, VS Code), static
            where nobody watches (nbclient), text outside a notebook.
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
    in_doubt = display == "auto" and ("google.colab" in sys.modules or "__vsc_ipynb_file__" in shell.user_ns)
    return "html" if in_doubt or find_spec("ipywidgets") is None else "widgets"


class Slot:
    """One output: opened live, renewed at most five times a second, replaced at the end.

    Args:
        display: The option ``display``.
        clock: Where time comes from.
        complain: Told once when showing fails.
    """

    def __init__(
        self, display: str, *, clock: Clock = SYSTEM_CLOCK, complain: Callable[[str], None] = say
    ) -> None:
        self.mode = resolve(display)
        self._steady = display == "static"
        self._clock = clock
        self._complain = complain
        self._lock = threading.RLock()
        self._display_id = uuid.uuid4().hex
        self._next_at = 0.0
        self._waiting: Callable[[], View] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._live: _Widgets | None = None
        self._opened = False
        self.closed = False

    @property
    def is_live(self) -> bool:
        """Whether something is shown before the end."""
        return self.mode in {"widgets", "html"} or (
            self.mode == "text" and not self._steady and _is_terminal()
        )

    def prepare(self) -> None:
        """Load what a live panel takes; on the caller's thread, for it would hold up the engine's."""
        if self.mode == "widgets":
            self._guard(_load_widgets)

    def open(
        self,
        make: Callable[[], View],
        *,
        controls: Sequence[Control] = (),
        cancel: Callable[[], None] | None = None,
    ) -> None:
        """Show the first state.

        Args:
            make: Makes what is shown; only called when something is.
            controls: Choices above it, in Jupyter.
            cancel: What a Cancel button does, in Jupyter; None means no button.
        """
        with self._lock:
            if self.is_live:
                self._guard(lambda: self._open(make(), controls, cancel))

    def update(self, make: Callable[[], View]) -> None:
        """Show a new state, now or when its turn is; safe from any thread."""
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

    def close(self, make: Callable[[], View]) -> None:
        """Show the last state for good and let go of everything; only the first call counts."""
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
        self._guard(lambda: self._renew(make()))

    def _guard(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - a display error never fails a call
            self.mode = "off"
            self._complain(
                f"the panel is off after a display error ({type(error).__name__}: {error}); what it was to show is not affected"
            )

    def _open(self, view: View, controls: Sequence[Control], cancel: Callable[[], None] | None) -> None:
        self._next_at = self._clock.monotonic() + PERIOD_SECONDS
        if self.mode == "text":
            _rewrite(view.line)
            return
        if self.mode == "widgets":
            self._live = _Widgets(view, controls, cancel)
            self._publish(self._live.bundle())
        else:
            self._publish(view.bundle())
        self._opened = True

    def _renew(self, view: View) -> None:
        if self.mode == "text":
            _rewrite(view.line)
        elif self._live is not None:
            self._live.renew(view)
        elif self._opened:
            self._publish(view.bundle())

    def _close(self, view: View) -> None:
        if self.mode == "text":
            _rewrite(view.steady_line if self._steady else view.line, last=True)
            return
        if self._live is not None:
            self._live.end(view)
        self._publish(view.bundle(steady=self._steady))
        for picture in view.pictures() if self._steady else ():
            self._publish_alone({"image/png": picture})

    def _publish(self, bundle: dict[str, Any]) -> None:
        publisher = find_shell().display_pub
        publisher.publish(bundle, transient={"display_id": self._display_id}, update=self._opened)

    def _publish_alone(self, bundle: dict[str, Any]) -> None:
        # Without text/plain, so that checkers of notebooks, which skip pictures, find nothing to compare.
        find_shell().display_pub.publish(bundle)


class _Widgets:
    """The live form: choices, a line for screen readers, one HTML trait for everything else, a Cancel button.

    Args:
        view: The first state.
        controls: Choices above it.
        cancel: What the button does; None means no button.
    """

    def __init__(self, view: View, controls: Sequence[Control], cancel: Callable[[], None] | None) -> None:
        import ipywidgets

        self._status_text = view.status
        self._status = ipywidgets.HTML(_status(view), layout={"margin": "0", "height": "0"})
        self._body = ipywidgets.HTML(view.inner(), layout={"margin": "0"})
        self._extra = [_dropdown(control) for control in controls]
        children: list[Any] = [self._status, self._body]
        if self._extra:
            children.insert(
                0, ipywidgets.HBox(self._extra, layout={"flex_flow": "row wrap", "margin": "0 0 4px"})
            )
        if cancel is not None:
            button = ipywidgets.Button(description="Cancel", tooltip="Stop this batch; what is done is kept")
            button.on_click(lambda _button: cancel())
            self._extra.append(button)
            children.append(button)
        self._box = ipywidgets.VBox(children)

    def bundle(self) -> dict[str, Any]:
        """What refers to the widgets, and a text for those who have none."""
        view = self._box._repr_mimebundle_()[WIDGET_VIEW]
        return {"text/plain": WAS_LIVE, WIDGET_VIEW: view}

    def renew(self, view: View) -> None:
        """Show a new state."""
        self._body.value = view.inner()
        if view.status != self._status_text:
            self._status_text = view.status
            self._status.value = _status(view)

    def end(self, view: View) -> None:
        """Show the last state where the page still has the widgets, without anything to press."""
        self.renew(view)
        self._box.children = (self._status, self._body)
        for widget in self._extra:
            widget.close()
        _kept.append(self)
        if len(_kept) > KEPT_WIDGETS:
            _kept.popleft().drop()

    def drop(self) -> None:
        """Close what is left."""
        for widget in (self._status, self._body, self._box):
            widget.close()


def _load_widgets() -> None:
    import ipywidgets

    del ipywidgets


def _dropdown(control: Control) -> Any:
    import ipywidgets

    widget = ipywidgets.Dropdown(
        options=list(control.options),
        value=control.value,
        description=control.label,
        layout={"width": "max-content", "margin": "2px 1.2em 2px 0"},
        style={"description_width": "initial"},
    )
    widget.observe(lambda change: control.changed(str(change["new"])), names="value")
    return widget


def _status(view: View) -> str:
    return (
        f'{style("panel")}<div class="ainb panel"><p class="sr" role="status">{escape(view.status)}</p></div>'
    )


def _is_terminal() -> bool:
    return bool(getattr(sys.stderr, "isatty", bool)())


def _rewrite(text: str, *, last: bool = False) -> None:
    """Write over the line of the terminal; elsewhere only the last one, so that logs hold one line and not hundreds."""
    text = one_line(text)
    if not _is_terminal():
        if last:
            say(text.removeprefix("ainb: "))
        return
    columns = shutil.get_terminal_size().columns
    shown = text if len(text) < columns else text[: columns - 2] + "…"
    sys.stderr.write(f"\r\x1b[2K{shown}" + ("\n" if last else ""))
    sys.stderr.flush()
