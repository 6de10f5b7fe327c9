"""Quotes: the highest possible cost of a request, which a budget reserves before it is sent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ainb import tokens
from ainb.messages import Request, Usage
from ainb.model_rules import thinking_tokens
from ainb.pricing.prices import Prices, service_tier_of
from ainb.pricing.rates import ZERO
from ainb.pricing.reply_size import reply_size

# Margin for vocabularies that are not public: they count up to a third more tokens than o200k_base, which
# must not exceed a budget.
FOREIGN_MARGIN = 1.35
WRITES_UNASKED = frozenset({"openai", "azure"})
MIN_CACHED_TOKENS = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Highest possible cost of one attempt.

    Attributes:
        usd: Upper bound; 0 for a free model, None when no price is known.
        output_limit: Output tokens that the quote assumes when the request has no limit, to be sent as its
            limit; else None.
    """

    usd: Decimal | None
    output_limit: int | None = None


FREE = Quote(usd=ZERO)
UNPRICED = Quote(usd=None)
NOTHING_USED = Usage(input_tokens=0, output_tokens=0)


def bound(prices: Prices, request: Request, *, free: bool = False) -> Quote | None:
    """Upper bound of `quote` without counting tokens; None when they must be counted.

    They must be counted, for example, when the length of the prompt may affect the output limit.
    """
    prompt = tokens.bound_request(request)
    if prompt is None:
        return None
    if not tokens.vocabulary_for(request.model)[1]:
        prompt = math.ceil(prompt * FOREIGN_MARGIN)
    window = prices.context_window(request.provider, request.model)
    writes = request.operation != "embeddings"
    if writes and window is not None and prompt + _usual_output(request) > window:
        return None
    return _price(prices, request, prompt, free=free, batch=False)


def quote(prices: Prices, request: Request, *, free: bool = False, batch: bool = False) -> Quote:
    """Price a request at its full prompt and its whole output limit.

    If the request has no limit, the output is assumed to be 4,096 tokens, or the limit given by the reply's
    schema, plus room for thinking if the model thinks; or the rest of the model's context, if that is less. A
    model that charges for automatic writes to its prompt cache may write all of a long prompt, and a cheaper
    service tier may not be available: the higher price counts in both cases.

    Args:
        prices: Price lists.
        request: The request that would be sent.
        free: Whether the service charges nothing; then nothing is counted, unless the user's own table has a
            price.
        batch: Whether it goes through the service's batch API, where prompt cache entries are kept for an
            hour.
    """
    probe, source = prices.cost(request.provider, request.model, NOTHING_USED, free=free)
    if source == "free":
        return FREE
    if probe is None:
        return UNPRICED
    return _price(prices, request, input_bound(request), free=free, batch=batch)


def _price(prices: Prices, request: Request, prompt: int, *, free: bool, batch: bool) -> Quote:
    """Quote of a request with `prompt` input tokens."""
    output, limit = output_bound(prices, request, prompt)
    writes = _most_written(request, prompt)
    usage = Usage(
        input_tokens=prompt,
        output_tokens=output * choices(request),
        cache_creation_input_tokens=writes,
        cache_creation_1h_input_tokens=writes if _writes_for_an_hour(request, batch=batch) else None,
    )
    place = request.provider, request.model
    usd = prices.cost(*place, usage, free=free, batch=batch)[0]
    tier = service_tier_of(request)
    if tier is not None:
        cost = prices.cost(*place, usage, free=free, batch=batch, service_tier=tier)[0]
        usd = max((known for known in (usd, cost) if known is not None), default=None)
    return Quote(usd=usd, output_limit=limit)


def input_bound(request: Request) -> int:
    """Input tokens of a request, with a margin if the model's vocabulary is not public."""
    counted = tokens.count_request(request).tokens
    _, own = tokens.vocabulary_for(request.model)
    return counted if own else math.ceil(counted * FOREIGN_MARGIN)


def output_bound(prices: Prices, request: Request, prompt: int) -> tuple[int, int | None]:
    """Output tokens of one choice, and the limit to send when the request has none."""
    if request.operation == "embeddings":
        return 0, None
    limits = request.output_limits
    if limits:
        return max(limits), None
    window = prices.context_window(request.provider, request.model)
    usual = _usual_output(request)
    most = usual if window is None else max(1, min(usual, window - prompt))
    return most, most


def _usual_output(request: Request) -> int:
    """Assumed output tokens of a request without a limit, before the context is considered."""
    most = None if request.schema is None else reply_size(request.schema.json_schema).limit
    usual = request.default_output_tokens if most is None else min(most, request.default_output_tokens)
    return usual + thinking_tokens(request.provider, request.model, request.parameters)


def choices(request: Request) -> int:
    """Number of requested choices; each is charged."""
    asked = request.parameters.get("n")
    return asked if isinstance(asked, int) and asked > 1 else 1


def may_write_cache(request: Request, prompt: int) -> bool:
    """Whether the prompt may be written to the provider's cache, for which some charge an extra price.

    Source: OpenAI, "Prompt caching": from GPT-5.6 on, prompts of 1,024 tokens are written automatically.
    """
    unasked = request.provider in WRITES_UNASKED and prompt >= MIN_CACHED_TOKENS
    return unasked or bool(_cache_controls(request))


def _most_written(request: Request, prompt: int) -> int | None:
    """Most tokens that a request may write to the provider's cache; None for none."""
    if may_write_cache(request, prompt):
        return prompt
    if request.provider != "anthropic" or request.shared is None:
        return None
    return min(prompt, math.ceil(request.shared.tokens * FOREIGN_MARGIN))


def _writes_for_an_hour(request: Request, *, batch: bool) -> bool:
    """Whether a part is kept in the provider's cache for an hour, at a still higher price."""
    if batch and request.shared is not None:
        return True
    controls = _cache_controls(request)
    return any(batch or (isinstance(control, Mapping) and control.get("ttl") == "1h") for control in controls)


def _cache_controls(request: Request) -> list[Any]:
    given = request.parameters
    parts = (
        part
        for message in request.messages
        if not isinstance(message.content, str)
        for part in message.content
    )
    return [holder["cache_control"] for holder in (given, *parts) if "cache_control" in holder]
