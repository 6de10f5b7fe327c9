"""``%ai compare NAME``: shows a comparison of the notebook again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.errors import ConfigError
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import NotebookShell

if TYPE_CHECKING:
    from ainb.compare import Comparison


def show_comparison(shell: NotebookShell, arguments: Arguments) -> None:
    """Show the panel of a comparison that a variable of the notebook holds.

    Raises:
        ConfigError: There is no such variable, or it does not hold a comparison.
    """
    from ainb.panels.compare import show

    show(_find(shell, arguments.words[0]), on_error=shell.print_line)


def _find(shell: NotebookShell, name: str) -> Comparison:
    from ainb.compare import Comparison

    names = shell.ipython.user_ns
    value = names.get(name)
    if isinstance(value, Comparison):
        return value
    known = shell.variables(lambda item: isinstance(item, Comparison))
    way_out = (
        f"comparisons here are: {', '.join(known)}"
        if known
        else f"make one: {name} = ainb.current().compare(frame, prompts, truth='label')"
    )
    held = "is not defined" if name not in names else f"holds no comparison, but {type(value).__name__}"
    raise ConfigError(f"{name!r} {held}; {way_out}")
