"""Plausibility of what a provider reports: token counts and cost. No I/O."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

from ainb.messages import UNKNOWN_USAGE, Reply, Usage

# Ten times the largest context of a model; sums over a billion rows still fit 64 bits.
MAX_TOKENS = 100_000_000
MAX_COST_USD = Decimal(100_000)
_COUNTS = tuple(item.name for item in dataclasses.fields(Usage) if item.name != "source")


def drop_implausible(reply: Reply) -> str | None:
    """Replace counts and a cost that cannot be by None, in place.

    Returns:
        Names and values of what was dropped, for a notice; None when all is plausible.
    """
    problems: list[str] = []
    if reply.usage is not UNKNOWN_USAGE:
        counts = {name: getattr(reply.usage, name) for name in _COUNTS}
        bad = {name: value for name, value in counts.items() if not _is_count(value)}
        if bad:
            unknown: dict[str, Any] = dict.fromkeys(bad)
            reply.usage = dataclasses.replace(reply.usage, **unknown)
            if reply.usage.input_tokens is None and reply.usage.output_tokens is None:
                reply.usage = UNKNOWN_USAGE
            problems += [f"{name} = {_short(value)}" for name, value in bad.items()]
    if reply.cost_usd is not None and not _is_cost(reply.cost_usd):
        problems.append(f"cost_usd = {_short(reply.cost_usd)}")
        reply.cost_usd, reply.cost_source = None, None
    return ", ".join(problems) or None


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= MAX_TOKENS)


def _is_cost(value: Any) -> bool:
    return isinstance(value, Decimal) and value.is_finite() and 0 <= value <= MAX_COST_USD


def _short(value: Any) -> str:
    return f"{value!r:.40}"
