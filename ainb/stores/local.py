"""Choice of the local store by the options, and the default home folder."""

from __future__ import annotations

import os
from pathlib import Path

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.events import Sink, silent
from ainb.stores.base import MEMORY_BYTES, Store, Where
from ainb.stores.memory import MemoryStore


def make_store(
    where: Where,
    folder: Path,
    *,
    memory_bytes: int = MEMORY_BYTES,
    clock: Clock = SYSTEM_CLOCK,
    sink: Sink = silent,
) -> Store:
    """Make the local store of a session; nothing is opened or created before the first use.

    Args:
        where: "disk" or "memory".
        folder: Folder of the disk store; unused for memory.
        memory_bytes: Size limit of the memory store, and of texts that the disk store keeps in memory when
            the disk fails.
        clock: Source of time.
        sink: Receives one notice when the disk cannot be used.
    """
    memory = MemoryStore(max_bytes=memory_bytes)
    if where == "memory":
        return memory
    from ainb.stores.disk import DiskStore

    return DiskStore(folder, fallback=memory, clock=clock, sink=sink)


def default_home() -> Path:
    """The home folder: ``AINB_HOME``, else the user's data folder; not created here."""
    home = os.environ.get("AINB_HOME")
    if home:
        return Path(home).expanduser()
    import platformdirs

    return platformdirs.user_data_path("ainb")
