"""Cache stage: returns stored answers, and shares one request among identical calls in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, get_args

from ainb.clock import Clock
from ainb.errors import CircuitOpenError, ConfigError
from ainb.events import Sink
from ainb.messages import CacheMode, Call, Handler, Reply
from ainb.pipeline.cache.entry import Entry, as_coalesced, decode_entry, encode_entry, is_whole, stored_key
from ainb.pipeline.cache.key import find_key, reply_key
from ainb.pipeline.cache.lookup import Lookup
from ainb.pipeline.cache.options import Cache
from ainb.pipeline.cache.single_flight import SharedCall, SingleFlight, Turn, Waiter
from ainb.pipeline.checks import check_seconds
from ainb.stores.base import Store

MODES = get_args(CacheMode)
FAMILY = "reply"


class Leases(Protocol):
    """Leases by which one of many processes fetches an answer; see `ainb.stores.redis.cache.RedisStore`."""

    async def acquire_lease(self, namespace: str, key: str, *, anew: bool = False) -> bool:
        """Take the lease of an answer (True), or wait for its holder to finish (False: look it up again)."""
        ...

    def release_lease(self, namespace: str, key: str) -> None:
        """Release the lease, unless storing the answer has released it."""
        ...


@dataclass(slots=True, eq=False)
class _Work:
    """The work of a shared call.

    Attributes:
        key: Key of the answer.
        shared: The shared call.
        turn: Turn of all works of the key in this process.
        past_age: Whether a stored answer does not count.
        has_lease: Whether this work holds the lease of the key.
    """

    key: str
    shared: SharedCall[Reply, Call]
    turn: Turn
    past_age: bool
    has_lease: bool = False


class CacheStage:
    """Returns stored answers, stores complete new ones, and runs identical calls in flight once.

    Args:
        options: Age limit and location of the answers.
        store: Holds the answers.
        sink: Receives one notice when a stored answer cannot be read or written.
        leases: Leases of the processes that share the store; None for a local store.

    Attributes:
        store: As given.
        lookup: The answers in the store, with counts of hits and misses.
    """

    def __init__(
        self, options: Cache, store: Store, clock: Clock, sink: Sink, *, leases: Leases | None = None
    ) -> None:
        self.store = store
        self._leases = leases
        self.lookup = Lookup(FAMILY, options.ttl_seconds, store=store, clock=clock, sink=sink)
        # A cut reply is not shared with other parties: a hard budget of this party may have cut it.
        self._calls: SingleFlight[Reply, Call] = SingleFlight(as_coalesced, is_whole)
        self._works: dict[int, _Work] = {}

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Answer from the store or from an identical call in flight, or run the call.

        Raises:
            ConfigError: A parameter cannot be part of a cache key; nothing was sent.
        """
        options, lookup = call.options, self.lookup
        if options.cache not in MODES:
            raise ConfigError(f"cache must be one of {', '.join(MODES)}; it is {options.cache!r}")
        if options.cache == "off":
            return await proceed(call)
        check_seconds("ttl_seconds", options.ttl_seconds)
        key = stored_key(call.cache_key or await find_key(call))
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
        """Make identical calls of other parties send one after another; stands next to the provider.

        The first complete answer ends the other calls, so that they neither send nor pay. Processes do the
        same with a lease. It is taken here, where no limit delays the call any more, so that no process waits
        for the limits of another one.
        """
        work = self._works.get(id(call))
        return proceed(call) if work is None else self._in_turn(work, call, proceed)

    def expect(self, calls: Sequence[Call]) -> None:
        """Find out in one lookup which answers the store lacks, for calls that follow at once.

        Raises:
            ConfigError: A parameter cannot be part of a cache key.
        """
        self.lookup.expect([stored_key(reply_key(call)) for call in calls if call.options.cache == "use"])

    async def holds(self, call: Call) -> bool:
        """Whether this call would be answered from the store; not counted as a lookup.

        Raises:
            ConfigError: A parameter cannot be part of a cache key.
        """
        if call.options.cache != "use":
            return False
        entry = await self.lookup.read(stored_key(await find_key(call)), decode_entry)
        return entry is not None and self.lookup.is_fresh(entry.created_at, call.options.ttl_seconds)

    async def _share(self, key: str, call: Call, proceed: Handler, *, past_age: bool) -> Reply:
        place, party = (call.options.cache, key), _party(call)
        shared = self._calls.find(place, party)
        if shared is None:
            shared = self._start(place, party, call.fork(), proceed, past_age=past_age)
            self.lookup.misses += 1
        else:
            _extend_deadline(shared.payload, call)
            self.lookup.coalesced += 1
        waiter = shared.join()
        try:
            return await waiter.wait()
        finally:
            _settle(shared, waiter, call)

    def _start(
        self, place: tuple[CacheMode, str], party: Hashable, work: Call, proceed: Handler, *, past_age: bool
    ) -> SharedCall[Reply, Call]:
        fetch = self._fetch_new(place[1], work, proceed)

        def end(turn: Turn) -> None:
            self._release_lease(self._works.pop(id(work)))
            turn.give_up(work)

        shared, turn = self._calls.start(place, fetch, work, party, end)
        self._works[id(work)] = _Work(place[1], shared, turn, past_age)
        return shared

    async def _in_turn(self, work: _Work, call: Call, proceed: Handler) -> Reply:
        await work.turn.take(call)
        try:
            found = await self._acquire_lease(work, call)
            if found is not None:
                work.shared.take_over(found)
                await asyncio.sleep(0)  # the work is cancelled here, which releases what it holds
            return await proceed(call)
        except BaseException:
            self._release_lease(work)
            work.turn.give_up(call)
            raise

    async def _acquire_lease(self, work: _Work, call: Call) -> Reply | None:
        """Take the lease; or the answer of the process that held it."""
        leases = self._leases
        if leases is None or work.has_lease or call.options.cache == "refresh":
            return None
        while not await leases.acquire_lease(FAMILY, work.key, anew=work.past_age):
            entry: Entry | None = await self.lookup.read(work.key, decode_entry)
            if entry is not None and self.lookup.is_fresh(entry.created_at, call.options.ttl_seconds):
                return entry.hit()
            # A damaged entry counts as a miss, or it would be found again and again.
            work.past_age = True
        work.has_lease = True
        return None

    def _release_lease(self, work: _Work) -> None:
        if work.has_lease and self._leases is not None:
            work.has_lease = False
            self._leases.release_lease(FAMILY, work.key)

    async def _fetch_new(self, key: str, work: Call, proceed: Handler) -> Reply:
        reply = await proceed(work)
        if is_whole(reply):
            await self.lookup.write(key, lambda created_at: encode_entry(reply, created_at))
        return reply


def _party(call: Call) -> Hashable:
    """The limits that may refuse or delay this call but not another with the same request."""
    options = call.options
    return (
        options.user,
        options.budget_usd,
        options.batch_id,
        options.timeout_seconds,
        options.ttl_seconds,
        call.resolve_account(),
    )


def _extend_deadline(work: Call, joined: Call) -> None:
    """Extend the deadline of shared work to the latest one of its callers."""
    if work.deadline is not None:
        work.deadline = None if joined.deadline is None else max(work.deadline, joined.deadline)


def _settle(shared: SharedCall[Reply, Call], waiter: Waiter[Reply, Call], call: Call) -> None:
    """Copy the records of the shared work to the call; stop streaming to a caller that has left."""
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
