"""Lua scripts of the shared circuit breaker; ``lua/circuit/head.lua`` describes their keys and arguments."""

from __future__ import annotations

import functools

from ainb.pipeline.circuit import BUCKETS, OPEN_JITTER
from ainb.stores.redis.script import load_script

KEEP_MS = 2 * 3600 * 1000

_load = functools.partial(
    load_script,
    head="circuit/head",
    types=("hash",),
    KEEP_MS=KEEP_MS,
    BUCKETS=BUCKETS,
    OPEN_JITTER=OPEN_JITTER,
)

BEGIN = _load("circuit/begin")
END = _load("circuit/end")
FORCE = _load("circuit/force")
LOOK = _load("circuit/look")
