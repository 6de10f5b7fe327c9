"""The most that a request can cost, before it is sent; what a budget sets aside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ainb import tokens
from ainb.families import thinking_tokens
from ainb.messages import Request, Usage
from ainb.pricing.prices import Prices, service_tier_of
from ainb.pricing.rates import ZERO
from ainb.pricing.reply_size import reply_size

OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
# Vocabularies that are not public count up to a third more than o200k_base does; a budget must not be outrun
# by that.
FOREIGN_MARGIN = 1.35
WRITES_UNASKED = frozenset({"openai", "azure"})
MIN_CACHED_TOKENS = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The most that one attempt can cost.

    Attributes:
        usd: Upper bound; 0 for a free model, None when no price is known.
        output_limit: Output tokens it counts on where the request names no limit, to be sent along as one;
            else None.
    """

    usd: Decimal | None
    output_limit: int | None = None


FREE = Quote(usd=ZERO)
UNPRICED = Quote(usd=None)
NOTHING_USED = Usage(input_tokens=0, output_tokens=0)


def bound(prices: Prices, request: Request, *, free: bool = False) -> Quote | None:
    """A quote at or above `quote`, without counting tokens; None where they must be counted.

    Where the prompt could bear on the output limit, that is one of these cases.
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

    Without a limit in the request the output is taken as 4,096 tokens, or what the schema of the reply bounds
    it to, and room for thinking where the model thinks; or what the model's context leaves if that is less. A
    model that bills writes to its prompt cache by itself may write all of a long prompt, and a cheaper
    service tier may not be had: the dearer price counts in both cases.

    Args:
        prices: Price lists.
        request: What would be sent.
        free: The service charges nothing; then nothing is counted, unless the person's own table prices it.
        batch: Through the service's batch API, where what goes into its prompt cache is kept for an hour.
    """
    probe, source = prices.cost(request.provider, request.model, NOTHING_USED, free=free)
    if source == "free":
        return FREE
    if probe is None:
        return UNPRICED
    return _price(prices, request, input_bound(request), free=free, batch=batch)


def _price(prices: Prices, request: Request, prompt: int, *, free: bool, batch: bool) -> Quote:
    """Quote of a request with so many input tokens."""
    output, limit = output_bound(prices, request, prompt)
    writes = _most_written(request, prompt)
    usage = Usage(
        input_tokens=prompt,
        output_tokens=output * choices(request),
        cache_creation_input_tokens=writes,
        cache_creation_1h_input_tokens=writes if _writes_for_an_hour(request, batch=batch) else None,
    )
    tiers = {service_tier_of(request), None}
    costs = [
        prices.cost(request.provider, request.model, usage, free=free, batch=batch, service_tier=tier)[0]
        for tier in tiers
    ]
    return Quote(usd=max((cost for cost in costs if cost is not None), default=None), output_limit=limit)


def input_bound(request: Request) -> int:
    """Input tokens of a request, with a margin where the model's vocabulary is not public."""
    counted = tokens.count_request(request).tokens
    _, own = tokens.vocabulary_for(request.model)
    return counted if own else math.ceil(counted * FOREIGN_MARGIN)


def output_bound(prices: Prices, request: Request, prompt: int) -> tuple[int, int | None]:
    """Output tokens of one choice, and the limit to send along when the request has none."""
    if request.operation == "embeddings":
        return 0, None
    limits = [value for name in OUTPUT_LIMITS if isinstance(value := request.parameters.get(name), int)]
    if limits:
        return max(limits), None
    window = prices.context_window(request.provider, request.model)
    usual = _usual_output(request)
    most = usual if window is None else max(1, min(usual, window - prompt))
    return most, most


def _usual_output(request: Request) -> int:
    """Output tokens of a request that names no limit, in a context that has room for them."""
    most = None if request.schema is None else reply_size(request.schema.json_schema).limit
    usual = request.default_output_tokens if most is None else min(most, request.default_output_tokens)
    return usual + thinking_tokens(request.provider, request.model, request.parameters)


def choices(request: Request) -> int:
    """How many answers are asked for at once; each is charged."""
    asked = request.parameters.get("n")
    return asked if isinstance(asked, int) and asked > 1 else 1


def may_write_cache(request: Request, prompt: int) -> bool:
    """Whether the prompt may go into the provider's cache, which some charge for above the price of input.

    Source: OpenAI, "Prompt caching": from GPT-5.6 on prompts of 1,024 tokens are written without being asked.
    """
    unasked = request.provider in WRITES_UNASKED and prompt >= MIN_CACHED_TOKENS
    return unasked or bool(_cache_wishes(request))


def _most_written(request: Request, prompt: int) -> int | None:
    """The most tokens that a request may write to the provider's cache; None for none."""
    if may_write_cache(request, prompt):
        return prompt
    if request.provider != "anthropic" or request.shared is None:
        return None
    return min(prompt, math.ceil(request.shared.tokens * FOREIGN_MARGIN))


def _writes_for_an_hour(request: Request, *, batch: bool) -> bool:
    """Whether some of it is to be kept for an hour, which costs more again."""
    if batch and request.shared is not None:
        return True
    wishes = _cache_wishes(request)
    return any(batch or (isinstance(wish, Mapping) and wish.get("ttl") == "1h") for wish in wishes)


def _cache_wishes(request: Request) -> list[Any]:
    given = request.parameters
    parts = (
        part
        for message in request.messages
        if not isinstance(message.content, str)
        for part in message.content
    )
    return [holder["cache_control"] for holder in (given, *parts) if "cache_control" in holder]
