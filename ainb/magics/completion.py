"""Tab on the line of ``%%ai`` and ``%ai``: options, models, aliases, subcommands, formats."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from IPython.core.completer import SimpleCompletion

from ainb.errors import AinbError
from ainb.magics.chatting import ACTIONS
from ainb.magics.commands import COMMANDS
from ainb.magics.each import table_names
from ainb.magics.flags import CELL_FLAGS, Flag
from ainb.magics.front import Front
from ainb.magics.listing import provider_beginnings, provider_names, pulled_models
from ainb.magics.origin import notebook_name
from ainb.magics.pictures import offer_pictures
from ainb.magics.schemas import schema_names

# Options whose value is a name of the notebook.
NAMES: dict[str, Callable[[Front], list[str]]] = {"schema": schema_names, "each": table_names}
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
    if len(words) > 1 and (flag := _flag(words[-2], CELL_FLAGS)) is not None and flag.metavar:
        if flag.name in NAMES:
            return NAMES[flag.name](front)
        offer = VALUES.get(flag.name)
        return offer(front, words[-1]) if offer else list(flag.choices)
    if words[-1].startswith("-"):
        return [spelling for flag in CELL_FLAGS for spelling in flag.spellings]
    return models(front)


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
        "help": lambda: [*(flag.name for flag in CELL_FLAGS), *(item.name for item in COMMANDS)],
        "alias": lambda: models(front) if len(words) == len(("alias", "NAME", "MODEL")) else [],
        "dealias": lambda: sorted(_aliases(front)),
        "chat": lambda: [*(ACTIONS if len(words) == len(("chat", "ACTION")) else ()), *_chats(front, "")],
        "reset": lambda: _chats(front, ""),
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


def _chats(front: Front, _typed: str) -> list[str]:
    return front.chats.names(notebook_name(front.shell) or "")


def _fallbacks(front: Front, typed: str) -> list[str]:
    """Models, behind those that are typed already."""
    before = typed[: typed.rfind(",") + 1]
    return [before + model for model in models(front)]


# What may stand behind an option, where the notebook tells.
VALUES: dict[str, Callable[[Front, str], list[str]]] = {
    "chat": _chats,
    "fallback": _fallbacks,
    "image": offer_pictures,
}


def _aliases(front: Front) -> list[str]:
    try:
        return list(front.session().config.aliases)
    except AinbError:
        return []


def _flag(word: str, flags: Sequence[Flag]) -> Flag | None:
    return next((flag for flag in flags if word in flag.spellings), None)
