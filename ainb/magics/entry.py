"""Entry points of ``%%ai`` and ``%ai``: distinguish a model's name from a subcommand."""

from __future__ import annotations

from typing import Any

from ainb import providers
from ainb.errors import AinbError, ConfigError
from ainb.magics.cell import run_cell
from ainb.magics.line import is_command, run_line
from ainb.magics.parsing.pasted import split_question, without_quarto_options
from ainb.magics.shell import NotebookShell


def run_cell_magic(shell: NotebookShell, line: str, body: str, magic: str) -> Any:
    """Run ``%%ai``: a prompt, whose first line may follow the model, or a subcommand typed as a cell.

    Returns:
        What `run_cell` or `run_line` returns.

    Raises:
        AinbError: As these raise.
    """
    first = line.strip().partition(" ")[0]
    if is_command(first) and not _is_model(shell, first):
        return run_line(shell, line, magic[1:])
    line, question = split_question(line, lambda word: _is_model(shell, word))
    prompt = without_quarto_options(body)
    return run_cell(shell, line, f"{question}\n{prompt}" if question else prompt, magic)


def run_line_magic(shell: NotebookShell, line: str, magic: str) -> Any:
    """Run ``%ai``: a subcommand, or a model with a question of one line.

    Returns:
        What `run_cell` or `run_line` returns.

    Raises:
        AinbError: As these raise.
    """
    first, _, rest = line.strip().partition(" ")
    if first and not is_command(first) and _is_model(shell, first):
        line, question = split_question(line, lambda word: _is_model(shell, word))
        if not question:
            raise ConfigError(
                f"{magic} {first} lacks a question; to ask a model write %{magic} {first} above a prompt, "
                f"or a question of one line after it: {magic} {first} What is …?"
                if not rest
                else f"{magic} {first} takes only a question; "
                f"with options write %{magic} {line.strip()} above the prompt"
            )
        return run_cell(shell, line, question, magic)
    return run_line(shell, line, magic)


def _is_model(shell: NotebookShell, word: str) -> bool:
    """Whether a word is the name of a model or an alias."""
    try:
        providers.split_model(word, shell.session().config.aliases)
    except AinbError:
        return False
    return True
