"""``%ai replay``: answers from the notebook's cassette; what it holds, and what of it is not used any more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ainb import session as sessions
from ainb.config.tree import REPLAYS
from ainb.errors import ConfigError
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import QUIET_DISPLAYS, Front
from ainb.panels.formatting import counted
from ainb.panels.markup import Report, Table
from ainb.suggestions import closest

if TYPE_CHECKING:
    from ainb.stores.cassette.file import Cassette

VARIABLE = "AINB_REPLAY"
ACTIONS = ("status", "prune")


def replay(front: Front, arguments: Arguments) -> Report | str | None:
    """Choose a mode, or look at the cassettes.

    Raises:
        ConfigError: There is no such mode, a name stands where none belongs, or a cassette is not what ainb writes.
    """
    word, *name = arguments.words or ["status"]
    if name and word != "record":
        raise ConfigError(f"%ai replay {word} takes no name; a name stands behind record only")
    if word == "status":
        return show_status(front)
    if word == "prune":
        return prune(front)
    if word not in REPLAYS:
        raise ConfigError(f"%ai replay has no mode {word!r}; {closest(word, [*REPLAYS, *ACTIONS])}")
    choose(front, word, name[0] if name else None)
    return None


def choose(front: Front, mode: str, name: str | None) -> None:
    """Switch the mode; nothing is shown, so that the cell reads the same when it is replayed."""
    forced = os.environ.get(VARIABLE)
    if forced:
        # A notebook that is run in CI must not begin to record because a cell of it says so.
        if forced != mode and front.display() not in QUIET_DISPLAYS:
            front.say(f"{VARIABLE}={forced} of the environment stands; unset it to choose a mode here")
        return
    if name is not None:
        front.cassette_name = name
        sessions.use(None)
    front.settings.put("replay", mode)


def show_status(front: Front) -> Report:
    """Records, records that this kernel has not used, and size of each cassette."""
    rows = [_row(cassette) for cassette in _cassettes(front)]
    # The mode is the run's, not the notebook's: it would tell a recorded output from a replayed one.
    chosen = front.session().config.replay
    mode = [] if front.display() == "static" else [f"replay is {chosen}"]
    if not rows:
        return Report([*mode, f"there is no cassette beside this notebook; {_way_to_one(front, chosen)}"])
    return Report(
        mode,
        [
            Table(
                caption="Cassettes",
                columns=("file", "records", "not used since the kernel started", "size in bytes"),
                rows=rows,
            )
        ],
    )


def prune(front: Front) -> str:
    """Drop the records that this kernel has not used.

    Raises:
        ConfigError: The kernel has used none, so nobody can tell which are needed.
    """
    from ainb.pipeline.replay.cassettes import Library

    cassette = Library(front.notebook).own()
    if not cassette.used:
        raise ConfigError(
            f"no record of {cassette.name} has been used since the kernel started; restart it, run the whole notebook, then prune"
        )
    dropped = cassette.keep_only(cassette.used)
    return f"{counted(dropped, 'record')} dropped from {cassette.name}, {len(cassette.lines())} kept"


def _way_to_one(front: Front, mode: str) -> str:
    if mode not in {"record", "auto"} or front.display() == "static":
        return "%ai replay record makes one"
    if front.notebook() is None:
        return "its name is not known here, so save it, or give a name with %ai replay record NAME or AINB_NOTEBOOK"
    return "the next answer begins it"


def _row(cassette: Cassette) -> tuple[str, ...]:
    keys = cassette.lines().keys()
    return cassette.name, f"{len(keys):,}", f"{len(keys - cassette.used):,}", f"{cassette.size_bytes():,}"


def _cassettes(front: Front) -> list[Cassette]:
    from ainb.pipeline.replay.cassettes import Library

    return [cassette for cassette in Library(front.notebook).cassettes() if cassette.size_bytes()]


def replay_row(front: Front) -> tuple[str, str] | None:
    """The mode, where it is not off."""
    mode = front.session().config.replay
    if mode == "off":
        return None
    return "replay", ", ".join([mode, *(cassette.name for cassette in _cassettes(front))])
