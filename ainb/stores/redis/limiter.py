"""Shared rate limiter: the token buckets of `ainb.pipeline.rate_limit`, kept in Redis by Lua scripts.

A script grants a call its whole cost or nothing, and returns the seconds to wait. In each process only the
first waiter sends requests. The server keeps the order of the processes and grants later ones only what
earlier ones do not need, so that no process starves and all get equal shares.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterable
from typing import Any

from ainb.fork import renew_after_fork
from ainb.pipeline.rate_limit import (
    DIMENSIONS,
    MAX_PAUSE_SECONDS,
    NOTHING,
    Cost,
    LimitScope,
    LocalLimiter,
    Pool,
    RateLimit,
    Reading,
    Slots,
    make_ramp,
)
from ainb.pipeline.rate_limit import Permit as LocalPermit
from ainb.stores.redis import limiter_scripts as scripts
from ainb.stores.redis.client import RedisClient
from ainb.stores.redis.connection import Answered, UnavailableError
from ainb.stores.redis.heartbeat import LIVE_SECONDS
from ainb.stores.redis.script import Script
from ainb.stores.redis.shared_queue import QueueEntry, SharedPermit, SharedQueue, divided

SLOT_POLL_SECONDS = 0.05
JITTER_SECONDS = 0.005
JITTER_SHARE = 0.05
LOOKED_AT_SECONDS = 5.0


Permit = SharedPermit | tuple[LocalLimiter, LocalPermit]


class RedisLimiter:
    """A `Limiter` with buckets and slots shared by all processes of a namespace.

    Each process has its own ramp below the cap. While the server is unavailable, this process applies the
    limits divided by the number of peers last seen.

    Args:
        options: Limits of all processes together; normally the same in every process.
        scope: Provider, model and account of the limits.
    """

    def __init__(self, client: RedisClient, options: RateLimit, scope: LimitScope) -> None:
        self._client = client
        self._options = options
        self._name = f"{scope[0]}:{scope[1]}"
        digest = hashlib.sha256("\0".join(scope).encode()).hexdigest()[:20]
        self._keys = [client.key("limit", digest, part) for part in ("level", "line", "flight")]
        self._keys.append(client.key("peers"))
        limits = [getattr(options, f"{dimension}_per_minute") or "" for dimension in DIMENSIONS]
        self._fixed = (*limits, int(options.strict))
        self.renew()
        self._used_at = -math.inf
        self._view: dict[str, Any] = {}
        self._fallback: LocalLimiter | None = None
        self.counts_tokens = any(limits[1:])
        client.on.heartbeat.append(self._on_heartbeat)
        client.on.reconnected.append(self._on_reconnect)
        client.on.renamed.append(self._announce)
        renew_after_fork(self)

    def renew(self) -> None:
        """Start without calls, also in a forked child: the parent's calls never end there."""
        options = self._options
        self._queue = SharedQueue(self._leave_server_queue)
        # Calls in flight of this process, its cap, and the number that may be in flight now.
        self._local_pool = Pool(RateLimit(concurrency=options.concurrency), 0.0)
        self._slots = Slots(self._local_pool, make_ramp(options) if options.on_full == "wait" else None)
        self._asking = 0

    async def acquire(self, cost: Cost, *, user: str | None = None, deadline: float | None = None) -> Permit:
        """Wait in the queue for a permit; limits per `user` are not supported here.

        Raises:
            RateLimitError: The minimum wait exceeds `deadline` (a monotonic second), or the options say not
                to wait.
        """
        if not self._client.is_down:
            with contextlib.suppress(UnavailableError):
                return await self._client.run_on_loop(
                    lambda: self._shared(cost, deadline), lambda permit: self.settle(permit, NOTHING)
                )
        fallback = self._local()
        return fallback, await fallback.acquire(cost, user=user, deadline=deadline)

    def settle(self, permit: Permit, actual: Cost | None = None, *, answered: bool | None = None) -> None:
        """Return a permit with the actual use; None keeps the reservation. A second call does nothing.

        Args:
            permit: What `acquire` returned.
            actual: Actual use.
            answered: True when the provider answered, False when it failed, None when that is unknown.
        """
        if isinstance(permit, tuple):
            permit[0].settle(permit[1], actual, answered=answered)
            return
        if permit.settled:
            return
        permit.settled = True
        if answered is not None:
            self._slots.end(answered=answered, now=self._client.clock.monotonic())
        self._local_pool.in_flight -= 1
        cost = permit.cost
        back = (
            (0, 0, 0, 0)
            if actual is None
            else tuple(map(float.__sub__, map(float, cost), map(float, actual)))
        )
        self._send(scripts.SETTLE, *back)
        first = self._queue.first
        if first is not None:
            first.set_from_any_thread(self._client)

    def throttle(self, permit: Permit, retry_after: float | None = None) -> None:
        """After a 429: all processes empty their buckets, pause and slow down."""
        if isinstance(permit, tuple):
            permit[0].throttle(permit[1], retry_after)
        else:
            now = self._client.clock.monotonic()
            self._slots.overloaded(started_at=permit.asked_at, now=now)
            self._send(scripts.DRAIN, permit.granted_at, _pause(retry_after or 0.0))

    def pause(self, seconds: float) -> None:
        """Grant no permits to any process for `seconds`; negative numbers and NaN are ignored."""
        if self._fallback is not None:
            self._fallback.pause(seconds)
        elif _pause(seconds):
            self._client.send_script(scripts.PAUSE, self._keys, (_pause(seconds),))

    def learn(self, readings: Iterable[Reading]) -> None:
        """Apply rate-limit headers: a lower limit replaces ours, a remaining amount only lowers the level."""
        known = list(readings)
        if self._fallback is not None:
            self._fallback.learn(known)
            return
        limits: list[Any] = ["", "", "", ""]
        remaining: list[Any] = ["", "", "", ""]
        for dimension, limit, left, _ in known:
            index = DIMENSIONS.index(dimension)
            if limit is not None and 0 < limit < math.inf:
                limits[index] = limit
                self.counts_tokens = self.counts_tokens or index > 0
            if left is not None and 0 <= left < math.inf:
                remaining[index] = left
                if dimension == "requests":
                    self._slots.hint(left)
        if any(item != "" for item in (*limits, *remaining)):
            self._send(scripts.LEARN, *limits, *remaining)

    def raise_cap(self, cap: int) -> None:
        """Raise the cap on this process's calls in flight to at least `cap`, until `lower_cap`."""
        self._slots.raise_cap(cap)

    def lower_cap(self, cap: int) -> None:
        """Undo one `raise_cap` of the same number."""
        self._slots.lower_cap(cap)

    def start_at(self, in_flight: int) -> None:
        """Allow at least `in_flight` calls of this process in flight from now on, up to the cap."""
        self._slots.start_at(in_flight, self._client.clock.monotonic())

    @property
    def hinted(self) -> float | None:
        """Remaining requests that the provider reported with the last reply; None if it reported none."""
        return self._slots.hinted

    def status(self) -> dict[str, Any]:
        """Callers waiting in this process, calls in flight of all processes, and state of the buckets.

        Level, capacity and limit per dimension are as of the last heartbeat, at most one second ago while
        calls are made.
        """
        if self._fallback is not None:
            return self._fallback.status()
        row = {
            "waiting": len(self._queue),
            "in_flight": self._local_pool.in_flight,
            "concurrency": self._options.concurrency,
            "paused_s": 0.0,
            "share": 1.0,
        }
        return row | self._view

    async def _shared(self, cost: Cost, deadline: float | None) -> SharedPermit:
        """`acquire` on the connection's loop."""
        self._look_at_idle_time()
        entry: QueueEntry | None = None
        try:
            if self._queue:
                entry = await self._queue.join()
            while True:
                left = math.inf if deadline is None else max(0.0, deadline - self._client.clock.monotonic())
                granted, wait, why = await self._ask(cost, left, is_first=entry is not None)
                if granted is not None:
                    return granted
                if self._options.on_full == "raise" or wait > left:
                    raise scripts.refusal(self._name, self._options, wait, why)
                if entry is None:
                    entry = await self._queue.join()
                if why == scripts.NO_SLOT:
                    wait = SLOT_POLL_SECONDS * (0.5 + self._client.rng.random())
                else:
                    wait += min(JITTER_SECONDS, JITTER_SHARE * wait) * self._client.rng.random()
                await entry.wait_at_most(wait, self._client)
        finally:
            if entry is not None:
                self._queue.leave(entry)

    def _send(self, script: Script, *words: Any, done: Answered | None = None) -> None:
        self._client.send_script(script, self._keys, (self._client.owner, *self._fixed, *words), done)

    def _look_at_idle_time(self) -> None:
        self._used_at = self._client.clock.monotonic()
        if not self._local_pool.in_flight:
            self._slots.idle(self._used_at)

    async def _ask(
        self, cost: Cost, left: float, *, is_first: bool
    ) -> tuple[SharedPermit | None, float, int]:
        patience = -1 if self._options.on_full == "raise" else min(left, 1e9)
        if self._local_pool.in_flight + self._asking >= self._local_pool.concurrency:
            return None, 0.0, scripts.NO_SLOT
        asked_at = self._client.clock.monotonic()
        concurrency = 0 if self._local_pool.most == math.inf else int(self._local_pool.most)
        words = (self._client.owner, *self._fixed, *cost, int(is_first), concurrency, patience, LIVE_SECONDS)
        self._asking += 1
        try:
            found = str(
                await self._client.run_script(
                    scripts.ACQUIRE, self._keys, words, lambda answer: self._give_back(cost, answer)
                )
            )
        finally:
            self._asking -= 1
        kind, text, why = found.split(" ")
        if kind == "1":
            self._local_pool.in_flight += 1
            return SharedPermit(cost, text, asked_at), 0.0, 0
        return None, float(text), int(why)

    def _give_back(self, cost: Cost, answer: Any) -> None:
        """Return a permit whose requester was cancelled before the answer came."""
        if isinstance(answer, str) and answer.startswith("1 "):
            self._local_pool.in_flight += 1
            self.settle(SharedPermit(cost, answer.split(" ")[1], 0.0), NOTHING)
        elif not self._queue:
            self._client.send_script(scripts.LEAVE, self._keys, (self._client.owner,))

    def _leave_server_queue(self) -> None:
        if not self._client.is_down:
            self._client.send_script(scripts.LEAVE, self._keys, (self._client.owner,))

    def _local(self) -> LocalLimiter:
        if self._fallback is None:
            options = divided(self._options, len(self._client.peers))
            self._fallback = LocalLimiter(options, self._client.clock, name=self._name)
        return self._fallback

    def _on_reconnect(self, _lost: bool) -> None:  # noqa: FBT001 - a listener
        """Request permits from the server again; local permits are settled locally."""
        self._fallback = None
        self._announce()

    def _announce(self) -> None:
        """Report calls in flight again: reports, the server's data or this process's name may be lost."""
        owner = self._client.owner
        words = (
            ("HSET", self._keys[2], owner, self._local_pool.in_flight)
            if self._local_pool.in_flight
            else ("HDEL", self._keys[2], owner)
        )
        self._client.send(words)

    def _on_heartbeat(self) -> None:
        if self._client.clock.monotonic() - self._used_at < LOOKED_AT_SECONDS or self._local_pool.in_flight:
            self._send(scripts.LOOK, LIVE_SECONDS, done=self._update)

    def _update(self, answer: Any) -> None:
        if isinstance(answer, str):
            self._view = scripts.read_view(answer)


def _pause(seconds: float) -> float:
    return min(seconds, MAX_PAUSE_SECONDS) if 0 < seconds < math.inf else 0.0
