"""Price functions for users: the cost of token counts, and an estimate for a prompt not yet sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from ainb import tokens
from ainb.messages import DEFAULT_OUTPUT_TOKENS, Message, Request, Usage
from ainb.model_rules import thinking_tokens
from ainb.pricing.expected import THOUGHT_SHARE, USUAL_TOKENS, expected_output
from ainb.pricing.prices import FREE_PROVIDERS, Prices, service_tier_of
from ainb.pricing.quotes import choices, may_write_cache, output_bound
from ainb.replies import CostSource

_PUBLISHED = Prices()


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Estimate of tokens and cost of a prompt, which was not sent.

    Attributes:
        model: Model name as given.
        input_tokens: Tokens of the prompt.
        input_source: "exact" or "estimate".
        output_tokens_low: Always 1.
        output_tokens_likely: Usual output of earlier replies if the caller gave it, else 256 plus a share for
            thinking; never above the limit.
        output_tokens_high: The output limit.
        cost_low: USD at the low output; None when no price is known.
        cost_likely: USD at the likely output; None when no price is known.
        cost_high: USD at the high output; None when no price is known.
        cost_source: "table", "free" or "unpriced".
    """

    model: str
    input_tokens: int
    input_source: tokens.Source
    output_tokens_low: int
    output_tokens_likely: int
    output_tokens_high: int
    cost_low: Decimal | None
    cost_likely: Decimal | None
    cost_high: Decimal | None
    cost_source: CostSource

    def __repr__(self) -> str:
        about = "" if self.input_source == "exact" else "about "
        counts = f"{about}{self.input_tokens:,} tokens in, up to {self.output_tokens_high:,} out"
        return f"Estimate({self.model}: {counts}; {self.cost_text})"

    @property
    def cost_text(self) -> str:
        """The price as text: "free", "no price known", or a range and the likely value."""
        if self.cost_low is None or self.cost_high is None or self.cost_likely is None:
            return "no price known"
        if self.cost_source == "free":
            return "free"
        low, likely, high = (format_usd(cost) for cost in (self.cost_low, self.cost_likely, self.cost_high))
        return f"{low} to {high}, likely {likely}"


def format_usd(usd: Decimal) -> str:
    """Format USD with cents, or with two significant digits below ten cents, such as ``$0.0042``."""
    if usd == 0 or usd >= Decimal("0.1"):
        return f"${usd:,.2f}"
    return f"${usd.quantize(Decimal(1).scaleb(usd.adjusted() - 1)):f}"


def price(
    model: str,
    *,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    cache_read_input_tokens: int | None = None,
    cache_creation_input_tokens: int | None = None,
    reasoning_output_tokens: int | None = None,
    batch: bool = False,
    prices: Prices | None = None,
) -> Decimal | None:
    """Compute the cost of token counts in USD.

    Args:
        model: ``provider:model``, ``provider/model``, or a bare model name, from which the provider is
            inferred.
        input_tokens: Input tokens, cached ones included; None means 0.
        output_tokens: Output tokens, reasoning included; None means 0.
        cache_read_input_tokens: Part of the input that was read from the provider's cache.
        cache_creation_input_tokens: Part of the input that was written to the provider's cache.
        reasoning_output_tokens: Part of the output that was reasoning.
        batch: Whether the discount of the provider's batch API applies, if one is published.
        prices: Price lists with a table of one's own; None means the published ones.

    Returns:
        Cost in USD; None when no price is known; 0 for a model on this machine.
    """
    usage = Usage(
        input_tokens=input_tokens or 0,
        output_tokens=output_tokens or 0,
        cache_read_input_tokens=cache_read_input_tokens,
        cache_creation_input_tokens=cache_creation_input_tokens,
        reasoning_output_tokens=reasoning_output_tokens,
    )
    return _cost(prices or _PUBLISHED, model, usage, batch=batch)[0]


