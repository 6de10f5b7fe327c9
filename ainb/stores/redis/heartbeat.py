"""Who is there: a name for each process, its heartbeat, and those who want to know how the connection fares."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from ainb.stores.redis.script import load_script

LIVE_SECONDS = 10.0  # a process not heard of for so long is dead, and what it held comes back
FORGET_SECONDS = 3600

HEARTBEAT = load_script("heartbeat")


@dataclass(slots=True)
class Listeners:
    """Who wants to know how the connection fares; all are called on the home loop and must not wait.

    Attributes:
        beat: Once a second while it is up.
        renamed: This process was declared dead and has another name now.
        back: The server can be reached (again); the argument says whether its data was lost meanwhile.
        gone: It cannot be reached any more.
    """

    heartbeat: list[Callable[[], object]] = field(default_factory=list)
    renamed: list[Callable[[], object]] = field(default_factory=list)
    reconnected: list[Callable[[bool], object]] = field(default_factory=list)
    disconnected: list[Callable[[], object]] = field(default_factory=list)


def new_name() -> str:
    """A name for this process that no other has or had; what an earlier one held may have been given back."""
    host = "".join(letter if letter.isalnum() or letter in ".-_" else "-" for letter in socket.gethostname())
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
