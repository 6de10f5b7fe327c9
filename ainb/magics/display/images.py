"""``--image``: attaches images, given as variables or files, to the cell's prompt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ainb.errors import ConfigError
from ainb.magics.shell import NotebookShell
from ainb.messages import Call, Message
from ainb.prompts import SUFFIXES, picture_part

MAX_IMAGES = 20
MAX_OFFERED = 50


def attach_images(shell: NotebookShell, call: Call, names: Sequence[str]) -> None:
    """Put images in front of the text of the last message.

    Args:
        shell: The notebook shell.
        call: A call whose last message is a text.
        names: Variables of the notebook or files; a variable takes precedence.

    Raises:
        ConfigError: A name is neither, its value is not an image or is too large, or there are too many.
    """
    if not names:
        return
    if len(names) > MAX_IMAGES:
        raise ConfigError(f"a question takes {MAX_IMAGES} pictures; {len(names)} are given")
    *before, question = call.request.messages
    parts = [_find(shell, name) for name in names]
    parts.append({"type": "text", "text": question.text})
    messages = (*before, Message(question.role, tuple(parts)))
    call.request = dataclasses.replace(call.request, messages=messages)


def image_names(shell: NotebookShell) -> list[str]:
    """Variables and files that may be images, for Tab; nothing is rendered or read."""
    files = [path.name for path in sorted(Path().iterdir()) if path.suffix.lower() in SUFFIXES]
    return [*shell.variables(_looks_like_image), *files[:MAX_OFFERED]]


def _looks_like_image(value: object) -> bool:
    if hasattr(value, "savefig") or (hasattr(value, "save") and hasattr(value, "mode")):
        return not isinstance(value, type)
    return hasattr(value, "__array_interface__") and len(getattr(value, "shape", ())) in {2, 3}


def _find(shell: NotebookShell, name: str) -> dict[str, object]:
    names = shell.ipython.user_ns
    if name.isidentifier() and name in names:
        return picture_part(names[name], name)
    if not Path(name).expanduser().is_file():
        raise ConfigError(f"--image {name} names neither a variable of the notebook nor a file")
    return picture_part(Path(name), name)
