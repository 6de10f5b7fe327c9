"""Where answers live between calls: JSON texts under (namespace, key), in memory or on disk.

A store never raises and never waits long: a fault of its own is a miss, and one notice to the person.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from ainb.errors import ConfigError

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
