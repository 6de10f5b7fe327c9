"""Heartbeat: a name for each process, its script, and the listeners of the connection."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from ainb.stores.redis.script import load_script

LIVE_SECONDS = 10.0  # a process without a heartbeat for so long is dead, and what it held is released
FORGET_SECONDS = 3600

# Within so long after a loss of all data every living process has told what it knows; until then no money is
# drawn.
NEW_MS = 2500

HEARTBEAT = load_script("heartbeat", types=("zset", "string", "string"))
LEAVE = load_script("leave", types=("zset",))


@dataclass(slots=True)
class Listeners:
    """Callbacks for events of the connection; called on its loop, must not block.

    Attributes:
        heartbeat: Once a second while the server is available.
        renamed: This process was declared dead and has a new name.
        reconnected: The server is available (again); the argument says whether its data was lost meanwhile.
        disconnected: The server became unavailable.
    """

    heartbeat: list[Callable[[], object]] = field(default_factory=list)
    renamed: list[Callable[[], object]] = field(default_factory=list)
    reconnected: list[Callable[[bool], object]] = field(default_factory=list)
    disconnected: list[Callable[[], object]] = field(default_factory=list)


def new_name() -> str:
    """A new, unique name for this process."""
    host = "".join(letter if letter.isalnum() or letter in ".-_" else "-" for letter in socket.gethostname())
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
