"""Outcome of a row from the reply or the error that ended its call."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ainb.batch.results import Outcome, answered, failed, nano
from ainb.messages import add_up
from ainb.pipeline.budget.billing import billed_attempts

if TYPE_CHECKING:
    from ainb.messages import Call, Reply

Fields = Callable[["Reply"], dict[str, Any]]


def of_reply(reply: Reply, fields: Fields | None) -> Outcome:
    """The outcome of an answered row.

    Args:
        reply: The answer.
        fields: Turns it into its schema values; None without a schema.
    """
    try:
        return answered(reply, None if fields is None else fields(reply))
    except Exception as error:  # noqa: BLE001 - a dump of the caller's own model; it is this row's outcome
        problem = failed(error, status="error")
        return dataclasses.replace(
            answered(reply),
            status="error",
            error_type=problem.error_type,
            error_message=problem.error_message,
        )


def of_failure(call: Call, error: Exception, *, was_sent: bool, took_s: float | None) -> Outcome:
    """The outcome of a row whose call failed, with what it cost all the same.

    Args:
        call: As it ended.
        error: What it raised.
        was_sent: Whether anything was sent; else the row is "rejected".
        took_s: Seconds that it took.
    """
    outcome = failed(
        error,
        status="error" if was_sent else "rejected",
        attempts=call.attempts,
        duration_s=took_s if was_sent else None,
    )
    if call.replies:  # paid for, although they were not what was asked for
        usage, cost = add_up(call.replies)
        outcome.input_tokens, outcome.output_tokens = usage.input_tokens, usage.output_tokens
        outcome.cost_nano_usd = nano(cost)
    elif was_sent and (call.provider.free or not billed_attempts(call, error)):
        outcome.cost_nano_usd = 0
    return outcome


def shared(outcome: Outcome) -> Outcome:
    """The outcome of a row that sends the same as another: the same answer, at no cost."""
    if outcome.status != "ok":
        return outcome
    return dataclasses.replace(outcome, cached=True, cost_nano_usd=0, attempts=0)


def added(first: Outcome, second: Outcome) -> Outcome:
    """The second outcome of a row, with the tokens and the money of the first added."""

    def total(name: str) -> int | None:
        one, other = getattr(first, name), getattr(second, name)
        return None if one is None or other is None else one + other

    return dataclasses.replace(
        second,
        attempts=first.attempts + second.attempts,
        cost_nano_usd=total("cost_nano_usd"),
        input_tokens=total("input_tokens"),
        output_tokens=total("output_tokens"),
    )
