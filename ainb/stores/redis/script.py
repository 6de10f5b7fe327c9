"""Lua scripts run by the server, for decisions that several processes share, in one atomic step."""

from __future__ import annotations

import hashlib
from importlib.resources import files


class Script:
    """A Lua script and its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


SCRIPTS: list[Script] = []


def load_script(name: str, *, head: str | None = None, **constants: float) -> Script:
    """Read a script of the folder ``lua``; it is loaded into the server whenever a connection opens.

    Args:
        name: Path below ``lua`` without its suffix, such as "limiter/acquire".
        head: Script of shared functions that is prepended, or None.
        constants: Numbers that the script uses by name, defined in Python because the local implementation
            uses them too.
    """
    folder = files(__package__) / "lua"
    parts = [f"local {constant} = {value!r}" for constant, value in constants.items()]
    parts += [
        (folder / f"{part}.lua").read_text(encoding="utf-8") for part in (head, name) if part is not None
    ]
    script = Script("\n".join(parts))
    SCRIPTS.append(script)
    return script
