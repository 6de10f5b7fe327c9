"""Shared cache in Redis: answers with an age limit, and leases by which one process fetches each answer."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Sequence
from typing import Any

from ainb.fork import renew_after_fork
from ainb.stores.base import Store, StoreStats, at_once
from ainb.stores.redis.client import RedisClient
from ainb.stores.redis.connection import UnavailableError
from ainb.stores.redis.script import load_script

LEASE_SECONDS = 5.0  # renewed at every heartbeat; other processes wait this long after its owner's death
CLAIM_SECONDS = 1.0  # of a lease that a lookup takes for a call that is usually sent at once
POLL_SECONDS = 0.04
MAX_POLL_SECONDS = 0.25
OPENING_POLLS = 50  # 2 s; a local store that takes longer hangs and is not waited for
STALE_FACTOR = 2  # an expired answer is kept for the same time again, for use while a circuit is open
SCAN_COUNT = 500
_MINE, _ANSWERED = 1, 2
LEASED = "reply"  # the namespace of answers that cost money; lookups in others take no lease

_load = functools.partial(load_script, types=("string", "string"))
GET = _load("cache/get")
LEAD = _load("cache/lead")
SET = _load("cache/set")
RELEASE = _load("cache/release")
RENEW = _load("cache/renew")


class RedisStore:
    """A `Store` shared by all processes of the namespace; JSON texts only.

    While the server is unavailable the local store is used.

    Args:
        fallback: Local store.
        ttl_seconds: Age up to which answers are valid; they are kept for twice that time. None means no
            limit.
    """

    name = "redis"

    def __init__(self, client: RedisClient, fallback: Store, ttl_seconds: float | None) -> None:
        self._client = client
        self._fallback = fallback
        self._keep_ms = 0 if ttl_seconds is None else max(1, int(ttl_seconds * 1000 * STALE_FACTOR))
        self.renew()
        renew_after_fork(self)
        client.on.heartbeat.append(self._renew_leases)
        # The local store is opened now, not when the server fails.
        self._opening = threading.Thread(target=self._open_fallback, daemon=True)
        if fallback.name == "disk":
            self._opening.start()

    def renew(self) -> None:
        """Start without leases, also in a forked child: those of the parent are its own."""
        self._claimed: dict[str, float] = {}
        self._leased: set[str] = set()

    async def get(self, namespace: str, key: str) -> str | None:
        """The text, or None when there is none; then its lease is taken, if it is free."""
        if not self._client.is_down:
            with contextlib.suppress(UnavailableError):
                return await self._client.run_on_loop(lambda: self._get(namespace, key))
        return await self._fallback.get(namespace, key)

    def expect(self, namespace: str, keys: Sequence[str]) -> None:
        """Prepare the local store if the server is unavailable; a lookup on the server takes a lease."""
        if self._client.is_down:
            self._fallback.expect(namespace, keys)

    async def set(self, namespace: str, key: str, text: str, *, created_at: float) -> None:
        """Store a text and release its lease; returns before the server has stored it."""
        name = f"{namespace}:{key}"
        if self._client.is_down:
            await self._fallback.set(namespace, key, text, created_at=created_at)
            return
        self._leased.discard(name)
        self._client.send_script(SET, self._keys(name), (self._client.owner, text, self._keep_ms))

    async def delete(self, namespace: str, key: str) -> None:
        """Delete one text."""
        await self._fallback.delete(namespace, key)
        self._client.send(("DEL", self._keys(f"{namespace}:{key}")[0]))

    async def prune(self, namespace: str, *, created_before: float) -> int:
        """Delete local texts created before a wall-clock second; texts on the server expire."""
        return await self._fallback.prune(namespace, created_before=created_before)

    async def clear(self, namespace: str) -> int:
        """Delete a whole namespace for all processes; returns the number of texts."""
        gone = await self._fallback.clear(namespace)
        with contextlib.suppress(UnavailableError):
            gone += await self._client.run_on_loop(lambda: self._clear(namespace))
        return gone

    async def stats(self) -> StoreStats:
        """Unknown sizes, since the server would have to scan its keys."""
        return StoreStats(entries=None, size_bytes=None)

    async def settle(self) -> None:
        """Wait until the server has run all earlier commands and the local store is written."""
        with contextlib.suppress(UnavailableError):
            await self._client.run_on_loop(lambda: self._client.run_command(("PING",)))
        await self._fallback.settle()

    def end_threads(self) -> None:
        """Make threads of the local store end after their queued work; never waits."""
        self._fallback.end_threads()

    async def close(self) -> None:
        """Release leases and close the local store."""
        for name in self._leased:
            self._client.send_script(RELEASE, self._keys(name), (self._client.owner,))
        self._leased.clear()
        # SQLite crashes when a connection is closed while another thread reads with it. No executor is used,
        # since it takes no work at exit.
        for _ in range(OPENING_POLLS):
            if not self._opening.is_alive():
                break
            await asyncio.sleep(POLL_SECONDS)
        await self._fallback.close()

    def _open_fallback(self) -> None:
        at_once(self._fallback.get("reply", ""))

    async def acquire_lease(self, namespace: str, key: str, *, anew: bool = False) -> bool:
        """Take the lease of an answer; waits while another process holds it.

        Args:
            namespace: Namespace of the key.
            key: Key inside the namespace.
            anew: Whether an existing text is ignored.

        Returns:
            True: this process holds the lease and must release it. False: another process is done; look the
            text up again.
        """
        name = f"{namespace}:{key}"
        if self._client.is_down:
            return True
        # A lease taken by a lookup that was then cancelled is not renewed, so it expires soon.
        if self._claimed.pop(name, 0.0) > self._client.clock.monotonic():
            self._leased.add(name)
            self._renew(name)
        try:
            return name in self._leased or await self._client.run_on_loop(
                lambda: self._acquire_lease(name, anew=anew)
            )
        except UnavailableError:
            return True

    def release_lease(self, namespace: str, key: str) -> None:
        """Release the lease, unless `set` has released it."""
        name = f"{namespace}:{key}"
        if name in self._leased:
            self._leased.discard(name)
            self._client.send_script(RELEASE, self._keys(name), (self._client.owner,))

    async def _get(self, namespace: str, key: str) -> str | None:
        name = f"{namespace}:{key}"
        wants_lease = namespace == LEASED and name not in self._leased
        lease_ms = int(CLAIM_SECONDS * 1000) if wants_lease else 0
        found = await self._client.run_script(
            GET, self._keys(name), (self._client.owner, lease_ms), lambda answer: self._drop(name, answer)
        )
        if isinstance(found, str):
            return found
        if found == _MINE:
            self._claimed[name] = self._client.clock.monotonic() + CLAIM_SECONDS / 2
        return None

    async def _acquire_lease(self, name: str, *, anew: bool) -> bool:
        pause, has_waited = POLL_SECONDS, False
        while True:
            words = (self._client.owner, int(LEASE_SECONDS * 1000), int(anew))
            found = await self._client.run_script(
                LEAD, self._keys(name), words, lambda answer: self._drop(name, answer)
            )
            if found == _ANSWERED:
                return False
            if found == _MINE:
                self._leased.add(name)
                return not (anew and has_waited)
            has_waited = True
            await self._client.clock.sleep(pause * (0.75 + 0.5 * self._client.rng.random()))
            pause = min(MAX_POLL_SECONDS, 1.5 * pause)

    def _drop(self, name: str, answer: Any) -> None:
        """Release a lease whose requester was cancelled before the answer came."""
        if answer == _MINE and name not in self._leased:
            self._client.send_script(RELEASE, self._keys(name), (self._client.owner,))

    async def _clear(self, namespace: str) -> int:
        pattern, cursor, gone = self._keys(f"{namespace}:*")[0], "0", 0
        while True:
            words = ("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
            cursor, names = await self._client.run_command(words)
            if names:
                gone += int(await self._client.run_command(("UNLINK", *names)))
            if cursor == "0":
                return gone

    def _keys(self, name: str) -> tuple[str, str]:
        return self._client.key("cache", name), self._client.key("lease", name)

    def _renew_leases(self) -> None:
        now = self._client.clock.monotonic()
        self._claimed = {name: until for name, until in self._claimed.items() if until > now}
        for name in self._leased:
            self._renew(name)

    def _renew(self, name: str) -> None:
        self._client.send_script(RENEW, self._keys(name), (self._client.owner, int(LEASE_SECONDS * 1000)))
