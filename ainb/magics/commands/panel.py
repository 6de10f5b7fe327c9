"""``%ai panel``: show the panel of cost, errors or batches, or the board of all."""

from __future__ import annotations

from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import NotebookShell
from ainb.panels import panel


def show_panel(shell: NotebookShell, arguments: Arguments) -> None:
    """Show a panel below the cell, live if the front end supports it.

    Raises:
        ConfigError: There is no panel of that name.
    """
    name = arguments.words[0] if arguments.words else None
    panel(name, session=shell.session()).show(on_error=shell.print_line)
