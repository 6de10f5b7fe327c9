"""Result of a row from the error that ended its call, and of a row with two calls."""

from __future__ import annotations

import dataclasses

from ainb.batch.results.row_result import RowResult, to_nano_usd
from ainb.messages import Call, add_up
from ainb.pipeline.budget import billed_attempts


def of_failure(call: Call, error: Exception, *, was_sent: bool, took_s: float | None) -> RowResult:
    """The result of a row whose call failed, with the cost of that call.

    Args:
        call: The ended call.
        error: The exception.
        was_sent: Whether anything was sent; otherwise the row is "rejected".
        took_s: Duration in seconds.
    """
    result = RowResult.of_error(
        error,
        status="error" if was_sent else "rejected",
        attempts=call.attempts,
        duration_s=took_s if was_sent else None,
    )
    if call.replies:  # unusable replies are billed as well
        usage, cost = add_up(call.replies)
        result.input_tokens, result.output_tokens = usage.input_tokens, usage.output_tokens
        result.cost_nano_usd = to_nano_usd(cost)
    elif was_sent and (call.provider.free or not billed_attempts(call, error)):
        result.cost_nano_usd = 0
    return result


def added(first: RowResult, second: RowResult) -> RowResult:
    """The second result of a row plus tokens and cost of the first."""

    def total(name: str) -> int | None:
        one, other = getattr(first, name), getattr(second, name)
        return None if one is None or other is None else one + other

    return dataclasses.replace(
        second,
        attempts=first.attempts + second.attempts,
        cost_nano_usd=total("cost_nano_usd"),
        input_tokens=total("input_tokens"),
        output_tokens=total("output_tokens"),
        provider_saved_nano_usd=total("provider_saved_nano_usd"),
    )
