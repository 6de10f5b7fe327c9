"""``--image``: names and files of the cell's line, put in front of its question."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ainb.errors import ConfigError
from ainb.magics.shell import Front
from ainb.messages import Call, Message
from ainb.prompts.images import SUFFIXES, picture_part

MAX_PICTURES = 20
MAX_OFFERED = 50


def show_pictures(front: Front, call: Call, names: Sequence[str]) -> None:
    """Put the pictures in front of the last message's text.

    Args:
        front: The shell.
        call: A call whose last message is a text.
        names: Names of the notebook, or files; a name of the notebook goes first.

    Raises:
        ConfigError: One is neither, no picture, or too large; or they are too many.
    """
    if not names:
        return
    if len(names) > MAX_PICTURES:
        raise ConfigError(f"a question takes {MAX_PICTURES} pictures; {len(names)} are given")
    *before, question = call.request.messages
    parts = [_find(front, name) for name in names]
    parts.append({"type": "text", "text": question.text})
    messages = (*before, Message(question.role, tuple(parts)))
    call.request = dataclasses.replace(call.request, messages=messages)


def offer_pictures(front: Front, _typed: str) -> list[str]:
    """Names and files that may be pictures, for Tab; nothing is drawn or read."""
    known = {
        name
        for name, value in front.shell.user_ns.items()
        if not name.startswith("_") and _looks_like_picture(value)
    }
    files = [path.name for path in sorted(Path().iterdir()) if path.suffix.lower() in SUFFIXES]
    return [*sorted(known), *files[:MAX_OFFERED]]


def _looks_like_picture(value: object) -> bool:
    if hasattr(value, "savefig") or (hasattr(value, "save") and hasattr(value, "mode")):
        return not isinstance(value, type)
    return hasattr(value, "__array_interface__") and len(getattr(value, "shape", ())) in {2, 3}


def _find(front: Front, name: str) -> dict[str, object]:
    names = front.shell.user_ns
    if name.isidentifier() and name in names:
        return picture_part(names[name], name)
    if not Path(name).expanduser().is_file():
        raise ConfigError(f"--image {name} names neither a variable of the notebook nor a file")
    return picture_part(Path(name), name)
