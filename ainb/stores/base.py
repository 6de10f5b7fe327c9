"""Interface of the stores of answers: JSON texts under (namespace, key).

A store never raises and never waits long: its own fault counts as a miss and sends one notice to the user.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from ainb.errors import ConfigError

T = TypeVar("T")

Where = Literal["disk", "memory"]
MEMORY_BYTES = 64 * 2**20
MAX_TEXT_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """Size of a store, all namespaces together.

    Attributes:
        entries: Number of stored texts; None means unknown.
        size_bytes: Space that they take; None means unknown.
    """

    entries: int | None
    size_bytes: int | None


class Store(Protocol):
    """Texts by namespace and key.

    Methods are coroutines, so that a network store can implement them; those of local stores never suspend
    (see `at_once`).
    """

    @property
    def name(self) -> str:
        """Name in status tables, such as "disk" or "memory"."""
        ...

    async def get(self, namespace: str, key: str) -> str | None:
        """The text, or None when there is none or it cannot be read."""
        ...

    def expect(self, namespace: str, keys: Sequence[str]) -> None:
        """Prepare for a `get` of each of these keys that follows at once; never waits."""
        ...

    async def set(self, namespace: str, key: str, text: str, *, created_at: float) -> None:
        """Store a text, in place of an earlier one.

        Args:
            namespace: Namespace of the key, without a colon.
            key: Key inside the namespace.
            text: Text to store.
            created_at: Wall-clock seconds since 1970, for `prune`.
        """
        ...

    async def delete(self, namespace: str, key: str) -> None:
        """Delete one text."""
        ...

    async def prune(self, namespace: str, *, created_before: float) -> int:
        """Delete texts created before a wall-clock second; returns their number."""
        ...

    async def clear(self, namespace: str) -> int:
        """Delete a whole namespace; returns the number of texts."""
        ...

    async def stats(self) -> StoreStats:
        """Size of the store."""
        ...

    async def settle(self) -> None:
        """Wait until other processes that share the store can read every stored text, or it is given up.

        This suspends even in a local store.
        """
        ...

    def end_threads(self) -> None:
        """Make threads of the store end after their queued work; never waits."""
        ...

    async def close(self) -> None:
        """Write pending texts and close the store."""
        ...


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of a local store, which never suspends, without an event loop.

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
        "this store waits for a network and plain functions cannot; use async functions, or a disk or memory "
        "store"
    )
