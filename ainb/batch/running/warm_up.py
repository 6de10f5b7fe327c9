"""One row goes ahead until the provider has the shared prefix in its cache; then the others follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ainb.errors import AinbError
from ainb.messages import MarksPrefixes

if TYPE_CHECKING:
    from ainb.clock import Clock
    from ainb.messages import Call, Reply

# After so many rows ahead whose calls failed the others follow, or in an outage rows would fail one by one.
MAX_FAILURES = 3


class WarmUp:
    """Lets one row at a time pass until the prefix is cached, and again after a pause that outlived it.

    A prefix can be read once the first reply has begun; rows sent before would each pay for writing it.
    Rows whose call turns out to be answered from ainb's own cache, or is refused before it is sent, hand the
    turn on.

    Args:
        clock: Clock of the session.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()
        self._used_at: float | None = None
        self._life_seconds = 0.0
        self._marks = True
        self._failures = 0

    def send(
        self, call: Call, handle: Callable[[Call], Coroutine[Any, Any, Reply]]
    ) -> Coroutine[Any, Any, Reply]:
        """`handle` the call when it is its turn."""
        # Most batches share nothing that is cached: no further coroutine for each of their rows.
        return handle(call) if call.request.shared is None else self._send(call, handle)

    async def _send(self, call: Call, handle: Callable[[Call], Coroutine[Any, Any, Reply]]) -> Reply:
        release = None if self._is_warm() else await self._wait(call)
        try:
            return await handle(call)
        finally:
            if call.replies:
                self._answered()
            elif call.attempts and release is not None:
                self._failures += 1
            if release is not None:
                release()

    async def _wait(self, call: Call) -> Callable[[], None] | None:
        """Wait for the turn; returns what hands it on, or None where no row need go ahead (any more)."""
        life = _cache_seconds(call)
        if life is None:
            self._marks = False
            return None
        self._life_seconds = life
        await self._turn.acquire()
        release = _once(self._turn.release)
        if self._is_warm():
            release()
            return None

        def begun() -> None:
            self._answered()
            release()

        call.on_answer = begun
        return release

    def _is_warm(self) -> bool:
        if not self._marks or self._failures >= MAX_FAILURES:
            return True
        now = self._clock.monotonic()
        return self._used_at is not None and now - self._used_at < self._life_seconds

    def _answered(self) -> None:
        self._used_at = self._clock.monotonic()
        self._failures = 0


def _cache_seconds(call: Call) -> float | None:
    """How long the provider keeps the prefix that the call marks; None where it marks none."""
    if not isinstance(call.provider, MarksPrefixes):
        return None
    try:
        return call.provider.cache_seconds(call.request)
    except AinbError:  # a missing key, say; the call itself will report it
        return None


def _once(release: Callable[[], None]) -> Callable[[], None]:
    held = [release]
    return lambda: held.pop()() if held else None
