"""``%ai``: run a subcommand, or show a short status."""

from __future__ import annotations

from typing import Any

from ainb.errors import ConfigError
from ainb.magics.commands.command import Command
from ainb.magics.commands.frame_report import FrameReport, suppress_display
from ainb.magics.commands.status import short_status
from ainb.magics.commands.table import BY_NAME
from ainb.magics.parsing.arguments import Arguments, parse
from ainb.magics.parsing.line_words import split_words
from ainb.magics.shell import NotebookShell
from ainb.plain import counted
from ainb.suggestions import closest

# Spellings of command-line options.
OPTION_SPELLINGS = {"--help": "help", "-h": "help", "--version": "version"}
# Common words for subcommands that have another name.
SUGGESTED_NAMES = {
    "billing": "cost", "price": "cost", "spend": "cost", "download": "pull", "install": "pull",
    "key": "login", "keys": "login", "token": "login", "model": "list", "models": "list", "prices": "list",
    "providers": "list",
}  # fmt: skip


def run_line(shell: NotebookShell, line: str, magic: str = "%ai") -> Any:
    """Run the subcommand of a line, or show the status.

    Returns:
        The frame of a subcommand that returns one, else None.

    Raises:
        ConfigError: There is no such subcommand or option.
    """
    shell.printed_lines.clear()
    name, _, rest = line.strip().partition(" ")
    if not name:
        shell.show(short_status(shell))
        return None
    command = find_command(name, magic)
    if rest.split() in (["--help"], ["-h"]):
        command, rest = find_command("help", magic), f"%{command.name}"
    if command.flags is None:
        arguments = Arguments(words=[word.text for word in split_words(rest)])
    else:
        arguments = parse(rest, command.flags, f"{magic} {name}".strip())
    least, most = command.words
    if not least <= len(arguments.words) <= most:
        raise ConfigError(
            f"{magic} {name} is written {magic} {command.usage}; "
            f"{counted(len(arguments.words), 'word')} given"
        )
    shown = command.run(shell, arguments)
    if isinstance(shown, FrameReport):
        shell.show(shown.report)
        return suppress_display(shown.frame, shell.ipython)
    if shown is not None:
        shell.show(shown)
    return None


def is_command(name: str) -> bool:
    """Whether a word is a subcommand, a synonym of one, or an option with the same meaning."""
    return name in OPTION_SPELLINGS or name in BY_NAME


def find_command(name: str, magic: str = "%ai") -> Command:
    """The subcommand of that name or synonym.

    Raises:
        ConfigError: There is none.
    """
    wanted = OPTION_SPELLINGS.get(name, name)
    if wanted not in BY_NAME:
        way_out = (
            f"to ask a model write {magic.replace('%', '%%')} {name} above a prompt, or {magic} MODEL "
            "question"
            if ":" in name
            else closest(SUGGESTED_NAMES.get(wanted.lower(), wanted), BY_NAME)
        )
        raise ConfigError(f"{magic} has no subcommand {name!r}; {way_out}")
    return BY_NAME[wanted]
