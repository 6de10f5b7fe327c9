"""``%ai replay``: set the replay mode; show and prune the notebook's cassettes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ainb import session as sessions
from ainb.config import REPLAYS, stays_inside
from ainb.errors import ConfigError
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import QUIET_DISPLAYS, NotebookShell
from ainb.panels.markup import Report, Table
from ainb.plain import counted
from ainb.suggestions import closest

if TYPE_CHECKING:
    from ainb.stores.cassette import Cassette

VARIABLE = "AINB_REPLAY"
ACTIONS = ("status", "prune")


def replay(shell: NotebookShell, arguments: Arguments) -> Report | str | None:
    """Set the mode, show the cassettes, or prune the notebook's own.

    Raises:
        ConfigError: There is no such mode, a name is given to a mode without one, or a cassette is not one
            of ainb's.
    """
    word, *name = arguments.words or ["status"]
    if name and word != "record":
        raise ConfigError(f"%ai replay {word} takes no name; only record takes one")
    if word == "status":
        return show_status(shell)
    if word == "prune":
        return prune(shell)
    if word not in REPLAYS:
        raise ConfigError(f"%ai replay has no mode {word!r}; {closest(word, [*REPLAYS, *ACTIONS])}")
    set_mode(shell, word, name[0] if name else None)
    return None


def set_mode(shell: NotebookShell, mode: str, name: str | None) -> None:
    """Set the mode. Nothing is shown, so that the cell's output is the same in a replay."""
    forced = os.environ.get(VARIABLE)
    if forced:
        # A cell of a notebook in CI must not switch recording on.
        if forced != mode and shell.display() not in QUIET_DISPLAYS:
            shell.print_line(
                f"{VARIABLE}={forced} in the environment takes precedence; unset it to choose a mode here"
            )
        return
    if name is not None:
        shell.cassette_name = name
        sessions.use(None)
    shell.settings.set_option("replay", mode)


def show_status(shell: NotebookShell) -> Report:
    """Records, records not used by this kernel, and size of each cassette."""
    rows = [_row(cassette) for cassette in _cassettes(shell)]
    # Without the mode, which would make recorded and replayed outputs differ.
    chosen = shell.session().config.replay
    mode = [] if shell.display() == "static" else [f"replay is {chosen}"]
    if not rows:
        return Report(
            [*mode, f"there is no cassette beside this notebook; {_how_to_make_one(shell, chosen)}"]
        )
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


def prune(shell: NotebookShell) -> str:
    """Remove the records that this kernel has not used.

    Raises:
        ConfigError: The kernel has used none, so the needed ones are unknown.
    """
    from ainb.pipeline.replay import Library

    cassette = Library(shell.notebook_path, may_use=stays_inside).own()
    if not cassette.used:
        raise ConfigError(
            f"no record of {cassette.name} has been used since the kernel started; "
            "restart it, run the whole notebook, then prune"
        )
    dropped = cassette.keep_only(cassette.used)
    return f"{counted(dropped, 'record')} dropped from {cassette.name}, {len(cassette.lines())} kept"


def _how_to_make_one(shell: NotebookShell, mode: str) -> str:
    if mode not in {"record", "auto"} or shell.display() == "static":
        return "%ai replay record makes one"
    if shell.notebook_path() is None:
        return (
            "its name is not known here, so save it, "
            "or give a name with %ai replay record NAME or AINB_NOTEBOOK"
        )
    return "the next answer begins it"


def _row(cassette: Cassette) -> tuple[str, ...]:
    keys = cassette.lines().keys()
    return cassette.name, f"{len(keys):,}", f"{len(keys - cassette.used):,}", f"{cassette.size_bytes():,}"


def _cassettes(shell: NotebookShell) -> list[Cassette]:
    from ainb.pipeline.replay import Library

    return [
        cassette
        for cassette in Library(shell.notebook_path, may_use=stays_inside).cassettes()
        if cassette.size_bytes()
    ]


def replay_row(shell: NotebookShell) -> tuple[str, str] | None:
    """Row of the status: the mode; None when replay is off."""
    mode = shell.session().config.replay
    if mode == "off":
        return None
    return "replay", ", ".join([mode, *(cassette.name for cassette in _cassettes(shell))])
