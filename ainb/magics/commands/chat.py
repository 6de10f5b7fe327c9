"""``%ai chat`` and ``%ai reset``: list, show, fork, cut and forget the chats of the notebook."""

from __future__ import annotations

from collections.abc import Callable

from ainb import tokens
from ainb.errors import ConfigError
from ainb.magics.chat_turns import NO_NOTEBOOK
from ainb.magics.origin import notebook_name
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import NotebookShell
from ainb.panels.markup import Report, Table
from ainb.plain import counted

SHOWN_CHARS = 300


def run_chat(shell: NotebookShell, arguments: Arguments) -> Report | str:
    """List the chats of the notebook, or show, fork, cut or forget one."""
    words = list(arguments.words)
    if not words:
        return _list(shell)
    if words[0] not in ACTIONS:
        words.insert(0, "show")
    action, *names = words
    wants, act = ACTIONS[action]
    if len(names) != len(wants.split()):
        raise ConfigError(f"%ai chat {action} is written %ai chat {action} {wants}")
    return act(shell, *names)


def reset(shell: NotebookShell, arguments: Arguments) -> str:
    """Forget one chat or all chats of the notebook."""
    if arguments.words:
        return _reset(shell, arguments.words[0])
    count = shell.chats.reset(_notebook(shell))
    if not count:
        return "there were no chats"
    return f"{counted(count, 'chat')} forgotten; answers stay in the cache"


def _notebook(shell: NotebookShell) -> str:
    return notebook_name(shell.ipython) or NO_NOTEBOOK


def _list(shell: NotebookShell) -> Report:
    notebook = _notebook(shell)
    names = shell.chats.names(notebook)
    if not names:
        return Report(["There are no chats; start one with %%ai --chat NAME."])
    rows = []
    for name in names:
        turns = shell.chats.find(notebook, name).turns
        size = sum(tokens.count_tokens(turn.messages) for turn in turns)
        rows.append((name, len(turns), f"{size:,}", turns[-1].model))
    return Report(
        tables=[Table(caption="Chats", columns=("chat", "turns", "tokens", "last model"), rows=rows)]
    )


def _show(shell: NotebookShell, name: str) -> Report:
    chat = shell.chats.find(_notebook(shell), name)
    rows = [
        (number, _short(turn.question.text), _short(turn.answer), turn.model)
        for number, turn in enumerate(chat.turns, 1)
    ]
    lines = [f"System: {_short(chat.system)}"] if chat.system else []
    return Report(
        lines, [Table(caption=f"Chat {name}", columns=("turn", "question", "answer", "model"), rows=rows)]
    )


def _fork(shell: NotebookShell, name: str, copy: str) -> str:
    fork = shell.chats.fork(_notebook(shell), name, copy)
    return f"{copy} goes on from the {len(fork.turns)} turns of {name}"


def _cut(shell: NotebookShell, name: str, turns: str) -> str:
    if not turns.isdecimal():
        raise ConfigError(f"TURNS is how many turns to keep, a whole number; it is {turns!r}")
    dropped = shell.chats.cut(_notebook(shell), name, int(turns))
    return f"{dropped} turns of {name} are dropped"


def _reset(shell: NotebookShell, name: str) -> str:
    shell.chats.reset(_notebook(shell), name)
    return f"{name} is forgotten; answers stay in the cache"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]} …"


# Action: the words after it, and its function.
ACTIONS: dict[str, tuple[str, Callable[..., Report | str]]] = {
    "show": ("NAME", _show),
    "fork": ("NAME NEW", _fork),
    "cut": ("NAME TURNS", _cut),
    "reset": ("NAME", _reset),
}
