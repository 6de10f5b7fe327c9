"""A permit, this process's line for a shared limit, and its share of the limit while the server is away."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from ainb.pipeline.rate_limit.buckets import Cost
from ainb.pipeline.rate_limit.options import DIMENSIONS, RateLimit
from ainb.stores.redis.client import RedisClient


@dataclass(slots=True, eq=False)
class SharedPermit:
    """Leave to make one call, granted by the server.

    Attributes:
        cost: What was reserved.
        granted_at: The server's second.
        settled: Whether it was given back.
    """

    cost: Cost
    granted_at: str
    settled: bool = False


class QueueEntry:
    """A place in this process's line: its first one asks the server, the others wait until they are first."""

    __slots__ = ("_asked_at", "woken")

    def __init__(self) -> None:
        self.woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        """Look again."""
        if not self.woken.done():
            self.woken.set_result(None)

    def look(self, client: RedisClient) -> None:
        """`wake` from any thread."""
        if client.is_on_loop():
            self.wake()
        else:
            self.woken.get_loop().call_soon_threadsafe(self.wake)

    async def rest(self, seconds: float, client: RedisClient) -> None:
        """Wait so long, or until something here was given back."""
        loop = asyncio.get_running_loop()
        handle = client.clock.call_later(loop, seconds, self.wake)
        try:
            await self.woken
        finally:
            handle.cancel()
            self.woken = loop.create_future()


def divided(options: RateLimit, peers: int) -> RateLimit:
    """This process's share of the limits: one of `peers` equal parts."""
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
