"""Tab completion on the lines of ``%%ai`` and ``%ai``: options, models, aliases, subcommands, values."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from IPython.core.completer import SimpleCompletion

from ainb import keys
from ainb.errors import AinbError
from ainb.magics.commands.chat import ACTIONS
from ainb.magics.commands.help import topics
from ainb.magics.commands.list import model_prefixes, provider_names, pulled_models
from ainb.magics.commands.table import BY_NAME, COMMANDS
from ainb.magics.display.images import image_names
from ainb.magics.each import is_table
from ainb.magics.origin import notebook_name
from ainb.magics.parsing.flags import CELL_FLAGS, Flag
from ainb.magics.parsing.schemas import is_schema
from ainb.magics.shell import NotebookShell
from ainb.prompts import first_word, is_value

_CELL = re.compile(r"%%(?:ai|ainb)\s+")
_FIELD = re.compile(r"\{([^{}\n]*)$")
_EACH = re.compile(r"--each[ =]+['\"]?([^\s'\"]+)")
_LINE = re.compile(r"\s*%(?:ai|ainb)\s+")


def complete(shell: NotebookShell, context: Any) -> dict[str, Any]:
    """Matcher result for IPython's completer; without completions outside the lines of ainb's magics.

    Args:
        shell: The notebook shell.
        context: IPython's `CompletionContext`.
    """
    line = context.line_with_cursor[: context.cursor_position]
    if context.cursor_line > 0 and (match := _CELL.match(context.full_text)):
        field = _FIELD.search(line)
        if field is None:
            return {"completions": []}
        typed = field[1]
        offered = _fields(shell, context.full_text[match.end() :].partition("\n")[0])
    else:
        is_cell = context.cursor_line == 0 and (match := _CELL.match(line))
        if not (match := is_cell or _LINE.match(line)):
            return {"completions": []}
        # Words up to the cursor; the last one is incomplete and may be empty.
        words = re.split(r"\s+", line[match.end() :])
        typed = words[-1]
        offered = cell_completions(shell, words) if is_cell else line_completions(shell, words)
    found = [text for text in offered if text.startswith(typed)]
    return {
        "completions": [SimpleCompletion(text=text, type="ainb") for text in found],
        "suppress": True,
        "matched_fragment": typed,
    }


def _fields(shell: NotebookShell, magic_line: str) -> list[str]:
    """Fields of a prompt: columns of the table of ``--each`` and variables of the notebook."""
    return [*dict.fromkeys((*_table_columns(shell, magic_line), *shell.variables(is_value)))]


def _table_columns(shell: NotebookShell, magic_line: str) -> list[str]:
    """Columns of the table of ``--each`` or at the start of its expression; evaluates nothing."""
    each = _EACH.search(magic_line)
    table = shell.ipython.user_ns.get(first_word(each[1])) if each else None
    columns = getattr(table, "columns", None)
    if columns is None or callable(columns):
        return ["value"] if each else []
    try:
        return [".".join(map(str, label)) if isinstance(label, tuple) else str(label) for label in columns]
    except TypeError:
        return []


def cell_completions(shell: NotebookShell, words: Sequence[str]) -> list[str]:
    """Completions of the last word after ``%%ai``."""
    spelling, given, value = words[-1].partition("=")
    if given and (flag := _flag(spelling, CELL_FLAGS)) is not None and flag.metavar:
        return [f"{spelling}={item}" for item in _values(shell, flag, [*words[:-1], value])]
    if len(words) > 1 and (flag := _flag(words[-2], CELL_FLAGS)) is not None and flag.metavar:
        return _values(shell, flag, words)
    if words[-1].startswith("-"):
        return [spelling for flag in CELL_FLAGS for spelling in flag.spellings]
    return models(shell)


def _values(shell: NotebookShell, flag: Flag, words: Sequence[str]) -> list[str]:
    """Completions of an option's value."""
    offer = VALUES.get(flag.name)
    return offer(shell, words) if offer else list(flag.choices)


def line_completions(shell: NotebookShell, words: Sequence[str]) -> list[str]:
    """Completions of the last word after ``%ai``."""
    if len(words) == 1:
        return sorted(BY_NAME)
    command = BY_NAME.get(words[0])
    if command is None:
        return []
    if words[-1].startswith("-"):
        return [spelling for flag in command.flags or () for spelling in flag.spellings]
    offers: dict[str, Callable[[], list[str]]] = {
        "list": provider_names,
        "help": lambda: topics(COMMANDS),
        "alias": lambda: models(shell) if len(words) == len(("alias", "NAME", "MODEL")) else [],
        "dealias": lambda: sorted(_aliases(shell)),
        "chat": lambda: [*(ACTIONS if len(words) == len(("chat", "ACTION")) else ()), *_chats(shell, words)],
        "reset": lambda: _chats(shell, words),
        "error": lambda: models(shell),
        "fix": lambda: models(shell),
    }
    return offers.get(command.name, lambda: list(command.choices))()


def models(shell: NotebookShell) -> list[str]:
    """Aliases, pulled models, and prefixes of all other models."""
    return [
        *sorted(_aliases(shell)),
        *(f"local:{model}" for model in pulled_models()),
        *model_prefixes(),
    ]


def _chats(shell: NotebookShell, _words: Sequence[str]) -> list[str]:
    return shell.chats.names(notebook_name(shell.ipython) or "")


def _fallbacks(shell: NotebookShell, words: Sequence[str]) -> list[str]:
    """Models to append to those that are typed already."""
    typed = words[-1]
    before = typed[: typed.rfind(",") + 1]
    return [before + model for model in models(shell)]


def _columns(shell: NotebookShell, words: Sequence[str]) -> list[str]:
    """Columns of the table of --each."""
    at = words.index("--each") + 1 if "--each" in words else len(words)
    table = shell.ipython.user_ns.get(words[at]) if at < len(words) else None
    return ["*", *(name for name in getattr(table, "columns", ()) if isinstance(name, str))]


# Completions of values that depend on the notebook, by option.
VALUES: dict[str, Callable[[NotebookShell, Sequence[str]], list[str]]] = {
    "api-key-name": lambda _shell, _words: keys.found(),
    "chat": _chats,
    "each": lambda shell, _words: shell.variables(is_table),
    "fallback": _fallbacks,
    "image": lambda shell, _words: image_names(shell),
    "keep": _columns,
    "schema": lambda shell, _words: shell.variables(is_schema),
}


def _aliases(shell: NotebookShell) -> list[str]:
    try:
        return list(shell.session().config.aliases)
    except AinbError:
        return []


def _flag(word: str, flags: Sequence[Flag]) -> Flag | None:
    return next((flag for flag in flags if word in flag.spellings), None)
