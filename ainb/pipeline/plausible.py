"""Plausibility checks of token counts and costs that providers report. No I/O."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterable
from typing import Any

from ainb.messages import MAX_TOKENS, UNKNOWN_USAGE, Reply, is_reply_cost, is_token_count
from ainb.replies import TOKEN_COUNTS

# Counts up to this are accepted without looking up the model's context window.
USUAL_TOKENS = 100_000
# The largest count, in context windows: a reply may sum several turns with the service's own tools.
WINDOWS = 10
_counts_of = operator.attrgetter(*TOKEN_COUNTS)


def drop_implausible(reply: Reply, context_window: Callable[[], int | None] = lambda: None) -> str | None:
    """Replace impossible token counts and costs by None, in place.

    Args:
        reply: The reply as received from the provider.
        context_window: Returns the model's context window in tokens, None where unknown; called only for
            counts above USUAL_TOKENS. More than ten windows are impossible.

    Returns:
        Names and values of what was dropped, for a notice; None when all is plausible.
    """
    problems: list[str] = []
    empty = _empty_counts(reply)
    if reply.usage is not UNKNOWN_USAGE and (empty or not _are_usual(_counts_of(reply.usage))):
        counts = dict(zip(TOKEN_COUNTS, _counts_of(reply.usage), strict=True))
        most = _most_tokens(counts, context_window)
        bad = {name: value for name, value in counts.items() if name in empty or not _is_count(value, most)}
        if bad:
            unknown: dict[str, Any] = dict.fromkeys(bad)
            reply.usage = dataclasses.replace(reply.usage, **unknown)
            if reply.usage.input_tokens is None and reply.usage.output_tokens is None:
                reply.usage = UNKNOWN_USAGE
            problems += [f"{name} = {_short(value)}" for name, value in bad.items()]
    if reply.cost_usd is not None and not is_reply_cost(reply.cost_usd):
        problems.append(f"cost_usd = {_short(reply.cost_usd)}")
        reply.cost_usd, reply.cost_source = None, None
    return ", ".join(problems) or None


def _empty_counts(reply: Reply) -> tuple[str, ...]:
    """Counts of 0 that cannot be true: every request has input, and a reply with text has output.

    Gateways that do not count send zeros, which would make the call free.
    """
    usage = reply.usage
    if usage.source != "provider":
        return ()
    names = ("input_tokens",) if usage.input_tokens == 0 else ()
    return (*names, "output_tokens") if usage.output_tokens == 0 and reply.text else names


def _are_usual(counts: Iterable[Any]) -> bool:
    """Whether every count is unknown or one that any model can have, as in nearly every reply."""
    for count in counts:
        if count is not None and not (type(count) is int and 0 <= count <= USUAL_TOKENS):
            return False
    return True


def _most_tokens(counts: dict[str, Any], context_window: Callable[[], int | None]) -> int:
    if not any(type(value) is int and USUAL_TOKENS < value <= MAX_TOKENS for value in counts.values()):
        return MAX_TOKENS
    window = context_window()
    return MAX_TOKENS if window is None else min(MAX_TOKENS, max(USUAL_TOKENS, WINDOWS * window))


def _is_count(value: Any, most: int) -> bool:
    return value is None or is_token_count(value, most)


def _short(value: Any) -> str:
    return f"{value!r:.40}"
