"""`Command`: one row of the table of ``%ai`` subcommands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ainb.magics.parsing.arguments import Arguments
from ainb.magics.parsing.flags import Flag
from ainb.magics.shell import NotebookShell


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand of ``%ai``.

    Attributes:
        name: As typed behind ``%ai``.
        run: Its function; what it returns is shown, None shows nothing.
        metavar: The words behind it, for the help.
        words: Least and greatest number of words that it takes.
        flags: Its own options; None takes words as typed, dashes and all.
        synonyms: Other names.
        choices: Words that Tab offers behind it.
        help: One line.
        example: A line that can be typed.
    """

    name: str
    _: KW_ONLY
    run: Callable[[NotebookShell, Arguments], Any]
    metavar: str = ""
    words: tuple[int, int] = (0, 0)
    flags: Sequence[Flag] | None = ()
    synonyms: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    help: str
    example: str

    @property
    def usage(self) -> str:
        """Name and words, as typed."""
        return f"{self.name} {self.metavar}".strip()
