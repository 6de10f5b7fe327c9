"""``%ai``: a short status, or one of its subcommands."""

from __future__ import annotations

from typing import Any

from ainb.errors import ConfigError
from ainb.magics.commands.frames import Framed, mark_shown
from ainb.magics.commands.summary import status
from ainb.magics.commands.table import COMMANDS, Command
from ainb.magics.parsing.arguments import Arguments, parse
from ainb.magics.parsing.line_words import split_words
from ainb.magics.shell import Front
from ainb.panels.formatting import counted
from ainb.suggestions import closest

# People type these as options of any command line.
LIKE_OPTIONS = {"--help": "help", "-h": "help", "--version": "version"}


def run_line(front: Front, line: str, magic: str = "%ai") -> Any:
    """Run the subcommand that the line names, or show the status.

    Returns:
        The frame that a subcommand made, else None.

    Raises:
        ConfigError: There is no such subcommand or option.
    """
    front.lines.clear()
    name, _, rest = line.strip().partition(" ")
    if not name:
        front.show(status(front, Arguments()))
        return None
    command = find_command(name, magic)
    if rest.split() in (["--help"], ["-h"]):
        command, rest = find_command("help", magic), command.name
    if command.flags is None:
        arguments = Arguments(words=[word.text for word in split_words(rest)])
    else:
        arguments = parse(rest, command.flags, f"{magic} {name}".strip())
    least, most = command.words
    if not least <= len(arguments.words) <= most:
        raise ConfigError(
            f"{magic} {name} is written {magic} {command.usage}; {counted(len(arguments.words), 'word')} given"
        )
    shown = command.run(front, arguments)
    if isinstance(shown, Framed):
        front.show(shown.report)
        return mark_shown(shown.frame, front.shell)
    if shown is not None:
        front.show(shown)
    return None


def find_command(name: str, magic: str = "%ai") -> Command:
    """The subcommand of that name or synonym.

    Raises:
        ConfigError: There is none.
    """
    known = {spelling: command for command in COMMANDS for spelling in (command.name, *command.synonyms)}
    wanted = LIKE_OPTIONS.get(name, name)
    if wanted not in known:
        way_out = (
            f"to ask a model write {magic.replace('%', '%%')} {name} above a prompt"
            if ":" in name
            else closest(name, known)
        )
        raise ConfigError(f"{magic} has no subcommand {name!r}; {way_out}")
    return known[wanted]
