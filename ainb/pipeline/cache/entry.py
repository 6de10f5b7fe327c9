"""Cache entries: replies as JSON text. Decoding is strict, since other programs may write to the store."""

from __future__ import annotations

import contextlib
import copy
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar, get_args

from ainb.messages import Reply, Usage, is_reply_cost, is_token_count
from ainb.pipeline.cache.key import is_json
from ainb.redaction import encodable
from ainb.replies import CostSource, TokensSource, read_amount

T = TypeVar("T")

ENTRY_VERSION = 2
NOTHING = Decimal(0)

# Finish reasons of complete replies. A reply with another one is cut ("length", "content_filter", …) and is
# not stored. None comes from the user's own functions, which return only complete results.
WHOLE = frozenset(
    {None, "stop", "end_turn", "stop_sequence", "eos", "eos_token", "tool_calls", "tool_use", "function_call"}
)
TOKENS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation_1h_input_tokens",
    "reasoning_output_tokens",
)
_tokens_of = operator.attrgetter(*TOKENS)


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored reply, decoded anew for every lookup.

    Attributes:
        reply: The reply as it was when it was paid for.
        created_at: Wall-clock seconds since 1970 at which it was stored.
    """

    reply: Reply
    created_at: float

    def hit(self, *, stale: bool = False) -> Reply:
        """The reply marked as a cache hit, with cost 0 and the saved cost; called once per entry."""
        self.reply.stale = stale
        return _mark_saved(self.reply)


def as_coalesced(reply: Reply) -> Reply:
    """A copy of a reply for a caller that joined an identical call; shares no mutable value."""
    copied = replace(reply, coalesced=True, parsed=copy_value(reply.parsed), headers=dict(reply.headers))
    return _mark_saved(copied)


def _mark_saved(reply: Reply) -> Reply:
    if not reply.cached:  # a copy of a hit keeps the saved cost of the hit
        reply.saved_usd = reply.cost_usd
    reply.provider_saved_usd = None
    reply.cached = True
    reply.attempts = 0
    reply.cost_usd = NOTHING
    reply.cost_source = "free"
    return reply


def copy_value(value: T) -> T:
    """A deep copy; the value itself if it cannot be copied."""
    if value is None or type(value) is str:
        return value
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - a value of a user's class; shared is better than lost
        return value


def stored_key(key: str, version: int | None = None) -> str:
    """Key of an entry in a store, with the format's version, so that formats do not replace each other.

    Args:
        key: Digest of the request.
        version: The format's version; None means that of reply entries.
    """
    return f"{key}.{ENTRY_VERSION if version is None else version}"


def is_whole(reply: Reply) -> bool:
    """Whether a reply is complete, so that it may be stored."""
    if not reply.complete:
        return False
    reason = reply.finish_reason
    return (reason.lower() if isinstance(reason, str) else reason) in WHOLE


def encode_entry(reply: Reply, created_at: float) -> str:
    """Encode a reply as JSON text; lone surrogates become "?".

    `parsed` is kept only if it is plain JSON with integers of at most 64 bits. A hit of a request with a
    schema reads it from the text again.
    """
    import orjson

    usage = reply.usage
    entry = {
        "version": ENTRY_VERSION,
        "created_at": created_at,
        "text": reply.text,
        "model": reply.model,
        "provider": reply.provider,
        "finish_reason": reply.finish_reason,
        "reasoning": reply.reasoning,
        "tokens": _tokens_of(usage),
        "tokens_source": usage.source,
        "cost_usd": None if reply.cost_usd is None else str(reply.cost_usd),
        "cost_source": reply.cost_source,
        "parsed": reply.parsed if is_json(reply.parsed) else None,
    }
    for form in (lambda: entry, lambda: _encodable(entry)):
        with contextlib.suppress(TypeError):  # lone surrogates, as in a stream cut within a character
            return bytes(orjson.dumps(form())).decode()
    return bytes(orjson.dumps(_encodable({**entry, "parsed": None}))).decode()


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {encodable(name): _encodable(item) for name, item in value.items()}
    return value


def decode_entry(text: str) -> Entry | None:
    """Read a stored reply.

    Returns:
        The entry, or None when the text is not exactly what `encode_entry` writes.
    """
    import orjson

    try:
        entry = orjson.loads(text)
    except ValueError:
        return None
    if type(entry) is not dict or entry.keys() != FIELDS.keys():
        return None
    if not all(is_right(entry[name]) for name, is_right in FIELDS.items()):
        return None
    return Entry(_read_reply(entry), float(entry["created_at"]))


def _read_reply(entry: Mapping[str, Any]) -> Reply:
    tokens = dict(zip(TOKENS, entry["tokens"], strict=True))
    cost = entry["cost_usd"]
    return Reply(
        text=entry["text"],
        model=entry["model"],
        provider=entry["provider"],
        usage=Usage(**tokens, source=entry["tokens_source"]),
        finish_reason=entry["finish_reason"],
        reasoning=entry["reasoning"],
        cost_usd=None if cost is None else Decimal(cost),
        cost_source=entry["cost_source"],
        parsed=entry["parsed"],
    )


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_text_or_none(value: object) -> bool:
    return value is None or type(value) is str


def is_moment(value: object) -> bool:
    """Whether a value from a store is a number of seconds since 1970."""
    return type(value) in (int, float) and math.isfinite(value) and value >= 0  # type: ignore[arg-type, operator]  # a number


def _is_tokens(value: object) -> bool:
    return (
        type(value) is list
        and len(value) == len(TOKENS)
        and all(item is None or is_token_count(item) for item in value)
    )


def _is_cost(value: object) -> bool:
    return value is None or is_reply_cost(read_amount(value))


def _one_of(*choices: str | None) -> Callable[[object], bool]:
    return lambda value: (value is None or type(value) is str) and value in choices


FIELDS: Mapping[str, Callable[[object], bool]] = {
    "version": lambda value: type(value) is int and value == ENTRY_VERSION,
    "created_at": is_moment,
    "text": _is_text,
    "model": _is_text,
    "provider": _is_text,
    "finish_reason": _is_text_or_none,
    "reasoning": _is_text_or_none,
    "tokens": _is_tokens,
    "tokens_source": _one_of(*get_args(TokensSource)),
    "cost_usd": _is_cost,
    "cost_source": _one_of(*get_args(CostSource), None),
    "parsed": lambda _value: True,
}
