"""Cache: returns stored answers, and shares the request of identical calls in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Hashable
from dataclasses import dataclass, replace
from typing import Any, Protocol, get_args

from ainb.clock import Clock
from ainb.errors import CircuitOpenError, ConfigError
from ainb.events import Sink
from ainb.messages import CacheMode, Call, Handler, Reply
from ainb.pipeline.cache.entry import Entry, as_coalesced, decode_entry, encode_entry, is_whole, stored_key
from ainb.pipeline.cache.key import reply_key
from ainb.pipeline.cache.lookup import Lookup
from ainb.pipeline.cache.options import Cache, check_ttl
from ainb.pipeline.cache.single_flight import SharedCall, SingleFlight, Turn, Waiter
from ainb.stores.base import Store

MODES = get_args(CacheMode)
FAMILY = "reply"


class Leases(Protocol):
    """Leases that let one of many processes make an answer; see `ainb.stores.redis.cache.RedisStore`."""

    async def lead(self, namespace: str, key: str, *, anew: bool = False) -> bool:
        """Take the lease of an answer (True), or wait until another process is done (False: look again)."""
        ...

    def release(self, namespace: str, key: str) -> None:
        """Release the lease, where storing the answer has not done so."""
        ...


@dataclass(slots=True, eq=False)
class _Work:
    """The work of a shared call.

    Attributes:
        key: Key of the answer.
        shared: The shared call.
        turn: Turn of all works of the key in this process.
        past_age: Whether a stored answer does not count.
        leads: Whether this work holds the lease of the key.
    """

    key: str
    shared: SharedCall[Reply, Call]
    turn: Turn
    past_age: bool
    leads: bool = False


class CacheStage:
    """Returns stored answers, stores complete new ones, and runs identical calls in flight once.

    Args:
        options: Age limit and place of the answers.
        store: Holds the answers.
        sink: Receives one notice when a stored answer cannot be read or written.
        leases: Lets one of many processes make an answer; None for a local store.
    """

    def __init__(
        self, options: Cache, store: Store, clock: Clock, sink: Sink, *, leases: Leases | None = None
    ) -> None:
        self._leases = leases
        self._lookup = Lookup(FAMILY, options.ttl_seconds, store=store, clock=clock, sink=sink)
        self._calls: SingleFlight[Reply, Call] = SingleFlight(as_coalesced, is_whole)
        self._works: dict[int, _Work] = {}

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Answer from the store or from an identical call in flight, or let the call proceed.

        Raises:
            ConfigError: A parameter cannot be part of a cache key; nothing was sent.
        """
        options, lookup = call.options, self._lookup
        if options.cache not in MODES:
            raise ConfigError(f"cache must be one of {', '.join(MODES)}; it is {options.cache!r}")
        if options.cache == "off":
            return await proceed(call)
        check_ttl(options.ttl_seconds)
        key = stored_key(reply_key(call))
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

    def take_turn(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Next to the provider: identical calls under other limits send one after another.

        The first whole answer ends the others, so that they neither send nor pay. The same holds between
        processes, which take a lease. It is taken here, where nothing delays the call any more, so that no
        process waits behind the limits of another one; a holder that is held up itself loses it.
        """
        work = self._works.get(id(call))
        return proceed(call) if work is None else self._in_turn(work, call, proceed)

    async def holds(self, call: Call) -> bool:
        """Whether this call would be answered from the store; not counted as a lookup.

        Raises:
            ConfigError: A parameter cannot be part of a cache key.
        """
        if call.options.cache != "use":
            return False
        entry = await self._lookup.read(stored_key(reply_key(call)), decode_entry)
        return entry is not None and self._lookup.is_fresh(entry.created_at, call.options.ttl_seconds)

    def status(self) -> dict[str, Any]:
        """One row of counts and sizes; see `Lookup.status`."""
        return self._lookup.status()

    async def clear(self) -> int:
        """Delete every stored answer; returns their number."""
        return await self._lookup.clear()

    async def prune(self, older_than_seconds: float | None = None) -> int:
        """Delete stored answers older than an age; returns their number.

        Args:
            older_than_seconds: The age; None means the session's ttl_seconds; nothing is deleted where that
                is None too.
        """
        return await self._lookup.prune(older_than_seconds)

    async def settle(self) -> None:
        """Wait until others who share the store can read every answer that was stored."""
        await self._lookup.settle()

    @property
    def store(self) -> Store:
        """Holds the answers."""
        return self._lookup.store

    async def close(self) -> None:
        """Write pending answers and close the store."""
        await self._lookup.close()

    async def _share(self, key: str, call: Call, proceed: Handler, *, past_age: bool) -> Reply:
        place, party = (call.options.cache, key), _party(call)
        shared = self._calls.find(place, party)
        if shared is None:
            shared = self._start(place, party, call.fork(), proceed, past_age=past_age)
            self._lookup.misses += 1
        else:
            _extend_deadline(shared.payload, call)
            self._lookup.coalesced += 1
        waiter = shared.join()
        try:
            return await waiter.wait()
        finally:
            _settle(shared, waiter, call)

    def _start(
        self, place: tuple[CacheMode, str], party: Hashable, work: Call, proceed: Handler, *, past_age: bool
    ) -> SharedCall[Reply, Call]:
        shared, turn = self._calls.start(place, self._pay(place[1], work, proceed), work, party)
        entry = self._works[id(work)] = _Work(place[1], shared, turn, past_age)

        def end(_task: asyncio.Task[Reply]) -> None:
            del self._works[id(work)]
            self._release(entry)
            turn.give_up(work)

        shared.task.add_done_callback(end)
        return shared

    async def _in_turn(self, work: _Work, call: Call, proceed: Handler) -> Reply:
        await work.turn.take(call)
        try:
            found = await self._lead(work, call)
            if found is not None:
                work.shared.take_over(found)
                await asyncio.sleep(0)  # the work is cancelled here, and what it holds is given back
            return await proceed(call)
        except BaseException:
            self._release(work)
            work.turn.give_up(call)
            raise

    async def _lead(self, work: _Work, call: Call) -> Reply | None:
        """Take the lease; or the answer of the process that held it."""
        leases = self._leases
        if leases is None or work.leads or call.options.cache == "refresh":
            return None
        while not await leases.lead(FAMILY, work.key, anew=work.past_age):
            entry: Entry | None = await self._lookup.read(work.key, decode_entry)
            if entry is not None and self._lookup.is_fresh(entry.created_at, call.options.ttl_seconds):
                return entry.hit()
            # A text that is no valid answer does not count: one that cannot be read would be found for ever.
            work.past_age = True
        work.leads = True
        return None

    def _release(self, work: _Work) -> None:
        if work.leads and self._leases is not None:
            work.leads = False
            self._leases.release(FAMILY, work.key)

    async def _pay(self, key: str, work: Call, proceed: Handler) -> Reply:
        reply = await proceed(work)
        if is_whole(reply):
            await self._lookup.write(key, lambda created_at: encode_entry(reply, created_at))
        return reply


def _party(call: Call) -> Hashable:
    """What may refuse or delay this call and not another one with the same request."""
    options = call.options
    return (
        options.user,
        options.budget_usd,
        options.batch_id,
        options.timeout_seconds,
        options.ttl_seconds,
        call.payer(),
    )


def _extend_deadline(work: Call, joined: Call) -> None:
    """The shared work may take as long as the latest deadline of its callers."""
    if work.deadline is not None:
        work.deadline = None if joined.deadline is None else max(work.deadline, joined.deadline)


def _settle(shared: SharedCall[Reply, Call], waiter: Waiter[Reply, Call], call: Call) -> None:
    """Copy what the work recorded to the call, and stop streaming to a caller that has left."""
    work = shared.payload
    call.notes.extend(work.notes)
    if not waiter.is_owner:
        return
    call.request, call.provider = work.request, work.provider
    call.attempts, call.queue_wait_s = work.attempts, work.queue_wait_s
    call.first_text_at, call.shown = work.first_text_at, work.shown
    call.errors[:] = work.errors
    if not shared.task.done() and work.options.on_text is not None:
        # The remaining callers have seen nothing of the stream, so the work may be retried for them.
        work.options = replace(work.options, on_text=None)
        work.shown = False
