"""Handles lines pasted from other tools: a question after the model, Quarto options above the prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

QUARTO = "#|"
_QUESTION = re.compile(r"%(ai|ainb)[ \t]+(\S+[ \t]+\S.*\?)\s*", re.DOTALL)
MAGICS = ("%%ai", "%%ainb")


def split_question(line: str, is_model: Callable[[str], bool]) -> tuple[str, str]:
    """Split a line into MODEL and the question after it; the question is empty if no plain word follows.

    The question is taken as typed: an apostrophe or a ``#`` in it is part of the question.
    """
    model, _, rest = line.strip().partition(" ")
    question = rest.strip()
    if not question or question.startswith(("-", "#")) or not is_model(model):
        return line, ""
    return model, question


def without_quarto_options(body: str) -> str:
    """A prompt without the ``#|`` lines at its top."""
    lines = body.splitlines(keepends=True)
    first = next((place for place, text in enumerate(lines) if not text.startswith(QUARTO)), len(lines))
    return "".join(lines[first:])


def ask_instead_of_help(lines: Sequence[str]) -> list[str]:
    """Turn lines ``%ai MODEL question?`` into calls of the magic: IPython would show its own help."""
    code = "".join(lines)
    if "%ai" not in code or code.startswith("%%") or '"""' in code or "'''" in code:
        return list(lines)
    return [_as_call(line) for line in lines]


def _as_call(line: str) -> str:
    found = _QUESTION.fullmatch(line)
    return f"get_ipython().run_line_magic({found[1]!r}, {found[2]!r})\n" if found else line


def uncover_cell_magic(lines: Sequence[str]) -> list[str]:
    """Drop ``#|`` lines above ``%%ai``, which would hide the magic; other cells are not changed."""
    if not lines or not lines[0].startswith(QUARTO):
        return list(lines)
    first = next(
        (place for place, text in enumerate(lines) if text.strip() and not text.startswith(QUARTO)), None
    )
    if first is None or lines[first].split(maxsplit=1)[0] not in MAGICS:
        return list(lines)
    return list(lines[first:])
