"""Shared state: one rate limit, one circuit, one budget and one cache for all processes of a namespace on a Redis server.

When the server cannot be reached every part goes on with state of this process; see `ainb.stores.redis.client`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from random import Random
from typing import Any

from ainb.clock import Clock
from ainb.events import Sink
from ainb.pipeline.budget.ledger import Ledger
from ainb.pipeline.circuit.state_machine import Circuit
from ainb.pipeline.rate_limit.options import RateLimit
from ainb.pipeline.rate_limit.stage import Place
from ainb.stores.base import Store, at_once
from ainb.stores.redis.address import StateAddress
from ainb.stores.redis.budget import RedisBook
from ainb.stores.redis.cache import RedisStore
from ainb.stores.redis.circuit import SharedBreakers
from ainb.stores.redis.client import RedisClient
from ainb.stores.redis.limiter import RedisLimiter


class SharedState:
    """Everything that a session shares with others, behind one connection.

    Args:
        address: Where the server is.
        home: The loop that the connection lives on, running in a thread of its own.
        clock: Where time comes from.
        sink: Who is told that the server cannot be reached.
        rng: Where jitter comes from.
    """

    def __init__(
        self,
        address: StateAddress,
        *,
        get_loop: Callable[[], asyncio.AbstractEventLoop],
        clock: Clock,
        sink: Sink,
        rng: Random,
    ) -> None:
        self.client = RedisClient(address, get_loop=get_loop, clock=clock, sink=sink, rng=rng)
        self._book: RedisBook | None = None

    def store(self, fallback: Store, ttl_seconds: float | None) -> RedisStore:
        """The cache's store; `fallback` takes over while the server is away, and must not take time to load then."""
        if fallback.name == "disk":
            threading.Thread(target=lambda: at_once(fallback.get("reply", "")), daemon=True).start()
        return RedisStore(self.client, fallback, ttl_seconds)

    def limiter(self, options: RateLimit, place: Place) -> RedisLimiter:
        """The rate limit of a place."""
        return RedisLimiter(self.client, options, place)

    def breakers(self, options: Circuit) -> SharedBreakers:
        """The circuits."""
        return SharedBreakers(self.client, options, clock=self.client.clock, rng=self.client.rng)

    def ledger(self) -> Ledger:
        """A ledger whose days are shared, and the runs that went to several processes."""
        self._book = book = RedisBook(self.client)
        ledger = Ledger(book, shared=frozenset({"day", "run"}))
        book.wake = ledger.wake
        return ledger

    def status(self) -> dict[str, Any]:
        """One row; see `RedisClient.status`."""
        return self.client.status()

    async def close(self) -> None:
        """Give back what is held and hang up; from any loop."""
        if self._book is not None:
            self._book.close()
        await self.client.run_on_loop(self.client.close)
