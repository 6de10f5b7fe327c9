"""Texts of the shared rate limiter: the error of a call that may not wait, and its state by name."""

from __future__ import annotations

from typing import Any

from ainb.errors import RateLimitError
from ainb.pipeline.rate_limit import DIMENSIONS, RateLimit
from ainb.stores.redis.limiter_scripts import NO_SLOT, PAUSED


def refusal(name: str, options: RateLimit, wait: float, why: int) -> RateLimitError:
    """The error that names the limit which delays the call.

    Args:
        name: ``provider:model``.
        options: Limits of all processes together.
        wait: Seconds until the call could be granted; 0 when unknown.
        why: NO_SLOT, PAUSED, or the number of a dimension, from 1.
    """
    what = {
        NO_SLOT: f"a concurrency of {options.concurrency}",
        PAUSED: "no calls in a pause that the provider asked for",
    }
    limit = what.get(why) or _limit_text(options, DIMENSIONS[why - 1])
    if options.on_full == "raise":
        way_out = (
            'no permit is free now; try again after retry_after seconds, or set RateLimit(on_full="wait")'
        )
    else:
        way_out = (
            "the wait is longer than this call may take; raise --timeout (timeout_seconds) or the limit, "
            "or send less"
        )
    text = f"{name} is limited to {limit}, shared by all processes, and {way_out}"
    return RateLimitError(text, retry_after=wait or None)


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
