"""Lua scripts: decisions for several processes, which the server makes in one atomic step."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files


class Script:
    """A Lua script and its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


SCRIPTS: list[Script] = []


# A key of another type was not written by ainb, and commands on it fail. Deleted, it is created anew.
_CHECK_TYPES = """for i, kind in ipairs({%s}) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= kind and found ~= 'none' then redis.call('DEL', KEYS[i]) end
end"""


def load_script(name: str, *, types: Sequence[str], head: str | None = None, **constants: float) -> Script:
    """Read a script of the folder ``lua``; it is loaded into the server whenever a connection opens.

    Args:
        name: Path below ``lua`` without its end, such as "limiter/acquire".
        types: Redis types of its first keys; a key of another type is deleted.
        head: Script of shared functions put before it, or None.
        constants: Numbers used by name in the script; defined in Python, because local code uses them too.
    """
    folder = files(__package__) / "lua"
    parts = [f"local {constant} = {value!r}" for constant, value in constants.items()]
    parts.append(_CHECK_TYPES % ", ".join(map(repr, types)))
    parts += [
        (folder / f"{part}.lua").read_text(encoding="utf-8") for part in (head, name) if part is not None
    ]
    script = Script("\n".join(parts))
    SCRIPTS.append(script)
    return script
