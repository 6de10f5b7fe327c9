"""Deadline stages: time limits of a whole call (waits and attempts together) and of each attempt."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ainb.clock import Clock
from ainb.errors import DeadlineExceededError, TransientProviderError, arrived
from ainb.messages import Call, Handler, Reply
from ainb.pipeline.checks import check_seconds
from ainb.pipeline.deadline.time_limit import TimeLimits
from ainb.plain import plain_fields


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """Time limits of a call.

    Attributes:
        timeout_seconds: Limit of the whole call; above 0, None means no limit.
        attempt_seconds: Limit of one attempt at the provider; above 0, None means no limit.

    Raises:
        ConfigError: A limit is not above 0.
    """

    timeout_seconds: float | None = 300.0
    attempt_seconds: float | None = 120.0

    def __post_init__(self) -> None:
        plain_fields(self)
        for name in ("timeout_seconds", "attempt_seconds"):
            check_seconds(name, getattr(self, name))


class DeadlineStage:
    """Ends a call at its deadline; every caller has its own deadline."""

    def __init__(self, options: Deadline, clock: Clock) -> None:
        self._usual = None if options.timeout_seconds is None else TimeLimits(options.timeout_seconds)
        self._clock = clock

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Limit all inner stages by the call's total time."""
        own = call.options.timeout_seconds
        if own is not None:
            return await self._within(own, call, proceed)
        if self._usual is None:
            return await proceed(call)
        seconds = self._usual.seconds
        call.deadline = call.started_at + seconds
        with self._usual.limit(lambda: _too_late(call, seconds)):
            return await proceed(call)

    async def _within(self, seconds: float, call: Call, proceed: Handler) -> Reply:
        call.deadline = call.started_at + seconds
        try:
            async with asyncio.timeout(max(0.0, call.deadline - self._clock.monotonic())) as scope:
                return await proceed(call)
        except TimeoutError:
            if not scope.expired():
                raise
            raise _too_late(call, seconds) from None


def _too_late(call: Call, seconds: float) -> DeadlineExceededError:
    return DeadlineExceededError.after(seconds, billed=call.attempts > 0, text=call.text_so_far)


class AttemptTimeoutStage:
    """Ends an attempt that takes too long, as a transient error that may have been billed."""

    def __init__(self, options: Deadline) -> None:
        self._limits = None if options.attempt_seconds is None else TimeLimits(options.attempt_seconds)

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Limit one attempt; the outer stage limits the whole call."""
        if self._limits is None:
            return await proceed(call)
        seconds = self._limits.seconds
        with self._limits.limit(lambda: _too_slow(call, seconds)):
            return await proceed(call)


def _too_slow(call: Call, seconds: float) -> TransientProviderError:
    text = call.text_so_far
    what = "no answer" if text is None else "no whole answer"
    error = TransientProviderError(
        f"{what} from {call.request.provider}:{call.request.model} within the {seconds:g} s of one "
        f"attempt{arrived(text)}; try again, lower --max-tokens, or raise attempt_seconds",
        billed=True,
    )
    error.text = text
    return error
