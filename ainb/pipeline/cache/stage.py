"""Answers that were paid for once: given again from a store, and shared while they are still on their way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol, get_args

from ainb.clock import Clock
from ainb.errors import CircuitOpenError, ConfigError
from ainb.events import Sink
from ainb.messages import CacheMode, Call, Handler, Reply
from ainb.pipeline.cache.entry import Entry, as_coalesced, decode_entry, encode_entry, is_whole
from ainb.pipeline.cache.key import reply_key
from ainb.pipeline.cache.lookup import Lookup
from ainb.pipeline.cache.options import Cache, check_ttl
from ainb.pipeline.cache.single_flight import SharedCall, SingleFlight, Waiter
from ainb.stores.base import Store

MODES = get_args(CacheMode)
FAMILY = "reply"


class Leases(Protocol):
    """Of many processes that want the same answer, one pays for it; see `ainb.stores.redis.cache.RedisStore`."""

    async def lead(self, namespace: str, key: str, *, anew: bool = False) -> bool:
        """Become the one that makes an answer (True), or wait for another to end (False: look again)."""
        ...

    def release(self, namespace: str, key: str) -> None:
        """Let another process make it, where storing it has not done so."""
        ...


class CacheStage:
    """Gives stored answers, stores whole new ones, and lets one of many identical calls in flight go on.

    Args:
        options: How answers are kept.
        store: Where they live.
        clock: Where time comes from.
        sink: Who is told, once, of a stored answer that cannot be read.
        leases: Lets one of many processes pay; None where the store is this machine's own.
    """

    def __init__(
        self, options: Cache, store: Store, clock: Clock, sink: Sink, *, leases: Leases | None = None
    ) -> None:
        self._leases = leases
        self._lookup = Lookup(FAMILY, options.ttl_seconds, store=store, clock=clock, sink=sink)
        self._calls: SingleFlight[Reply, Call] = SingleFlight(as_coalesced)

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Answer from the store, from another's identical call, or let the call go on.

        Raises:
            ConfigError: A parameter cannot be part of a key; nothing was sent.
        """
        options, lookup = call.options, self._lookup
        if options.cache not in MODES:
            raise ConfigError(f"cache must be one of {', '.join(MODES)}; it is {options.cache!r}")
        if options.cache == "off":
            return await proceed(call)
        check_ttl(options.ttl_seconds)
        key = reply_key(call)
        entry = None
        if options.cache == "use":
            entry = await lookup.read(key, decode_entry)
            if entry is not None and lookup.is_fresh(entry.created_at, options.ttl_seconds):
                lookup.hits += 1
                return entry.hit()
        try:
            return await self._share(key, call, proceed, past_age=entry is not None)
        except CircuitOpenError:
            if entry is None:
                raise
            lookup.stale += 1
            return entry.hit(stale=True)

    async def holds(self, call: Call) -> bool:
        """Whether a stored answer would be given to this call; not counted as a question.

        Raises:
            ConfigError: A parameter cannot be part of a key.
        """
        if call.options.cache != "use":
            return False
        entry = await self._lookup.read(reply_key(call), decode_entry)
        return entry is not None and self._lookup.is_fresh(entry.created_at, call.options.ttl_seconds)

    def status(self) -> dict[str, Any]:
        """One row: `store`, `hits`, `misses`, `coalesced`, `stale`, `hit_rate`, `entries`, `size_bytes` (see `Lookup.status`)."""
        return self._lookup.status()

    async def clear(self) -> int:
        """Forget every stored answer; returns how many there were."""
        return await self._lookup.clear()

    async def prune(self, older_than_seconds: float | None = None) -> int:
        """Forget stored answers past an age; returns how many there were.

        Args:
            older_than_seconds: The age; None means the session's ttl_seconds, and nothing is forgotten where that is None too.
        """
        return await self._lookup.prune(older_than_seconds)

    async def close(self) -> None:
        """Write out what waits to be written."""
        await self._lookup.close()

    async def _share(self, key: str, call: Call, proceed: Handler, *, past_age: bool) -> Reply:
        place = (call.options.cache, key)
        shared = self._calls.find(place)
        if shared is None:
            work = call.fork()
            shared = self._calls.start(place, self._fetch(key, work, proceed, past_age=past_age), work)
            self._lookup.misses += 1
        else:
            _extend_deadline(shared.payload, call)
            self._lookup.coalesced += 1
        waiter = shared.join()
        try:
            return await waiter.wait()
        finally:
            _settle(shared, waiter, call)

    async def _fetch(self, key: str, work: Call, proceed: Handler, *, past_age: bool) -> Reply:
        leases = self._leases
        if leases is None or work.options.cache == "refresh":
            return await self._pay(key, work, proceed)
        try:
            while not await leases.lead(FAMILY, key, anew=past_age):
                entry: Entry | None = await self._lookup.read(key, decode_entry)
                if entry is not None and self._lookup.is_fresh(entry.created_at, work.options.ttl_seconds):
                    reply = entry.hit()
                    reply.coalesced = True
                    return reply
                past_age = entry is not None
            return await self._pay(key, work, proceed)
        finally:
            leases.release(FAMILY, key)

    async def _pay(self, key: str, work: Call, proceed: Handler) -> Reply:
        reply = await proceed(work)
        if is_whole(reply):
            await self._lookup.write(key, lambda created_at: encode_entry(reply, created_at))
        return reply


def _extend_deadline(work: Call, joined: Call) -> None:
    """The work may take as long as the most patient of those who wait for it."""
    if work.deadline is not None:
        work.deadline = None if joined.deadline is None else max(work.deadline, joined.deadline)


def _settle(shared: SharedCall[Reply, Call], waiter: Waiter[Reply, Call], call: Call) -> None:
    """Bring home what the work gathered, and send nothing more to a caller who has left."""
    work = shared.payload
    call.notes.extend(work.notes)
    if not waiter.is_owner:
        return
    call.request, call.provider = work.request, work.provider
    call.attempts, call.queue_wait_s = work.attempts, work.queue_wait_s
    call.first_text_at, call.shown = work.first_text_at, work.shown
    call.errors[:] = work.errors
    if not shared.task.done() and work.options.on_text is not None:
        # Those who stay have seen nothing of the stream, so the work may be tried again for them.
        work.options = replace(work.options, on_text=None)
        work.shown = False
