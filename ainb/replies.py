"""Replies: token usage, the reply, and the sum of several replies to one call."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from ainb.errors import InvalidReplyError
from ainb.fences import fences

Form = Literal["markdown", "text", "code", "json", "html", "math"]
TokensSource = Literal["provider", "estimate", "unknown"]
CostSource = Literal["table", "provider", "free", "unpriced"]
# Bounds of plausible counts and costs of one reply: ten times the largest context of a model, and small
# enough that sums of a billion rows fit 64 bits.
MAX_TOKENS = 100_000_000
MAX_COST_USD = Decimal(100_000)
MAX_COST_DIGITS = 40
# Longer than a batch job may take, and shorter than the usage log keeps rows by default: a row starts this
# long before its end, and an older one is pruned.
MAX_DURATION_SECONDS = 366 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token usage of one reply; None means unknown, never zero.

    Attributes:
        input_tokens: Includes cached tokens.
        output_tokens: Includes reasoning tokens.
        cache_read_input_tokens: Part of the input that the provider read from its own cache.
        cache_creation_input_tokens: Part of the input that the provider wrote to its own cache.
        cache_creation_1h_input_tokens: Part of the written input that is kept for an hour, at a higher price.
        reasoning_output_tokens: Part of the output that was reasoning.
        source: Source of the counts: "provider", "estimate" or "unknown".
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation_1h_input_tokens: int | None = field(default=None, repr=False)
    reasoning_output_tokens: int | None = None
    source: TokensSource = "unknown"


UNKNOWN_USAGE = Usage()


def is_token_count(value: object, most: int = MAX_TOKENS) -> bool:
    """Whether a value is a number of tokens that one reply can have."""
    return type(value) is int and 0 <= value <= most


def is_duration(value: object) -> bool:
    """Whether a value is a number of seconds that one call can take."""
    return type(value) in {int, float} and 0 <= value <= MAX_DURATION_SECONDS  # type: ignore[operator]  # a number


def is_reply_cost(value: object) -> bool:
    """Whether a value is an amount of USD that one reply can cost."""
    return isinstance(value, Decimal) and value.is_finite() and 0 <= value <= MAX_COST_USD


def read_amount(text: object) -> Decimal | None:
    """The amount of a stored text; None unless it is a finite decimal number of usual length."""
    if not isinstance(text, str) or len(text) > MAX_COST_DIGITS:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


TOKEN_COUNTS = tuple(item.name for item in fields(Usage) if item.name != "source")


@dataclass(slots=True, kw_only=True)
class Reply:
    """A reply, with tokens, cost and duration; its repr leaves out values that differ between runs.

    Attributes:
        text: The model's answer as received.
        model: The model that answered, as the provider names it.
        provider: The service that answered.
        usage: Tokens.
        finish_reason: "stop", "length", "tool_calls", "content_filter", another value of the provider, or
            None.
        request_id: The provider's id of the request, or None.
        duration_s: Seconds from submission to reply, without waits for the rate limit; None until the call
            has ended.
        attempts: Provider calls made; 0 for a cache hit.
        cost_usd: Cost in USD; None when no price is known; 0 for a cache hit or a free model.
        cost_source: "table" (genai-prices or the user's own), "provider" (reported), "free", "unpriced", or
            None until known.
        saved_usd: Cost that a cache hit saved; None when it is not a hit or no price is known.
        provider_saved_usd: Savings of input read from the provider's own prompt cache, less the extra cost of
            input written to it; negative when the latter is more. None when unknown.
        cached: Whether it came from the cache or from an identical call in flight.
        coalesced: Whether it came from an identical call in flight.
        stale: Whether the cached answer was expired, and used because the circuit is open.
        replayed: Whether it came from a cassette.
        parsed: The checked value when a schema was requested, else None.
        reasoning: The model's own summary of its thinking if it gives one, else None; never part of `text`.
        service_tier: The service tier that answered, as named by the provider, or None.
        headers: Rate-limit headers of the response, lower-case names.
        complete: False if a stream broke off before its end, a tool call is no JSON, or a service sent no
            text; such a reply is shown but never stored.
        form: Requested form in which it is shown.
        filled: Fields of the cell's prompt that were filled, as typed between their braces.
        as_typed: Fields with a name of the notebook that were sent as typed because of their position.
    """

    text: str
    model: str = ""
    provider: str = ""
    usage: Usage = UNKNOWN_USAGE
    finish_reason: str | None = None
    request_id: str | None = field(default=None, repr=False)
    duration_s: float | None = field(default=None, repr=False)
    attempts: int = field(default=1, repr=False)
    cost_usd: Decimal | None = None
    cost_source: CostSource | None = None
    saved_usd: Decimal | None = field(default=None, repr=False)
    provider_saved_usd: Decimal | None = field(default=None, repr=False)
    cached: bool = field(default=False, repr=False)
    coalesced: bool = field(default=False, repr=False)
    stale: bool = field(default=False, repr=False)
    replayed: bool = field(default=False, repr=False)
    parsed: Any = None
    reasoning: str | None = field(default=None, repr=False)
    service_tier: str | None = field(default=None, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    complete: bool = field(default=True, repr=False)
    form: Form = field(default="markdown", repr=False, compare=False)
    filled: tuple[str, ...] = field(default=(), repr=False, compare=False)
    as_typed: tuple[str, ...] = field(default=(), repr=False, compare=False)

    # IPython calls no ``_repr_…_`` method of an object with this attribute: Markdown that it renders may run
    # scripts of the model. The extension displays replies itself, with their content escaped.
    _ipython_canary_method_should_not_exist_ = True

    def __str__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        """The text as Markdown; the front end that renders it decides which HTML in it runs."""
        return self.text

    @property
    def has_code(self) -> bool:
        """Whether the answer contains a fenced block."""
        return any(fence.is_closed for fence in fences(self.text))

    @property
    def code(self) -> str:
        """The fenced blocks joined by a blank line, or the whole answer without fences."""
        blocks = [fence.content.rstrip("\r\n") for fence in fences(self.text) if fence.is_closed]
        return "\n\n".join(blocks) if blocks else self.text.strip()

    def json(self) -> Any:
        """The answer parsed as JSON, without fences.

        Raises:
            InvalidReplyError: The answer is not JSON; its ``text`` holds the raw reply.
        """
        try:
            return json.loads(self.code)
        except (ValueError, RecursionError) as error:
            raise InvalidReplyError(
                f"the reply is not JSON ({error}); ask with -f json or a schema, or read Reply.text",
                text=self.text,
            ) from None


def add_up(replies: Sequence[Reply]) -> tuple[Usage, Decimal | None]:
    """Total tokens and cost of several replies to one call; an unknown part makes its total unknown.

    Args:
        replies: At least one.
    """
    if len(replies) == 1:
        return replies[0].usage, replies[0].cost_usd
    sums: dict[str, int | None] = {}
    for name in TOKEN_COUNTS:
        counts = [getattr(reply.usage, name) for reply in replies]
        known = [count for count in counts if count is not None]
        sums[name] = sum(known) if len(known) == len(counts) else None
    costs = [reply.cost_usd for reply in replies if reply.cost_usd is not None]
    cost = sum(costs, Decimal(0)) if len(costs) == len(replies) else None
    return Usage(**sums, source=replies[-1].usage.source), cost


def provider_savings(replies: Sequence[Reply]) -> Decimal | None:
    """Savings of the provider's prompt cache in USD, over several replies to one call; None when unknown."""
    known = [reply.provider_saved_usd for reply in replies if reply.provider_saved_usd is not None]
    return sum(known, Decimal(0)) if known else None
