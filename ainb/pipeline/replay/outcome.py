"""Outcome of a call in a cassette record: a reply or an error, with durations and attempts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args

from ainb import errors
from ainb.messages import Call, Reply, Usage, is_duration, is_reply_cost, is_token_count
from ainb.pipeline.replay.request import redacted
from ainb.replies import TOKEN_COUNTS, CostSource, TokensSource, read_amount
from ainb.stores.cassette import is_reply

DURATION_DIGITS = 3

# Errors that are replayed, and their attributes. A ConfigError is not recorded: the call raises it again.
_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "InvalidPromptError": (),
    "BudgetExceededError": (),
    "RateLimitError": (),
    "CircuitOpenError": (),
    "TransientProviderError": ("status_code", "code", "should_retry", "billed"),
    "PermanentProviderError": ("status_code", "code", "should_retry", "billed"),
    "InvalidReplyError": ("text",),
    "DeadlineExceededError": ("billed",),
}
# Errors of a user's function that are replayed; the constructors of others are unknown.
_PLAIN: Mapping[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        ArithmeticError,
        AssertionError,
        AttributeError,
        ConnectionError,
        IndexError,
        LookupError,
        NotImplementedError,
        RuntimeError,
        TimeoutError,
        TypeError,
        ValueError,
        ZeroDivisionError,
    )
}


def write_reply(reply: Reply) -> dict[str, Any]:
    """The recorded part of a reply."""
    usage = {name: count for name in TOKEN_COUNTS if (count := getattr(reply.usage, name)) is not None}
    saved = {"provider_saved_usd": f"{reply.provider_saved_usd:f}"} if reply.provider_saved_usd else {}
    reasoning = {} if reply.reasoning is None else {"reasoning": redacted(reply.reasoning)}
    return {
        "text": redacted(reply.text),
        "model": redacted(reply.model),
        "provider": reply.provider,
        **reasoning,
        "finish_reason": None if reply.finish_reason is None else redacted(reply.finish_reason),
        "usage": {**usage, "source": reply.usage.source},
        "cost_usd": None if reply.cost_usd is None else f"{reply.cost_usd:f}",
        "cost_source": reply.cost_source,
        **saved,
    }


def read_reply(record: Mapping[str, Any]) -> Reply:
    """The reply of a record; a value of the wrong type counts as unknown."""
    usage = record.get("usage")
    counts: Mapping[str, Any] = usage if isinstance(usage, dict) else {}
    source: Any = counts.get("source")
    cost_source = record.get("cost_source")
    return Reply(
        text=record["text"],
        model=_text(record.get("model")) or "",
        provider=_text(record.get("provider")) or "",
        usage=Usage(
            **{name: _count(counts.get(name)) for name in TOKEN_COUNTS},
            source=source if source in get_args(TokensSource) else "unknown",
        ),
        finish_reason=_text(record.get("finish_reason")),
        reasoning=_text(record.get("reasoning")) or None,
        cost_usd=_cost(record.get("cost_usd")),
        provider_saved_usd=_savings(record.get("provider_saved_usd")),
        cost_source=cost_source if cost_source in get_args(CostSource) else None,
    )


def write_failure(call: Call, error: Exception) -> dict[str, Any] | None:
    """The recorded part of an error, with replies that were paid for; None when it cannot be replayed."""
    written = _write_error(error)
    if written is not None and call.replies:
        written["replies"] = [write_reply(reply) for reply in call.replies]
    return written


def read_failure(call: Call, record: Mapping[str, Any], retry_after: object) -> Exception | None:
    """The error of a record; None for a type that this version of ainb does not have.

    Args:
        call: Receives the replies that were paid for.
        record: A record from `write_failure`.
        retry_after: Seconds that the provider asked to wait, or None.
    """
    paid = record.get("replies")
    if isinstance(paid, list):
        call.replies.extend(read_reply(item) for item in paid if is_reply(item))
    return _read_error(record, retry_after)


def _write_error(error: Exception) -> dict[str, Any] | None:
    for kind in type(error).__mro__:
        name = kind.__name__
        if getattr(errors, name, None) is kind and name in _ATTRIBUTES:
            kept = {item: value for item in _ATTRIBUTES[name] if (value := getattr(error, item)) is not None}
            kept = {
                item: redacted(value) if isinstance(value, str) else value for item, value in kept.items()
            }
            return {"type": name, "message": redacted(str(error)), **kept}
    name = type(error).__name__
    if _PLAIN.get(name) is type(error) and list(map(type, error.args)) in ([], [str]):
        return {"type": name, "message": redacted(str(error))}
    return None


def _read_error(record: Mapping[str, Any], retry_after: object) -> Exception | None:
    name, message = record["type"], record["message"]
    if name in _PLAIN:
        return _PLAIN[name](message) if message else _PLAIN[name]()
    if name not in _ATTRIBUTES:
        return None
    given = {item: record[item] for item in _ATTRIBUTES[name] if item in record}
    if name.endswith("ProviderError"):
        given["retry_after"] = retry_after if is_duration(retry_after) else None
    error: Exception = getattr(errors, name)(message, **given)
    return error


def write_measured(call: Call, duration_s: float, error: Exception | None = None) -> dict[str, Any]:
    """The measured values of a call: seconds and attempts.

    Args:
        call: The call, after it has ended.
        duration_s: Duration in seconds.
        error: Error with which it ended, or None.
    """
    first = None if call.first_text_at is None else call.first_text_at - call.started_at
    retry_after = getattr(error, "retry_after", None) if isinstance(error, errors.ProviderError) else None
    optional = {"first_text_s": first, "retry_after": retry_after}
    return {
        "duration_s": round(duration_s, DURATION_DIGITS),
        "attempts": call.attempts,
        **{name: round(value, DURATION_DIGITS) for name, value in optional.items() if value is not None},
    }


def apply_measured(call: Call, measured: Mapping[str, Any]) -> None:
    """Set the measured values of a call from a record."""
    call.duration_s = measured["duration_s"]
    call.attempts = measured["attempts"]
    first: Any = measured.get("first_text_s")
    call.first_text_at = call.started_at + first if is_duration(first) else None


def mark_hit(reply: Reply) -> Reply:
    """Mark a reply as a cache hit, with cost 0 and the saved cost."""
    reply.cached, reply.attempts, reply.provider_saved_usd = True, 0, None
    reply.saved_usd, reply.cost_usd, reply.cost_source = reply.cost_usd, Decimal(0), "free"
    return reply


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and is_token_count(value) else None


def _cost(value: object) -> Decimal | None:
    cost = read_amount(value)
    return cost if is_reply_cost(cost) else None


def _savings(value: object) -> Decimal | None:
    """Savings of a provider's cache, which may be negative."""
    amount = read_amount(value)
    return amount if amount is not None and is_reply_cost(abs(amount)) else None
