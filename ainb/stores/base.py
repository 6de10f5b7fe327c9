"""Where answers live between calls: JSON texts under (namespace, key), in memory or on disk.

A store never raises and never waits long: a fault of its own is a miss, and one notice to the person.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.errors import ConfigError
from ainb.events import Sink, silent

T = TypeVar("T")

Where = Literal["disk", "memory"]
MEMORY_BYTES = 64 * 2**20
MAX_TEXT_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """How much a store holds, all namespaces together.

    Attributes:
        entries: Stored texts; None means unknown just now.
        size_bytes: Space that they take; None means unknown just now.
    """

    entries: int | None
    size_bytes: int | None


class Store(Protocol):
    """Texts by namespace and key.

    Methods are coroutines so that a store behind a network fits; those of the local stores never suspend (see `at_once`).
    """

    @property
    def name(self) -> str:
        """What status tables call it: "disk", "memory"."""
        ...

    async def get(self, namespace: str, key: str) -> str | None:
        """The text, or None when there is none or it cannot be read."""
        ...

    async def set(self, namespace: str, key: str, text: str, *, created_at: float) -> None:
        """Keep a text; what stood there before is replaced.

        Args:
            namespace: Family of keys, without a colon.
            key: Name inside the family.
            text: What to keep.
            created_at: Wall-clock seconds since 1970, for `prune`.
        """
        ...

    async def delete(self, namespace: str, key: str) -> None:
        """Forget one text."""
        ...

    async def prune(self, namespace: str, *, created_before: float) -> int:
        """Forget texts made before a wall-clock second; returns how many there were."""
        ...

    async def clear(self, namespace: str) -> int:
        """Forget a whole namespace; returns how many texts there were."""
        ...

    async def stats(self) -> StoreStats:
        """How much is held."""
        ...

    async def close(self) -> None:
        """Write out what waits to be written and let go."""
        ...


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of a local store, which never suspends, from plain code and without an event loop.

    Raises:
        ConfigError: The store waits for a network.
    """
    try:
        work.send(None)
    except StopIteration as finished:
        value: T = finished.value
        return value
    work.close()
    raise ConfigError(
        "this store waits for a network and plain functions cannot; use async functions, or a disk or memory store"
    )


def make_store(
    where: Where,
    folder: Path,
    *,
    memory_bytes: int = MEMORY_BYTES,
    clock: Clock = SYSTEM_CLOCK,
    sink: Sink = silent,
) -> Store:
    """The store of a session; nothing is opened or created before the first use.

    Args:
        where: "disk" or "memory".
        folder: Folder of the disk store; unused for memory.
        memory_bytes: Bound of the memory store, and of what the disk store keeps in memory when the disk fails.
        clock: Where time comes from.
        sink: Who is told, once, that the disk cannot be used.
    """
    from ainb.stores.memory import MemoryStore

    memory = MemoryStore(max_bytes=memory_bytes)
    if where == "memory":
        return memory
    from ainb.stores.disk.store import DiskStore

    return DiskStore(folder, spare=memory, clock=clock, sink=sink)


def default_home() -> Path:
    """The folder of everything that is kept: ``AINB_HOME``, else the user's data folder; not created here."""
    home = os.environ.get("AINB_HOME")
    if home:
        return Path(home).expanduser()
    import platformdirs

    return platformdirs.user_data_path("ainb")


class Renewable(Protocol):
    """Something whose locks and threads do not survive a fork."""

    def renew(self) -> None:
        """Start over in the child process."""
        ...


_renewables: weakref.WeakSet[Renewable] = weakref.WeakSet()


def renew_after_fork(item: Renewable) -> None:
    """Have ``item.renew()`` called in every forked child for as long as the item lives."""
    _renewables.add(item)


def _renew_all() -> None:
    for item in list(_renewables):
        item.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
