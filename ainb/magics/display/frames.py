"""Display of result frames in cells: a short form instead of pandas' display of the whole frame."""

from __future__ import annotations

from typing import Any, cast

# Registered by name, so that pandas is not loaded; the class's module differs between versions of pandas.
FRAME_TYPES = ("pandas.DataFrame", "pandas.core.frame.DataFrame")


def register(ipython: Any) -> None:
    """Show the short form of result frames; other frames keep the display of pandas or of other packages."""
    for name in FRAME_TYPES:
        ipython.display_formatter.mimebundle_formatter.for_type(name, short_bundle)


def unregister(ipython: Any) -> None:
    """Leave every frame to pandas."""
    for name in FRAME_TYPES:
        ipython.display_formatter.mimebundle_formatter.pop(name, None)


def short_bundle(frame: Any) -> dict[str, str] | None:
    """MIME bundle of the short form; None for a frame that is not a result, which pandas then displays."""
    from ainb.batch import short_form
    from ainb.panels.markup import escape

    short = short_form(frame)
    if short is None:
        return None
    hidden = [name for name in frame.columns if name not in short.columns]
    more = f"also: {', '.join(map(str, hidden))}"
    html: str | None = cast(
        Any, short
    )._repr_html_()  # None where the option display.notebook_repr_html is off
    bundle = {"text/plain": f"{short!r}\n{more}"}
    return bundle if html is None else {**bundle, "text/html": f"{html}<p>{escape(more)}</p>"}
