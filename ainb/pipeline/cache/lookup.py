"""A namespace of a store as the cache uses it: read and judge an entry, write one, count, and survive every fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ainb.clock import Clock
from ainb.errors import ConfigError
from ainb.events import Notice, Sink
from ainb.pipeline.cache.options import check_ttl
from ainb.stores.base import Store, StoreStats, at_once


class Dated(Protocol):
    """An entry of any kind."""

    @property
    def created_at(self) -> float:
        """Wall-clock seconds since 1970."""
        ...


E = TypeVar("E", bound=Dated)


class Lookup:
    """Entries of one namespace, and what became of the questions asked.

    Args:
        namespace: Family of keys in the store.
        ttl_seconds: Age up to which an entry counts; None means for ever.
        store: Where entries live.
        clock: Where time comes from.
        sink: Who is told, once, of an entry that cannot be read.

    Attributes:
        hits: Questions answered from the store.
        misses: Questions that went on to the model.
        coalesced: Questions that joined another's identical call in flight.
        stale: Those of the two that were answered by an entry past its age, because the circuit was open.
    """

    def __init__(
        self, namespace: str, ttl_seconds: float | None, *, store: Store, clock: Clock, sink: Sink
    ) -> None:
        self._namespace = namespace
        self._ttl_seconds = ttl_seconds
        self._store = store
        self._clock = clock
        self._sink = sink
        self._told = False
        self.hits = self.misses = self.coalesced = self.stale = 0

    async def read(self, key: str, decode: Callable[[str], E | None]) -> E | None:
        """The entry, or None when there is none or it is damaged; its age is not judged here."""
        try:
            text = await self._store.get(self._namespace, key)
            entry = None if text is None else decode(text)
        except Exception as error:  # noqa: BLE001 - a fault of the cache is a miss, whatever it is
            self.tell(f"a stored answer cannot be read ({type(error).__name__})")
            return None
        if text is not None and entry is None:
            self.tell("a stored answer is not what ainb writes")
        return entry

    async def write(self, key: str, encode: Callable[[float], str]) -> None:
        """Store what `encode` makes of the moment; a fault is noticed and passed over."""
        created_at = self._clock.unix()
        try:
            await self._store.set(self._namespace, key, encode(created_at), created_at=created_at)
        except Exception as error:  # noqa: BLE001 - the answer is there; that it is not kept fails nobody
            self.tell(f"an answer cannot be stored ({type(error).__name__})")

    def is_fresh(self, created_at: float, ttl_seconds: float | None) -> bool:
        """Whether an entry of that date counts.

        Args:
            created_at: Wall-clock seconds since 1970.
            ttl_seconds: Age limit of this question; None means the usual one. An entry of exactly that age counts; one from
                the future counts as old as it is early, so that a clock that was wrong keeps nothing alive for ever.
        """
        limit = self._ttl_seconds if ttl_seconds is None else ttl_seconds
        return limit is None or abs(self._clock.unix() - created_at) <= limit

    def status(self) -> dict[str, Any]:
        """Counts since the start, and what the store holds.

        Returns:
            `store` (its name), `hits`, `misses`, `coalesced`, `stale`; `hit_rate`, the share of hits and coalesced,
            None before the first; `entries` and `size_bytes` of the whole store, None where they are not known at once.
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
        """Forget the namespace; returns how many entries there were."""
        return await self._store.clear(self._namespace)

    async def prune(self, older_than_seconds: float | None) -> int:
        """Forget entries past an age; None means past the usual limit, and nothing where there is none."""
        check_ttl(older_than_seconds)
        limit = self._ttl_seconds if older_than_seconds is None else older_than_seconds
        if limit is None:
            return 0
        return await self._store.prune(self._namespace, created_before=self._clock.unix() - limit)

    async def close(self) -> None:
        """Let the store write what it has."""
        await self._store.close()

    def tell(self, fault: str) -> None:
        """Tell the person of a fault, the first time."""
        if not self._told:
            self._told = True
            self._sink(Notice(text=f"{fault}; the call goes on without it; see %ai cache", kind="cache"))
