"""``%ai panel``: cost, errors, batches, or the board of them all."""

from __future__ import annotations

from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import Front
from ainb.panels import panel


def show_panel(front: Front, arguments: Arguments) -> None:
    """Show a panel below the cell, live where the front end can.

    Raises:
        ConfigError: There is no panel of that name.
    """
    name = arguments.words[0] if arguments.words else None
    panel(name, session=front.session()).show(complain=front.say)
