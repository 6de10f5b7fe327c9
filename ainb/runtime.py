"""Injected dependencies of a session: clock, randomness, event sink, notebook identity."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

from ainb import host
from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.events import Sink, silent
from ainb.stores.notebook import find_notebook


def script_origin() -> tuple[str | None, str | None]:
    """Origin of calls in a script: its file name (None in an interactive session), and None for the cell."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return (os.path.basename(path) if path else None), None  # noqa: PTH119 - runs for every call; a Path costs ten times that


def default_origin() -> tuple[str | None, str | None]:
    """Default origin of calls: notebook and cell if the extension is loaded, else the script.

    It is looked up at each call, so that sessions created by users also have the notebook's name.
    """
    front_end = host.registered()
    return script_origin() if front_end is None else front_end.find_origin()


def default_notebook() -> Path | None:
    """Default path of the notebook: from the loaded extension, else the environment, else the script."""
    front_end = host.registered()
    return find_notebook() if front_end is None else front_end.find_notebook()


def ask_front_end(question: str) -> bool | None:
    """Ask the user a yes-or-no question in the notebook; None if that is not possible, as in a script."""
    front_end = host.registered()
    return None if front_end is None else front_end.confirm(question)


def watch_in_front_end(**options: Any) -> host.BatchWatcher | None:
    """Panel of a batch in the notebook; see `ainb.host.Host`. None if no user is watching, as in a script."""
    front_end = host.registered()
    return None if front_end is None else front_end.watch_batch(**options)


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Injected dependencies of a session.

    Attributes:
        clock: Source of time.
        rng: Source of randomness, for jitter.
        sink: Receives finished calls and notices.
        origin: Returns the notebook or script of a call, and its cell; each None when unknown.
        notebook: Returns the path of the notebook or script, beside which its cassette is stored; None when
            unknown.
        confirm: Asks the user a question; True for yes, None when the user cannot be asked.
        watch_batch: Shows a batch that was started without a ``watcher``; see `ainb.host.Host`.
    """

    clock: Clock = SYSTEM_CLOCK
    rng: Random = field(default_factory=SystemRandom)
    sink: Sink = silent
    origin: Callable[[], tuple[str | None, str | None]] = default_origin
    notebook: Callable[[], Path | None] = default_notebook
    confirm: Callable[[str], bool | None] = ask_front_end
    watch_batch: Callable[..., host.BatchWatcher | None] = watch_in_front_end
