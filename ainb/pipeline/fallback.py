"""Fallback: asks the call's other models, in order, when the one before is unavailable.

The stage stands outside the cache, so each answer is stored and priced under the model that gave it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable

from ainb.errors import (
    CircuitOpenError,
    ConfigError,
    PermanentProviderError,
    RateLimitError,
    ReplayMissError,
    TransientProviderError,
)
from ainb.messages import Alternative, Call, Handler, Reply, Request

# Errors that are no fault of the request. ReplayMissError is one, so that a recorded answer of a fallback is
# found again.
DOWN = (TransientProviderError, CircuitOpenError, RateLimitError, ReplayMissError)
# Refusals that are no fault of the request either: the money or the quota of the account is used up.
USED_UP_STATUSES = frozenset({402, 429})
TAG = "fallback_from"


class FallbackStage:
    """Asks the next model when the one before is down, its attempts are used up or its circuit is open.

    A refusal of the request itself (400, 401, 404, …) is not passed to another model, and neither is a call
    of which some text was shown.
    """

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Ask one model after the other until one answers.

        Raises:
            AinbError: No model answered: the error of the first one, raised from that of the last.
        """
        return self._ask(call, proceed) if call.options.fallback else proceed(call)

    async def _ask(self, call: Call, proceed: Handler) -> Reply:
        try:
            return await proceed(call)
        except (*DOWN, PermanentProviderError) as error:
            if not _may_go_on(call, error):
                raise
            first = error
        return await self._ask_others(call, proceed, first)

    async def _ask_others(self, call: Call, proceed: Handler, first: Exception) -> Reply:
        asked = call.request
        name = f"{asked.provider}:{asked.model}"
        error = first
        for other in call.options.fallback:
            _turn_to(call, other, asked, after=error)
            try:
                reply = await proceed(call)
            except (*DOWN, PermanentProviderError, ConfigError) as caught:
                error = caught
                if not (isinstance(caught, ConfigError) or _may_go_on(call, caught)):
                    raise caught from first
            else:
                call.options = dataclasses.replace(call.options, tags={**call.options.tags, TAG: name})
                return reply
        raise first from error


def _may_go_on(call: Call, error: Exception) -> bool:
    if call.shown:
        return False
    return isinstance(error, DOWN) or getattr(error, "status_code", None) in USED_UP_STATUSES


def _turn_to(call: Call, other: Alternative, asked: Request, *, after: Exception) -> None:
    """Point the call at another model; base URL and key variable stay only within the same service."""
    here = call.request
    same = other.provider.name == asked.provider
    call.notes.append(
        f"{here.provider}:{here.model} is down ({type(after).__name__}); asking "
        f"{other.provider.name}:{other.model}"
    )
    call.request = dataclasses.replace(
        asked,
        provider=other.provider.name,
        model=other.model,
        api_base=asked.api_base if same else None,
        api_key_name=asked.api_key_name if same else None,
    )
    call.provider = other.provider
    # These were looked up for the model before.
    call.cache_key = call.endpoint = call.account = None
