"""What came back: tokens, the reply, and what several replies to one call add up to."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, Literal

from ainb.errors import InvalidReplyError

Form = Literal["markdown", "text", "code", "json", "html", "math"]
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[^\n`]*\n(.*?)^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one reply; None means unknown, never zero.

    Attributes:
        input_tokens: Includes cached tokens.
        output_tokens: Includes reasoning tokens.
        cache_read_input_tokens: Part of the input that the provider read from its own cache.
        cache_creation_input_tokens: Part of the input that the provider wrote to its own cache.
        cache_creation_1h_input_tokens: Part of these that it keeps for an hour, at a higher price.
        reasoning_output_tokens: Part of the output that was reasoning.
        source: Who counted.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation_1h_input_tokens: int | None = field(default=None, repr=False)
    reasoning_output_tokens: int | None = None
    source: Literal["provider", "estimate", "unknown"] = "unknown"


UNKNOWN_USAGE = Usage()
_COUNTS = tuple(item.name for item in fields(Usage) if item.name != "source")


@dataclass(slots=True, kw_only=True)
class Reply:
    """What came back, and what it took; its repr leaves out what differs from run to run.

    Attributes:
        text: The model's answer as it came.
        model: The model that answered, as the provider names it.
        provider: The service that answered.
        usage: Tokens.
        finish_reason: "stop", "length", "tool_calls", "content_filter", another word of the provider's, or None.
        request_id: The provider's id of the request, or None.
        duration_s: Seconds from submit to reply, waits included; None until the call has ended.
        attempts: Provider calls made; 0 for a hit.
        cost_usd: What it cost; None when no price is known; 0 for a hit or a free model.
        cost_source: "table" (genai-prices or the user's own), "provider" (reported), "free", "unpriced", or None until known.
        saved_usd: What a hit would have cost; None when it is no hit or no price is known.
        cached: Whether it came from the cache (or from another's identical call in flight).
        coalesced: Whether it came from another's identical call in flight.
        stale: Whether the cached answer was older than asked for, and given because the circuit is open.
        replayed: Whether it came from a cassette.
        parsed: The checked value when a schema was asked for, else None.
        reasoning: The model's own summary of its thinking where it gives one, else None; never part of `text`.
        service_tier: The service tier that answered, in the provider's word, or None.
        headers: Rate-limit headers of the response, lower-case names.
        form: The form that was asked for, and so the one it is shown in.
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
    cost_source: Literal["table", "provider", "free", "unpriced"] | None = None
    saved_usd: Decimal | None = field(default=None, repr=False)
    cached: bool = field(default=False, repr=False)
    coalesced: bool = field(default=False, repr=False)
    stale: bool = field(default=False, repr=False)
    replayed: bool = field(default=False, repr=False)
    parsed: Any = None
    reasoning: str | None = field(default=None, repr=False)
    service_tier: str | None = field(default=None, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    form: Form = field(default="markdown", repr=False, compare=False)

    def __str__(self) -> str:
        return self.text

    @property
    def has_code(self) -> bool:
        """Whether something in the answer is fenced."""
        return _FENCE.search(self.text) is not None

    @property
    def code(self) -> str:
        """The fenced blocks of the answer joined by a blank line, or the whole answer where nothing is fenced."""
        blocks = [match.group(2).rstrip("\n") for match in _FENCE.finditer(self.text)]
        return "\n\n".join(blocks) if blocks else self.text.strip()

    def json(self) -> Any:
        """The answer read as JSON, fences stripped.

        Raises:
            InvalidReplyError: The answer is not JSON; its ``text`` holds the raw reply.
        """
        try:
            return json.loads(self.code)
        except ValueError as error:
            raise InvalidReplyError(
                f"the reply is not JSON ({error}); ask with -f json or a schema, or read Reply.text",
                text=self.text,
            ) from None


def add_up(replies: Sequence[Reply]) -> tuple[Usage, Decimal | None]:
    """Tokens and money of several replies to one call; a part that is unknown makes its sum unknown.

    Args:
        replies: At least one.
    """
    if len(replies) == 1:
        return replies[0].usage, replies[0].cost_usd
    sums: dict[str, int | None] = {}
    for name in _COUNTS:
        counts = [getattr(reply.usage, name) for reply in replies]
        known = [count for count in counts if count is not None]
        sums[name] = sum(known) if len(known) == len(counts) else None
    costs = [reply.cost_usd for reply in replies if reply.cost_usd is not None]
    cost = sum(costs, Decimal(0)) if len(costs) == len(replies) else None
    return Usage(**sums, source=replies[-1].usage.source), cost
