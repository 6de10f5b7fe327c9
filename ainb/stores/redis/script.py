"""Lua that runs on the server: what several processes decide at once is decided there, in one step."""

from __future__ import annotations

import hashlib


class Script:
    """A Lua script and its digest.

    Args:
        text: The script.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


SCRIPTS: list[Script] = []


def script(text: str) -> Script:
    """A script that is loaded whenever a connection opens."""
    made = Script(text)
    SCRIPTS.append(made)
    return made
