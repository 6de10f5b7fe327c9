"""Live form of a panel, made of ipywidgets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ainb.panels.markup import escape
from ainb.panels.output.live_body import LiveBody
from ainb.panels.style import classes, hiding_style, live_class, style
from ainb.panels.view import View

# A page that is reloaded meanwhile misses the replacement, so the widgets are kept for a while.
KEPT_WIDGETS = 20
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_kept: deque[Any] = deque()


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A drop-down list above a live panel.

    Attributes:
        label: Its label.
        options: The choices.
        value: The current choice.
        changed: Called with the new choice, on the kernel's main thread.
    """

    label: str
    options: Sequence[str]
    value: str
    changed: Callable[[str], None]


class Widgets:
    """Live form of a panel: controls, a status for screen readers, the blocks of the view, a Cancel button.

    While it is connected to its kernel, it hides the static copy of the panel beside it in the
    cell's outputs; once it is disconnected, it hides itself.

    Args:
        view: The first view.
        controls: Controls above it.
        cancel: Action of the button; None means no button.
        name: Name of the panel's static copy, see `View.bundle`.
    """

    def __init__(
        self, view: View, controls: Sequence[Control], cancel: Callable[[], None] | None, *, name: str
    ) -> None:
        import ipywidgets

        self._name = name
        self._status_text = view.status
        self._status = ipywidgets.HTML(self._status_html(view), layout={"margin": "0", "height": "0"})
        self._body = LiveBody(view.blocks)
        children: list[Any] = [self._status, self._body.box]
        self._extra = [_dropdown(control) for control in controls]
        if controls:
            row = {"flex_flow": "row wrap", "margin": "0 0 4px"}
            self._extra.append(ipywidgets.HBox(self._extra, layout=row))
            children.insert(0, self._extra[-1])
        if cancel is not None:
            button = ipywidgets.Button(description="Cancel", tooltip="Stop this batch; what is done is kept")
            button.on_click(lambda _button: cancel())
            self._extra.append(button)
            children.append(button)
        self._box = ipywidgets.VBox(children, layout={"margin": "0"})
        self._box.add_class(live_class(name))

    def bundle(self) -> dict[str, Any]:
        """MIME bundle that refers to the widgets; its text is empty, because the static copy has the text."""
        return {"text/plain": "", WIDGET_VIEW: self._box._repr_mimebundle_()[WIDGET_VIEW]}

    def update_view(self, view: View) -> None:
        """Show a new view."""
        self._body.update(view.blocks)
        if view.status != self._status_text:
            self._status_text = view.status
            self._status.value = self._status_html(view)

    def finish(self, view: View) -> None:
        """Show the final view without controls in pages that still have the widgets."""
        self.update_view(view)
        self._box.children = (self._status, self._body.box)
        for widget in self._extra:
            _close(widget)
        _kept.append(self)
        if len(_kept) > KEPT_WIDGETS:
            _kept.popleft().drop()

    def drop(self) -> None:
        """Close the remaining widgets."""
        self._body.close()
        for widget in (self._status, self._box):
            _close(widget)

    def _status_html(self, view: View) -> str:
        text = f'<p class="sr" role="status">{escape(view.status)}</p>'
        return f'{style("panel")}{hiding_style(self._name)}<div class="{classes("panel")}">{text}</div>'


def _close(widget: Any) -> None:
    """Close a widget with its layout and style, which ipywidgets would keep until the kernel ends."""
    for part in (widget, widget.layout, getattr(widget, "style", None)):
        if part is not None:
            part.close()


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
