"""Heartbeat: names of processes, the scripts, and the listeners of the connection."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from ainb.stores.redis.script import load_script

# After this time without a heartbeat a process counts as dead, and its permits and money are released.
LIVE_SECONDS = 10.0
FORGET_SECONDS = 3600

# Time after a loss of all data within which every living process has reported its balances; no money is drawn
# until it is over.
NEW_MS = 2500

# Heartbeats of all processes stop for this long only if the server is out of reach or all are dead.
GAP_SECONDS = 3.0
# After this time without a heartbeat a process must not use drawn money, as it may count as dead: less than
# LIVE_SECONDS by a margin for the rates of the clocks.
HEARD_SECONDS = 9.0

HEARTBEAT = load_script(
    "heartbeat", types=("zset", "string", "string", "set", "string"), GAP_SECONDS=GAP_SECONDS
)
LEAVE = load_script("leave", types=("zset",))


@dataclass(slots=True)
class Listeners:
    """Callbacks for events of the connection; called on its loop, must not block.

    Attributes:
        heartbeat: Called once a second while the server is available.
        renamed: Called when this process was declared dead and has a new name.
        reconnected: Called when the server is available (again), with whether its data was lost.
        disconnected: Called when the server becomes unavailable.
    """

    heartbeat: list[Callable[[], object]] = field(default_factory=list)
    renamed: list[Callable[[], object]] = field(default_factory=list)
    reconnected: list[Callable[[bool], object]] = field(default_factory=list)
    disconnected: list[Callable[[], object]] = field(default_factory=list)


def new_name() -> str:
    """A new, unique name for this process."""
    host = "".join(letter if letter.isalnum() or letter in ".-_" else "-" for letter in socket.gethostname())
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
