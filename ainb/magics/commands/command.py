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
        name: As typed after ``%ai``.
        run: Its function; the return value is shown, None shows nothing.
        metavar: The words after it, for the help.
        words: Smallest and largest number of words that it takes.
        flags: Its own options; None takes words as typed, with their dashes.
        synonyms: Other names.
        choices: Words that Tab offers after it.
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
