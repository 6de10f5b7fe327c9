"""Lua scripts of the shared rate limit; ``lua/limiter/head.lua`` describes their keys and arguments."""

from __future__ import annotations

import functools

from ainb.pipeline.rate_limit import (
    BURST_SHARE,
    LEAST_SHARE,
    REGROWTH,
    ROUNDING,
    SLOW_DOWN_SECONDS,
    SLOWER,
    SMALLEST_STRICT_BURST,
    WINDOW_SECONDS,
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
