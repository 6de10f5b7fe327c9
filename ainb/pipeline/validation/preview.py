"""Preview of a call without sending it: request, price estimate, cache, validation."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ainb.event_loop import USER_THREADS
from ainb.messages import Call, Request
from ainb.pipeline.validation.validator import Review
from ainb.pricing import Estimate, Prices, estimate_request


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Preview of a call that was not sent.

    Attributes:
        request: The request as it would be sent, after redactions.
        estimate: Tokens and price.
        stored: Whether the cache would answer, so that nothing would be sent or paid; None when the cache is
            off.
        notes: Notes of validation, one line per rule that redacts or warns.
        refusal: Reason for which validation would refuse the call, on one line; None when it would not.
    """

    request: Request
    estimate: Estimate
    stored: bool | None = None
    notes: tuple[str, ...] = ()
    refusal: str | None = None


async def preview_call(
    call: Call,
    *,
    prices: Prices,
    usual_output_tokens: Callable[[str, str], int | None],
    holds: Callable[[Call], Awaitable[bool]] | None = None,
    review: Callable[[Call], Review] | None = None,
) -> Preview:
    """Preview a call without changing it.

    Args:
        call: The call as it would enter the pipeline.
        prices: Price lists.
        usual_output_tokens: Returns the output tokens of a typical reply by provider and model, None where
            unknown.
        holds: Whether the cache holds an answer; None when the cache is off.
        review: Validates a call; None when validation is off.
    """
    # In a thread: the user's rules may block.
    found = await USER_THREADS.run(functools.partial(review, call)) if review is not None else None
    request = found.request if found is not None else call.request
    # In a thread: prices and vocabularies are slow to load the first time, and would block the loop.
    usual = await asyncio.to_thread(usual_output_tokens, request.provider, request.model)
    estimate = await asyncio.to_thread(
        estimate_request, request, prices, free=call.provider.free, likely_output_tokens=usual
    )
    asked = dataclasses.replace(call, request=request, cache_key=None)
    return Preview(
        request=request,
        estimate=estimate,
        stored=await holds(asked) if holds is not None else None,
        notes=found.notes if found is not None else (),
        refusal=found.refusal if found is not None else None,
    )
