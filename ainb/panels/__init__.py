"""Panels that people look at: cost, errors, batches, and a board of it all. Nothing heavy is imported before one is asked for.

A panel draws what `ainb.usage` and a batch's progress say, and computes nothing itself.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ainb.errors import ConfigError

if TYPE_CHECKING:
    from ainb.panels.base import Panel
    from ainb.session import Session

# Name -> module and class.
PANELS = {
    "board": ("board", "BoardPanel"),
    "cost": ("cost", "CostPanel"),
    "errors": ("errors", "ErrorsPanel"),
    "batch": ("batch", "BatchesPanel"),
}


def panel(name: str | None = None, *, session: Session | None = None) -> Panel:
    """A panel over the usage log; as the last line of a cell it shows itself, live where the front end can.

    Args:
        name: "cost", "errors" or "batch"; None means the board of them all.
        session: Whose log, circuits and budgets; None means the notebook's session.

    Returns:
        The panel: ``frame`` is its DataFrame, ``figure()`` its chart (matplotlib), ``show()`` shows it.

    Raises:
        ConfigError: There is no panel of that name.
    """
    from ainb.session import current
    from ainb.suggestions import closest

    wanted = name or "board"
    if wanted not in PANELS:
        raise ConfigError(f"there is no panel {wanted!r}; {closest(wanted, PANELS)}")
    module, kind = PANELS[wanted]
    made: Panel = getattr(importlib.import_module(f"ainb.panels.{module}"), kind)(session or current())
    return made
