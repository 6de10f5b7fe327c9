"""Fallback: sends a call to its next model when the previous one is unavailable.

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

# Errors that the request did not cause. ReplayMissError is among them, so that a recorded answer of a
# fallback model is found in replay.
DOWN = (TransientProviderError, CircuitOpenError, RateLimitError, ReplayMissError)
# Refusals that the request did not cause either: the account's credit or quota is used up.
USED_UP_STATUSES = frozenset({402, 429})
TAG = "fallback_from"


class FallbackStage:
    """Tries the next model when a model is down, its attempts are used up or its circuit is open.

    There is no fallback after a refusal of the request itself (400, 401, 404, …), and none once part of the
    reply was shown.
    """

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Try the models in order until one answers.

        Raises:
            AinbError: No model answered. This is the first model's error, with the last model's error as its
                cause.
        """
        return self._ask(call, proceed) if call.options.fallback else proceed(call)

    async def _ask(self, call: Call, proceed: Handler) -> Reply:
        asked = call.request
        try:
            return await proceed(call)
        except (*DOWN, PermanentProviderError) as error:
            if not _may_fall_back(call, error):
                raise
            first: Exception = error
        last = first
        for other in call.options.fallback:
            _switch_to(call, other, asked, after=last)
            try:
                reply = await proceed(call)
            except (*DOWN, PermanentProviderError, ConfigError) as error:
                last = error
                if not (isinstance(error, ConfigError) or _may_fall_back(call, error)):
                    raise error from first
            else:
                tags = {**call.options.tags, TAG: f"{asked.provider}:{asked.model}"}
                call.options = dataclasses.replace(call.options, tags=tags)
                return reply
        raise first from last


def _may_fall_back(call: Call, error: Exception) -> bool:
    if call.shown:
        return False
    return isinstance(error, DOWN) or getattr(error, "status_code", None) in USED_UP_STATUSES


def _switch_to(call: Call, other: Alternative, asked: Request, *, after: Exception) -> None:
    """Set another model on the call; base URL and key variable are kept only within the same service."""
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
    # These were looked up for the previous model.
    call.cache_key = call.endpoint = call.account = None