def estimate(
    prompt: str | Sequence[Message | Mapping[str, Any]],
    *,
    model: str,
    max_tokens: int | None = None,
    effort: str | None = None,
    likely_output_tokens: int | None = None,
    batch: bool = False,
    prices: Prices | None = None,
) -> Estimate:
    """Estimate tokens and cost of `prompt` without sending it.

    Args:
        prompt: A text, or messages.
        model: As for `price`.
        max_tokens: Output limit; None means 4,096 plus room for thinking, the limit that a hard budget sends
            too.
        effort: Reasoning effort; None means the model's default.
        likely_output_tokens: Output of a usual reply, such as the median of past ones; None means 256, plus
            an eighth of the room for thinking if the model thinks.
        batch: Whether the rate of the provider's batch API applies.
        prices: Price lists with a table of one's own; None means the published ones.
    """
    messages = [Message("user", prompt)] if isinstance(prompt, str) else prompt
    counted = tokens.count(messages, model)
    room = thinking_tokens(*_split(model), {"effort": effort})
    high = DEFAULT_OUTPUT_TOKENS + room if max_tokens is None else max_tokens
    if likely_output_tokens is None:
        likely_output_tokens = USUAL_TOKENS + room // THOUGHT_SHARE
    lists = prices or _PUBLISHED
    return _estimate(
        model, counted, high, likely_output_tokens, lambda usage: _cost(lists, model, usage, batch=batch)
    )


def estimate_request(
    request: Request, prices: Prices, *, free: bool = False, likely_output_tokens: int | None = None
) -> Estimate:
    """Estimate tokens and cost of a whole request: messages, tools and reply schema, at its output limit.

    Args:
        request: The request that would be sent.
        prices: Price lists.
        free: Whether the service charges nothing.
        likely_output_tokens: Output of a usual reply of the model; used if neither schema nor prompt limits
            the reply.
    """
    likely_output_tokens = expected_output(request, usual=likely_output_tokens).tokens
    counted = tokens.count_request(request)
    high, _ = output_bound(prices, request, counted.tokens)
    tier = service_tier_of(request)

    def cost(usage: Usage) -> tuple[Decimal | None, CostSource]:
        if usage.output_tokens == most and may_write_cache(request, counted.tokens):
            usage = replace(usage, cache_creation_input_tokens=usage.input_tokens)
        return prices.cost(request.provider, request.model, usage, free=free, service_tier=tier)

    name = f"{request.provider}:{request.model}"
    most = high * choices(request)
    return _estimate(name, counted, most, likely_output_tokens, cost)


def _estimate(
    model: str,
    counted: tokens.TokenCount,
    high: int,
    likely_output_tokens: int | None,
    cost: Callable[[Usage], tuple[Decimal | None, CostSource]],
) -> Estimate:
    likely = min(high, USUAL_TOKENS if likely_output_tokens is None else likely_output_tokens)
    costs = [cost(Usage(input_tokens=counted.tokens, output_tokens=output)) for output in (1, likely, high)]
    return Estimate(
        model=model,
        input_tokens=counted.tokens,
        input_source=counted.source,
        output_tokens_low=1,
        output_tokens_likely=likely,
        output_tokens_high=high,
        cost_low=costs[0][0],
        cost_likely=costs[1][0],
        cost_high=costs[2][0],
        cost_source=costs[2][1],
    )


def _cost(
    prices: Prices, model: str, usage: Usage, *, batch: bool = False
) -> tuple[Decimal | None, CostSource]:
    """Cost with the part before the first ``:`` or ``/`` as provider, else with the whole as model name."""
    provider, name = _split(model)
    if provider:
        cost, source = prices.cost(provider, name, usage, free=provider in FREE_PROVIDERS, batch=batch)
        if cost is not None:
            return cost, source
    return prices.cost("", model, usage, batch=batch)


def _split(model: str) -> tuple[str, str]:
    """Split at the first ``:`` or ``/``; the first part is "" without one."""
    at = min((place for mark in ":/" if (place := model.find(mark)) > 0), default=0)
    return (model[:at], model[at + 1 :]) if at else ("", model)
