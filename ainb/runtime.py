"""What a session takes from the world: time, randomness, who listens, and which notebook it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.events import Sink, silent
from ainb.stores.notebook import find_notebook


def script_origin() -> tuple[str | None, str | None]:
    """The script that was started, by its file name; a session at a prompt has none."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return (os.path.basename(path) if path else None), None  # noqa: PTH119 - called for every call, a Path costs ten times that


def usual_origin() -> tuple[str | None, str | None]:
    """Notebook and cell where the extension is loaded, else the script.

    The extension is looked up, not handed in, so that sessions which people make themselves know their notebook too.
    """
    find = getattr(sys.modules.get("ainb.magics"), "find_origin", None)
    return script_origin() if find is None else find()


def usual_notebook() -> Path | None:
    """Path of the notebook as the loaded extension knows it, else as the environment tells it, else of the script."""
    find = getattr(sys.modules.get("ainb.magics"), "find_notebook", None)
    return find_notebook() if find is None else find()


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What a session takes from the world: time, randomness, and who listens.

    Attributes:
        clock: Where time comes from.
        rng: Where jitter comes from.
        sink: Who is told of finished calls and notices.
        origin: Notebook or script that a call comes from, and its cell; each None where nobody can tell.
        notebook: Path of the notebook or script, beside which its cassette lies; None where nobody can tell.
    """

    clock: Clock = SYSTEM_CLOCK
    rng: Random = field(default_factory=SystemRandom)
    sink: Sink = silent
    origin: Callable[[], tuple[str | None, str | None]] = usual_origin
    notebook: Callable[[], Path | None] = usual_notebook
