"""Memory store: bounded, within this process; the least recently used texts are dropped first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from ainb.errors import ConfigError
from ainb.fork import new_lock, renew_after_fork
from ainb.stores.base import MEMORY_BYTES, StoreStats

ENTRY_OVERHEAD_BYTES = 300


class _Item(NamedTuple):
    text: str
    created_at: float
    size_bytes: int


class MemoryStore:
    """Texts in memory, at most `max_bytes`; thread-safe and bound to no event loop.

    Args:
        max_bytes: Limit of keys, texts and overhead together in bytes; above 0.

    Raises:
        ConfigError: The limit is not a whole number above 0.
    """

    name = "memory"

    def __init__(self, *, max_bytes: int = MEMORY_BYTES) -> None:
        if type(max_bytes) is not int or max_bytes <= 0:
            raise ConfigError(f"max_bytes must be a whole number of bytes above 0; it is {max_bytes!r}")
        self._max_bytes = max_bytes
        self._items: OrderedDict[str, _Item] = OrderedDict()
        self._size_bytes = 0
        self._lock = new_lock()
        renew_after_fork(self)

    def __len__(self) -> int:
        return len(self._items)

    async def get(self, namespace: str, key: str) -> str | None:
        """The text, or None; a read counts as use."""
        return self.read(f"{namespace}:{key}")

    async def set(self, namespace: str, key: str, text: str, *, created_at: float) -> None:
        """Store a text; one larger than the whole limit is not stored."""
        self.write(f"{namespace}:{key}", text, created_at)

    async def delete(self, namespace: str, key: str) -> None:
        """Delete one text."""
        self.remove(f"{namespace}:{key}")

    async def prune(self, namespace: str, *, created_before: float) -> int:
        """Delete texts of a namespace created before a wall-clock second."""
        return self._remove_all(f"{namespace}:", created_before)

    async def clear(self, namespace: str) -> int:
        """Delete a whole namespace."""
        return self._remove_all(f"{namespace}:", None)

    async def stats(self) -> StoreStats:
        """Size of the store; `size_bytes` includes overhead."""
        return StoreStats(entries=len(self._items), size_bytes=self._size_bytes)

    def expect(self, namespace: str, keys: Sequence[str]) -> None:
        """Do nothing: a text is found at once."""

    async def settle(self) -> None:
        """Do nothing: a text can be read as soon as it is set."""

    def end_threads(self) -> None:
        """Do nothing: it has no threads."""

    async def close(self) -> None:
        """Do nothing: nothing is held open."""

    def read(self, name: str) -> str | None:
        """`get` by the full name, ``namespace:key``."""
        with self._lock:
            item = self._items.get(name)
            if item is None:
                return None
            self._items.move_to_end(name)
            return item.text

    def write(self, name: str, text: str, created_at: float) -> None:
        """`set` by the full name."""
        size_bytes = len(name) + 4 * len(text) + ENTRY_OVERHEAD_BYTES
        if text.isascii():
            size_bytes -= 3 * len(text)
        with self._lock:
            self._remove(name)
            if size_bytes > self._max_bytes:
                return
            self._items[name] = _Item(text, created_at, size_bytes)
            self._size_bytes += size_bytes
            while self._size_bytes > self._max_bytes:
                self._remove(next(iter(self._items)))

    def remove(self, name: str) -> None:
        """`delete` by the full name."""
        with self._lock:
            self._remove(name)

    def renew(self) -> None:
        """Count the sizes again in a forked child: another thread may have been in the middle of a change."""
        self._size_bytes = sum(item.size_bytes for item in self._items.values())

    def _remove(self, name: str) -> None:
        item = self._items.pop(name, None)
        if item is not None:
            self._size_bytes -= item.size_bytes

    def _remove_all(self, prefix: str, created_before: float | None) -> int:
        with self._lock:
            names = [
                name
                for name, item in self._items.items()
                if name.startswith(prefix) and (created_before is None or item.created_at < created_before)
            ]
            for name in names:
                self._remove(name)
            return len(names)
