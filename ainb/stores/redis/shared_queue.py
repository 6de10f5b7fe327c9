"""Queue of this process for a shared limiter, its permits, and this process's share of the limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ainb.pipeline.rate_limit import DIMENSIONS, Cost, RateLimit
from ainb.stores.redis.client import RedisClient


@dataclass(slots=True, eq=False)
class SharedPermit:
    """Permission for one call, granted by the server.

    Attributes:
        cost: Reserved cost.
        granted_at: Second of the server's clock, as text.
        asked_at: Monotonic second at which it was requested.
        settled: Whether the permit was returned.
    """

    cost: Cost
    granted_at: str
    asked_at: float
    settled: bool = False


class QueueEntry(asyncio.Event):
    """A caller in the queue: the first one sends requests to the server, the others wait to be first.

    Set when the caller becomes the first, and when a permit of this process is returned.
    """

    def set_from_any_thread(self, client: RedisClient) -> None:
        """`set` from any thread."""
        if client.is_on_loop():
            self.set()
        else:
            client.call_soon(self.set)

    async def wait_at_most(self, seconds: float, client: RedisClient) -> None:
        """Wait for `seconds`, or until a permit of this process is returned."""
        handle = client.clock.call_later(asyncio.get_running_loop(), seconds, self.set)
        try:
            await self.wait()
        finally:
            handle.cancel()
            self.clear()


class SharedQueue:
    """Queue of this process for one shared limiter; only its first entry may send requests.

    Args:
        on_empty: Called when the last entry leaves.
    """

    def __init__(self, on_empty: Callable[[], None]) -> None:
        self._entries: deque[QueueEntry] = deque()
        self._on_empty = on_empty

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def first(self) -> QueueEntry | None:
        """The entry that may send requests; None in an empty queue."""
        return self._entries[0] if self._entries else None

    async def join(self) -> QueueEntry:
        """Append an entry and wait until it is the first; the caller must `leave`."""
        entry = QueueEntry()
        self._entries.append(entry)
        if self.first is not entry:
            try:
                await entry.wait()
            except BaseException:
                self.leave(entry)
                raise
            entry.clear()
        return entry

    def leave(self, entry: QueueEntry) -> None:
        """Remove an entry, and wake the next one when it was the first."""
        was_first = self.first is entry
        self._entries.remove(entry)
        if was_first and self._entries:
            self._entries[0].set()
        elif was_first:
            self._on_empty()


def divided(options: RateLimit, peers: int) -> RateLimit:
    """The limits divided by the number of peers."""
    if peers <= 1:
        return options
    changes: dict[str, Any] = {}
    for dimension in DIMENSIONS:
        limit = getattr(options, f"{dimension}_per_minute")
        if limit is not None:
            changes[f"{dimension}_per_minute"] = limit / peers
    if options.concurrency is not None:
        changes["concurrency"] = max(1, options.concurrency // peers)
    return replace(options, **changes)
