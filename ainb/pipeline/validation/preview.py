"""What sending a call would mean, found out without sending it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ainb.messages import Call, Request
from ainb.pricing import Estimate, Prices, estimate_request


class Review(Protocol):
    """What validation says of a call."""

    @property
    def request(self) -> Request:
        """What may be sent."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """A line for each rule that redacted or warns."""
        ...

    @property
    def refusal(self) -> str | None:
        """Why it may not be sent; None when it may."""
        ...


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A call that was not sent.

    Attributes:
        request: As it would leave, redactions made.
        estimate: Tokens and price.
        stored: Whether a stored answer would be given, so that nothing would be sent or paid; None when the cache is off.
        notes: What validation redacted or warns of, a line each.
        refusal: Why validation would refuse it, on one line; None when it would not.
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
    """Look at a call; nothing of it is changed.

    Args:
        call: As it would be handed to the pipeline.
        prices: Price lists.
        usual_output_tokens: Provider and model to the output of a usual reply, None where that is not known.
        holds: Whether the cache holds an answer; None when it is off.
        review: What validation says; None when it is off.
    """
    found = review(call) if review is not None else None
    request = found.request if found is not None else call.request
    # Prices and vocabularies load slowly the first time, and the loop has other calls.
    usual = await asyncio.to_thread(usual_output_tokens, request.provider, request.model)
    estimate = await asyncio.to_thread(
        estimate_request, request, prices, free=call.provider.free, likely_output_tokens=usual
    )
    asked = dataclasses.replace(call, request=request, cache_key=None)
    return Preview(
        request=request,
        estimate=estimate,
        stored=await holds(asked) if holds is not None else None,
        notes=tuple(found.notes) if found is not None else (),
        refusal=found.refusal if found is not None else None,
    )
