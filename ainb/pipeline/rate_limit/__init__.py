"""Rate limit: requests, tokens and calls in flight per provider, model and account.

`options` holds the limits; `stage` acquires a permit from a limiter. `local` is the limiter of this process:
it adds lock, clock and waiting to the core, which is `queue` over the token `buckets` (data in `permits`).
`ramp` adapts the number of calls in flight below the cap, `slots` applies it, `reached` stores it.
`standalone` is the limiter for other clients; `ainb.stores.redis.limiter` is shared by processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.pipeline.rate_limit.buckets import (
        BURST_SHARE,
        NOTHING,
        ROUNDING,
        SMALLEST_STRICT_BURST,
        WINDOW_SECONDS,
        Cost,
        Pool,
    )
    from ainb.pipeline.rate_limit.estimates import TokenEstimates
    from ainb.pipeline.rate_limit.local import LocalLimiter
    from ainb.pipeline.rate_limit.options import DIMENSIONS, RateLimit
    from ainb.pipeline.rate_limit.permits import Permit
    from ainb.pipeline.rate_limit.queue import (
        LEAST_SHARE,
        MAX_PAUSE_SECONDS,
        REGROWTH,
        SLOW_DOWN_SECONDS,
        SLOWER,
        Reading,
    )
    from ainb.pipeline.rate_limit.ramp import START, Ramp, make_ramp
    from ainb.pipeline.rate_limit.reached import Reached
    from ainb.pipeline.rate_limit.slots import Slots
    from ainb.pipeline.rate_limit.stage import (
        OVERLOAD_STATUSES,
        Limiter,
        LimitScope,
        RateLimitStage,
    )
    from ainb.pipeline.rate_limit.standalone import RateLimiter
else:
    __getattr__ = lazy_exports(
        __name__,
        buckets="BURST_SHARE Cost NOTHING Pool ROUNDING SMALLEST_STRICT_BURST WINDOW_SECONDS",
        estimates="TokenEstimates",
        local="LocalLimiter",
        options="DIMENSIONS RateLimit",
        permits="Permit",
        queue="LEAST_SHARE MAX_PAUSE_SECONDS REGROWTH Reading SLOWER SLOW_DOWN_SECONDS",
        ramp="Ramp START make_ramp",
        reached="Reached",
        slots="Slots",
        stage="LimitScope Limiter OVERLOAD_STATUSES RateLimitStage",
        standalone="RateLimiter",
    )

__all__ = [
    "BURST_SHARE",
    "DIMENSIONS",
    "LEAST_SHARE",
    "MAX_PAUSE_SECONDS",
    "NOTHING",
    "OVERLOAD_STATUSES",
    "REGROWTH",
    "ROUNDING",
    "SLOWER",
    "SLOW_DOWN_SECONDS",
    "SMALLEST_STRICT_BURST",
    "START",
    "WINDOW_SECONDS",
    "Cost",
    "LimitScope",
    "Limiter",
    "LocalLimiter",
    "Permit",
    "Pool",
    "Ramp",
    "RateLimit",
    "RateLimitStage",
    "RateLimiter",
    "Reached",
    "Reading",
    "Slots",
    "TokenEstimates",
    "make_ramp",
]
