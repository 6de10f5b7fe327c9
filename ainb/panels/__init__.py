"""Panels: cost, errors, batches, and a board of all of them.

A panel (`base`) turns frames of `ainb.usage` and the progress of a batch into the blocks of a `View`, and
does no arithmetic. The package `output` shows a view in a cell and updates it; `output.widgets` and `charts`
are loaded only when one is shown.
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
    """A panel of the usage log; as the last line of a cell it is displayed, live if possible.

    Args:
        name: "cost", "errors" or "batch"; None means the board.
        session: Session whose log, circuits and budgets are shown; None means the notebook's session.

    Returns:
        The panel: ``frame`` is its DataFrame, ``figure()`` its chart (matplotlib), ``show()`` displays it.

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
