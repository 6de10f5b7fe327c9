"""Shared state of a session: makes its rate limiters, circuits, budget and cache in Redis.

While the server is unavailable every part uses state of this process; see `ainb.stores.redis.client`.
"""

from __future__ import annotations

from typing import Any

from ainb.pipeline.budget import Ledger
from ainb.pipeline.circuit import Circuit
from ainb.pipeline.rate_limit import LimitScope, RateLimit
from ainb.stores.base import Store
from ainb.stores.redis.budget import RedisBook
from ainb.stores.redis.cache import RedisStore
from ainb.stores.redis.circuit import SharedBreakers
from ainb.stores.redis.client import RedisClient
from ainb.stores.redis.limiter import RedisLimiter


class SharedState:
    """Makes the parts that a session shares with other processes, over one connection."""

    def __init__(self, client: RedisClient) -> None:
        self.client = client
        self._book: RedisBook | None = None

    def store(self, fallback: Store, ttl_seconds: float | None) -> RedisStore:
        """The store of the cache; `fallback`, used while the server is unavailable, is loaded now."""
        return RedisStore(self.client, fallback, ttl_seconds)

    def limiter(self, options: RateLimit, scope: LimitScope) -> RedisLimiter:
        """The rate limiter of a provider, model and account."""
        return RedisLimiter(self.client, options, scope)

    def breakers(self, options: Circuit) -> SharedBreakers:
        """The circuits of the session."""
        return SharedBreakers(self.client, options, clock=self.client.clock, rng=self.client.rng)

    def ledger(self) -> Ledger:
        """The ledger, with shared accounts of days and runs."""
        self._book = book = RedisBook(self.client)
        ledger = Ledger(book, shared=frozenset({"day", "run"}))
        book.wake = ledger.wake
        return ledger

    def status(self) -> dict[str, Any]:
        """One row; see `RedisClient.status`."""
        return self.client.status()

    async def close(self) -> None:
        """Return drawn money and close the connection; from any loop."""
        if self._book is not None:
            self._book.close()
        await self.client.run_on_loop(self.client.close)
