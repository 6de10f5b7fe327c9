"""Cache lookups in one namespace of a store, with counts. A fault of the store counts as a miss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from ainb.clock import Clock
from ainb.errors import ConfigError
from ainb.events import Notice, Sink
from ainb.pipeline.checks import check_seconds
from ainb.stores.base import Store, StoreStats, at_once


class Dated(Protocol):
    """A decoded entry with its creation time."""

    @property
    def created_at(self) -> float:
        """Wall-clock seconds since 1970."""
        ...


E = TypeVar("E", bound=Dated)


class Lookup:
    """Entries of one namespace, and counts of hits and misses.

    Args:
        namespace: Namespace of the keys in the store.
        ttl_seconds: Age up to which an entry is valid; None means no limit.
        store: Holds the entries.
        sink: Receives one notice when an entry cannot be read or written.

    Attributes:
        hits: Lookups answered from the store.
        misses: Lookups that found no valid entry.
        coalesced: Calls that joined an identical call in flight.
        stale: Calls answered by an expired entry because the circuit was open.
    """

    def __init__(
        self, namespace: str, ttl_seconds: float | None, *, store: Store, clock: Clock, sink: Sink
    ) -> None:
        self._namespace = namespace
        self._ttl_seconds = ttl_seconds
        self._store = store
        self._clock = clock
        self._sink = sink
        self._reported = False
        self.hits = self.misses = self.coalesced = self.stale = 0

    async def read(self, key: str, decode: Callable[[str], E | None]) -> E | None:
        """The entry, or None when there is none or it is damaged; its age is not checked."""
        try:
            text = await self._store.get(self._namespace, key)
            entry = None if text is None else decode(text)
        except Exception as error:  # noqa: BLE001 - any fault of the cache is a miss
            self.report(f"a stored answer cannot be read ({type(error).__name__})")
            return None
        if text is not None and entry is None:
            self.report("a stored answer is not in ainb's format")
        return entry

    def expect(self, keys: Sequence[str]) -> None:
        """Prepare the store for reads of these keys that follow at once; a fault is reported, not raised."""
        try:
            if keys:
                self._store.expect(self._namespace, keys)
        except Exception as error:  # noqa: BLE001 - as in `read`
            self.report(f"stored answers cannot be read ({type(error).__name__})")

    async def write(self, key: str, encode: Callable[[float], str]) -> None:
        """Store the text that `encode` returns for the current time; a fault is reported, not raised."""
        created_at = self._clock.unix()
        try:
            await self._store.set(self._namespace, key, encode(created_at), created_at=created_at)
        except Exception as error:  # noqa: BLE001 - the answer exists; a fault of the store must not lose it
            self.report(f"an answer cannot be stored ({type(error).__name__})")

    def is_fresh(self, created_at: float, ttl_seconds: float | None) -> bool:
        """Whether an entry created at that time is still valid.

        Args:
            created_at: Wall-clock seconds since 1970.
            ttl_seconds: Age limit of this lookup; None means the cache's own. An entry of exactly that age is
                valid. The age of an entry dated in the future is its distance from now, so that an entry
                written with a wrong clock expires too.
        """
        limit = self._ttl_seconds if ttl_seconds is None else ttl_seconds
        return limit is None or abs(self._clock.unix() - created_at) <= limit

    def status(self) -> dict[str, Any]:
        """Counts since the start, and the size of the store.

        Returns:
            Dict with `store` (its name), `hits`, `misses`, `coalesced`, `stale`; `hit_rate`, the share of
            hits and coalesced, None before the first lookup; `entries` and `size_bytes` of the whole store,
            None if a network store cannot give them at once.
        """
        saved = self.hits + self.coalesced
        asked = saved + self.misses
        try:
            held = at_once(self._store.stats())
        except ConfigError:
            held = StoreStats(entries=None, size_bytes=None)
        return {
            "store": self._store.name,
            "hits": self.hits,
            "misses": self.misses,
            "coalesced": self.coalesced,
            "stale": self.stale,
            "hit_rate": saved / asked if asked else None,
            "entries": held.entries,
            "size_bytes": held.size_bytes,
        }

    async def clear(self) -> int:
        """Delete all entries of the namespace; returns their number."""
        return await self._store.clear(self._namespace)

    async def prune(self, older_than_seconds: float | None) -> int:
        """Delete entries older than an age; None means the cache's own limit, if it has one."""
        check_seconds("ttl_seconds", older_than_seconds)
        limit = self._ttl_seconds if older_than_seconds is None else older_than_seconds
        if limit is None:
            return 0
        return await self._store.prune(self._namespace, created_before=self._clock.unix() - limit)

    def report(self, fault: str) -> None:
        """Report a fault to the sink, the first time only."""
        if not self._reported:
            self._reported = True
            self._sink(Notice(text=f"{fault}; the call continues without it; see %ai cache", kind="cache"))
