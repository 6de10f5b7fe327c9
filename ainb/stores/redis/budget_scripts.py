"""Lua scripts of the shared budget; ``lua/budget/head.lua`` describes their keys and arguments."""

from __future__ import annotations

import functools

from ainb.pipeline.budget import HEADROOM, MILLION, SHARE_AHEAD
from ainb.stores.redis.heartbeat import NEW_MS
from ainb.stores.redis.script import load_script

KEEP_MS = 40 * 24 * 3600 * 1000

_load = functools.partial(
    load_script,
    head="budget/head",
    types=("hash", "hash", "zset", "hash", "string", "string"),
    KEEP_MS=KEEP_MS,
    HEADROOM=HEADROOM,
    MILLION=MILLION,
    SHARE_AHEAD=SHARE_AHEAD,
    NEW_MS=NEW_MS,
)

DRAW = _load("budget/draw")
SENT = _load("budget/sent")
SETTLE = _load("budget/settle")
SPEND = _load("budget/spend")
GIVE_BACK = _load("budget/give_back")
RESTORE = _load("budget/restore")
LOOK = _load("budget/look")
RESET = _load("budget/reset")
