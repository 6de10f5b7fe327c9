"""Handles lines pasted from other tools: a question after the model, Quarto options above the prompt."""

from __future__ import annotations

import itertools
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
    return "".join(itertools.dropwhile(lambda line: line.startswith(QUARTO), lines))


def ask_instead_of_help(lines: Sequence[str]) -> list[str]:
    """Turn lines ``%ai MODEL question?`` into calls of the magic: IPython would show its own help."""
    code = "".join(lines)
    if code.startswith("%%") or '"""' in code or "'''" in code:
        return list(lines)
    return [_as_call(line) for line in lines]


def _as_call(line: str) -> str:
    found = _QUESTION.fullmatch(line)
    return f"get_ipython().run_line_magic({found[1]!r}, {found[2]!r})\n" if found else line


def uncover_cell_magic(lines: Sequence[str]) -> list[str]:
    """Drop ``#|`` lines above ``%%ai``, which would hide the magic; other cells are not changed."""
    below = list(itertools.dropwhile(lambda line: line.startswith(QUARTO) or not line.strip(), lines))
    is_hidden = bool(below) and lines[0].startswith(QUARTO) and below[0].split(maxsplit=1)[0] in MAGICS
    return below if is_hidden else list(lines)
