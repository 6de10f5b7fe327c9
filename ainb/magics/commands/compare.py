"""``%ai compare NAME``: a comparison of the notebook, shown again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.errors import ConfigError
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import Front

if TYPE_CHECKING:
    from ainb.compare import Comparison


def show_comparison(front: Front, arguments: Arguments) -> None:
    """Show the panel of a comparison that a variable of the notebook holds.

    Raises:
        ConfigError: There is no such variable, or it holds something else.
    """
    from ainb.panels.compare import show

    show(_find(front, arguments.words[0]), complain=front.say)


def _find(front: Front, name: str) -> Comparison:
    from ainb.compare import Comparison

    names = front.shell.user_ns
    value = names.get(name)
    if isinstance(value, Comparison):
        return value
    known = [key for key, item in names.items() if isinstance(item, Comparison) and not key.startswith("_")]
    way_out = (
        f"comparisons here are: {', '.join(known)}"
        if known
        else f"make one: {name} = ainb.current().compare(frame, prompts, truth='label')"
    )
    held = "is not defined" if name not in names else f"holds no comparison, but {type(value).__name__}"
    raise ConfigError(f"{name!r} {held}; {way_out}")
