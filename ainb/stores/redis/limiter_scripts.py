"""Lua scripts of the shared rate limit, and what their answers mean: the state by name, and an error.

``lua/limiter/head.lua`` describes their keys and arguments.
"""

from __future__ import annotations

import functools
from typing import Any

from ainb.errors import RateLimitError
from ainb.pipeline.rate_limit import (
    BURST_SHARE,
    DIMENSIONS,
    LEAST_SHARE,
    REGROWTH,
    ROUNDING,
    SLOW_DOWN_SECONDS,
    SLOWER,
    SMALLEST_STRICT_BURST,
    WINDOW_SECONDS,
    RateLimit,
)
from ainb.stores.redis.script import load_script

KEEP_MS = 2 * 3600 * 1000
# A process that makes no request for this long after its wait loses its place in the queue.
RETURN_SECONDS = 1.0
TYPES = ("hash", "hash", "hash", "zset")
NO_SLOT = 5
PAUSED = 6

_load = functools.partial(
    load_script,
    head="limiter/head",
    types=TYPES,
    KEEP_MS=KEEP_MS,
    BURST_SHARE=BURST_SHARE,
    SMALLEST_STRICT_BURST=SMALLEST_STRICT_BURST,
    WINDOW_SECONDS=WINDOW_SECONDS,
)

ACQUIRE = _load(
    "limiter/acquire", ROUNDING=ROUNDING, RETURN_SECONDS=RETURN_SECONDS, NO_SLOT=NO_SLOT, PAUSED=PAUSED
)
SETTLE = _load("limiter/settle", REGROWTH=REGROWTH)
DRAIN = _load("limiter/drain", SLOW_DOWN_SECONDS=SLOW_DOWN_SECONDS, LEAST_SHARE=LEAST_SHARE, SLOWER=SLOWER)
LEARN = _load("limiter/learn")
LOOK = _load("limiter/look")
PAUSE = load_script("limiter/pause", types=TYPES, KEEP_MS=KEEP_MS)
LEAVE = load_script("limiter/leave", types=TYPES)


def refusal(name: str, options: RateLimit, wait: float, why: int) -> RateLimitError:
    """The error that names the limit which delays the call.

    Args:
        name: ``provider:model``.
        options: Limits of all processes together.
        wait: Seconds until the call could be granted; 0 when unknown.
        why: NO_SLOT, PAUSED, or the number of a dimension, from 1.
    """
    if why == PAUSED:
        state = f"is paused for {wait:.3g} s in all processes, because the provider asked for a pause"
    else:
        concurrency = f"a concurrency of {options.concurrency}"
        limit = concurrency if why == NO_SLOT else _limit_text(options, DIMENSIONS[why - 1])
        state = f"is limited to {limit}, shared by all processes"
    if options.on_full == "raise":
        way_out = (
            'no permit is free now; try again after retry_after seconds, or set RateLimit(on_full="wait")'
        )
    else:
        smaller = "" if why == PAUSED else " or the limit, or send less"
        way_out = f"the wait is longer than this call may take; raise --timeout (timeout_seconds){smaller}"
    return RateLimitError(f"{name} {state}, and {way_out}", retry_after=wait or None)


def read_view(answer: str) -> dict[str, Any]:
    """State of the limits by name, from the numbers that the script `LOOK` returns."""
    in_flight, paused, share, *numbers = map(float, answer.split(" "))
    view: dict[str, Any] = {"in_flight": int(in_flight), "paused_s": paused, "share": share}
    for index, dimension in enumerate(DIMENSIONS):
        level, capacity, limit = numbers[3 * index : 3 * index + 3]
        if capacity:
            view |= {
                f"{dimension}_level": level,
                f"{dimension}_capacity": capacity,
                f"{dimension}_limit": limit,
            }
    return view


def _limit_text(options: RateLimit, dimension: str) -> str:
    limit = getattr(options, f"{dimension}_per_minute")
    name = f"{dimension.replace('_', ' ')} a minute"
    return f"the provider's {name}" if limit is None else f"{limit:,g} {name}"
