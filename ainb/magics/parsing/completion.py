"""Tab on the line of ``%%ai`` and ``%ai``: options, models, aliases, subcommands, formats."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from IPython.core.completer import SimpleCompletion

from ainb import keys
from ainb.errors import AinbError
from ainb.magics.commands.chat import ACTIONS
from ainb.magics.commands.help import topics
from ainb.magics.commands.list import provider_beginnings, provider_names, pulled_models
from ainb.magics.commands.table import COMMANDS
from ainb.magics.display.images import offer_pictures
from ainb.magics.each import table_names
from ainb.magics.origin import notebook_name
from ainb.magics.parsing.flags import CELL_FLAGS, Flag
from ainb.magics.parsing.schemas import schema_names
from ainb.magics.shell import Front

_CELL = re.compile(r"%%(?:ai|ainb)\s+")
_LINE = re.compile(r"\s*%(?:ai|ainb)\s+")


def complete(front: Front, context: Any) -> dict[str, Any]:
    """What IPython's completer takes from a matcher; nothing outside the lines of ainb's magics.

    Args:
        front: The shell.
        context: IPython's `CompletionContext`.
    """
    line = context.line_with_cursor[: context.cursor_position]
    if context.cursor_line == 0 and (match := _CELL.match(line)):
        words, offer = _words(line[match.end() :]), offer_for_cell
    elif match := _LINE.match(line):
        words, offer = _words(line[match.end() :]), offer_for_line
    else:
        return {"completions": []}
    typed = words[-1]
    found = [text for text in offer(front, words) if text.startswith(typed)]
    return {
        "completions": [SimpleCompletion(text=text, type="ainb") for text in found],
        "suppress": True,
        "matched_fragment": typed,
    }


def _words(typed: str) -> list[str]:
    """Words up to the cursor; the last one is being typed and may be empty."""
    return re.split(r"\s+", typed)


def offer_for_cell(front: Front, words: Sequence[str]) -> list[str]:
    """What may stand where the last word is being typed, behind ``%%ai``."""
    spelling, given, value = words[-1].partition("=")
    if given and (flag := _flag(spelling, CELL_FLAGS)) is not None and flag.metavar:
        return [f"{spelling}={item}" for item in _values(front, flag, [*words[:-1], value])]
    if len(words) > 1 and (flag := _flag(words[-2], CELL_FLAGS)) is not None and flag.metavar:
        return _values(front, flag, words)
    if words[-1].startswith("-"):
        return [spelling for flag in CELL_FLAGS for spelling in flag.spellings]
    return models(front)


def _values(front: Front, flag: Flag, words: Sequence[str]) -> list[str]:
    """What may stand behind an option."""
    offer = VALUES.get(flag.name)
    return offer(front, words) if offer else list(flag.choices)


def offer_for_line(front: Front, words: Sequence[str]) -> list[str]:
    """What may stand where the last word is being typed, behind ``%ai``."""
    if len(words) == 1:
        return sorted({name for command in COMMANDS for name in (command.name, *command.synonyms)})
    command = next((item for item in COMMANDS if words[0] in {item.name, *item.synonyms}), None)
    if command is None:
        return []
    if words[-1].startswith("-"):
        return [spelling for flag in command.flags or () for spelling in flag.spellings]
    offers: dict[str, Callable[[], list[str]]] = {
        "list": provider_names,
        "help": topics,
        "alias": lambda: models(front) if len(words) == len(("alias", "NAME", "MODEL")) else [],
        "dealias": lambda: sorted(_aliases(front)),
        "chat": lambda: [*(ACTIONS if len(words) == len(("chat", "ACTION")) else ()), *_chats(front, words)],
        "reset": lambda: _chats(front, words),
        "error": lambda: models(front),
        "fix": lambda: models(front),
    }
    return offers.get(command.name, lambda: list(command.choices))()


def models(front: Front) -> list[str]:
    """Aliases, pulled models, and the beginnings of all others."""
    return [
        *sorted(_aliases(front)),
        *(f"local:{model}" for model in pulled_models()),
        *provider_beginnings(),
    ]


def _chats(front: Front, _words: Sequence[str]) -> list[str]:
    return front.chats.names(notebook_name(front.shell) or "")


def _fallbacks(front: Front, words: Sequence[str]) -> list[str]:
    """Models, behind those that are typed already."""
    typed = words[-1]
    before = typed[: typed.rfind(",") + 1]
    return [before + model for model in models(front)]


def _columns(front: Front, words: Sequence[str]) -> list[str]:
    """Columns of the table behind --each."""
    at = words.index("--each") + 1 if "--each" in words else len(words)
    table = front.shell.user_ns.get(words[at]) if at < len(words) else None
    return ["*", *(name for name in getattr(table, "columns", ()) if isinstance(name, str))]


# What may stand behind an option, where the notebook tells.
VALUES: dict[str, Callable[[Front, Sequence[str]], list[str]]] = {
    "api-key-name": lambda _front, _words: keys.found(),
    "chat": _chats,
    "each": lambda front, _words: table_names(front),
    "fallback": _fallbacks,
    "image": lambda front, words: offer_pictures(front, words[-1]),
    "keep": _columns,
    "schema": lambda front, _words: schema_names(front),
}


def _aliases(front: Front) -> list[str]:
    try:
        return list(front.session().config.aliases)
    except AinbError:
        return []


def _flag(word: str, flags: Sequence[Flag]) -> Flag | None:
    return next((flag for flag in flags if word in flag.spellings), None)
