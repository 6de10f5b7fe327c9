"""Warm-up of the provider's prompt cache: one row is sent first, the others once the prefix is cached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ainb.errors import AinbError
from ainb.messages import MarksPrefixes

if TYPE_CHECKING:
    from ainb.clock import Clock
    from ainb.messages import Call, Reply

# After this number of failed first rows the others follow: in an outage rows would fail one by one.
MAX_FAILURES = 3


class WarmUp:
    """Lets one row at a time pass until the prefix is cached, and again after a pause in which it expired.

    A prefix can be read once the first reply has begun; rows sent earlier would each pay for writing it.
    Rows that ainb's own cache answers, or that are refused before they are sent, pass the turn on.
    """

    # The turn is taken outside the pipeline: inside, a waiting row would hold a permit and use up its
    # attempt's time.

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
        """Pass the call to `handle` when it is its turn."""
        # Most batches have no shared prefix; their rows need no further coroutine.
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
        """Wait for the turn; returns a function that passes it on, or None when no turn is needed."""
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
    """How long the provider keeps the prefix that the call marks; None when it marks none."""
    if not isinstance(call.provider, MarksPrefixes):
        return None
    try:
        return call.provider.cache_seconds(call.request)
    except AinbError:  # such as a missing key, which the call itself reports
        return None


def _once(release: Callable[[], None]) -> Callable[[], None]:
    held = [release]
    return lambda: held.pop()() if held else None
