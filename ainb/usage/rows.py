"""Usage row of one finished call, and its construction."""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime as dt
import functools
import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from ainb.errors import CallRejectedError, ConfigError
from ainb.event_loop import original
from ainb.events import CallFinished
from ainb.messages import UNKNOWN_USAGE, Call, Message, Reply, add_up, provider_savings
from ainb.redaction import encodable, redact

Status = Literal["ok", "error", "rejected", "cancelled"]
MESSAGE_CHARACTERS = 500
LABEL_CHARACTERS = 200
_FREE = Decimal(0)


class Row(NamedTuple):
    """Usage row of one call; the fields are the columns of the log, None where unknown.

    ``cost_usd``, ``saved_usd`` and ``provider_saved_usd`` are Decimal dollars, durations are seconds,
    ``started_at`` is in UTC.
    """

    call_id: str
    started_at: dt.datetime
    operation_name: str
    provider_name: str
    request_model: str
    response_model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    tokens_source: str = "unknown"
    cost_usd: Decimal | None = None
    cost_source: str = "unpriced"
    saved_usd: Decimal | None = None
    provider_saved_usd: Decimal | None = None
    duration_s: float | None = None
    queue_wait_s: float | None = None
    time_to_first_chunk_s: float | None = None
    attempts: int = 0
    status: Status = "ok"
    error_type: str | None = None
    http_status: int | None = None
    error_message: str | None = None
    cache_hit: bool = False
    coalesced: bool = False
    stale: bool = False
    replayed: bool = False
    delivery: str = "live"
    request_id: str | None = None
    finish_reason: str | None = None
    notebook: str | None = None
    cell_id: str | None = None
    session_id: str | None = None
    batch_id: str | None = None
    rows: int | None = None
    row_key: str | None = None
    user: str | None = None
    tags: str | None = None
    prompt_sha256: str | None = None
    prompt: str | None = None
    reply: str | None = None


def build_row(event: CallFinished, *, session_id: str, content: bool = False) -> Row:
    """Build the row of a finished call.

    Args:
        event: The event of the finished call.
        session_id: Session of the call.
        content: Whether prompt and reply go into the row (redacted).
    """
    call, reply, error, options = event.call, event.reply, event.error, event.call.options
    cost, cost_source = _cost(event)
    usage = reply.usage if reply is not None else add_up(call.replies)[0] if call.replies else UNKNOWN_USAGE
    first = call.first_text_at
    row = Row(
        call_id=call.call_id,
        started_at=utc(event.ended_at - event.duration_s),
        operation_name=encodable(call.request.operation),
        provider_name=encodable(call.request.provider),
        request_model=encodable(call.request.model),
        response_model=None if reply is None else label(reply.model),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_input_tokens=usage.cache_read_input_tokens,
        cache_creation_input_tokens=usage.cache_creation_input_tokens,
        reasoning_output_tokens=usage.reasoning_output_tokens,
        tokens_source=usage.source,
        cost_usd=cost,
        cost_source=cost_source,
        saved_usd=None if reply is None else reply.saved_usd,
        provider_saved_usd=provider_savings(call.replies) if reply is None else reply.provider_saved_usd,
        duration_s=event.duration_s,
        queue_wait_s=call.queue_wait_s,
        time_to_first_chunk_s=None if first is None else first - call.started_at,
        attempts=call.attempts,
        request_id=label(getattr(error or reply, "request_id", None)),
        finish_reason=None if reply is None else label(reply.finish_reason),
        cache_hit=reply is not None and reply.cached and not reply.coalesced,
        coalesced=reply is not None and reply.coalesced,
        stale=reply is not None and reply.stale,
        replayed=call.replayed,
        delivery=call.delivery,
        notebook=label(options.notebook),
        cell_id=label(options.cell_id),
        session_id=session_id,
        batch_id=label(options.batch_id),
        rows=call.request.rows,
        row_key=call.row_key,  # a digest made by ainb, with nothing to redact
        user=label(options.user),
        tags=tags_json(options.tags),
        prompt_sha256=prompt_digest(call.request.messages),
        prompt=storable_text(_prompt_text(call)) if content else None,
        reply=storable_text(reply.text) if content and reply is not None else None,
    )
    return row if error is None else row._replace(**failure_fields(error))


def failure_fields(error: BaseException | None) -> dict[str, Any]:
    """The columns of a call's outcome; empty for an answered call, which has the default values."""
    if error is None:
        return {}
    status_code = getattr(error, "status_code", None)
    return {
        "status": status_of(error),
        "error_type": type(original(error)).__name__,
        "http_status": status_code if isinstance(status_code, int) else None,
        "error_message": error_text(error),
    }


def status_of(error: BaseException | None) -> Status:
    """Status of a call by its error.

    "rejected" when nothing was sent (a limit, a budget, an open circuit, an invalid prompt or option),
    "cancelled" when the user or the program stopped it, "error" for everything else that failed.
    """
    if error is None:
        return "ok"
    if isinstance(error, CallRejectedError | ConfigError):
        return "rejected"
    stopped = isinstance(error, asyncio.CancelledError | concurrent.futures.CancelledError)
    return "cancelled" if stopped or not isinstance(error, Exception) else "error"


def error_text(error: BaseException) -> str:
    """The error's message on one line, redacted, at most MESSAGE_CHARACTERS long."""
    # Redacted before it is cut: half of a key at the cut would no longer be recognised.
    text = " ".join(storable_text(_message(error)[: 8 * MESSAGE_CHARACTERS]).split())
    return text if len(text) <= MESSAGE_CHARACTERS else text[: MESSAGE_CHARACTERS - 1] + "…"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - the `__str__` of a user's exception class may fail
        return "its message cannot be read"


def prompt_digest(messages: Sequence[Message]) -> str:
    """SHA-256 in hex of the messages as JSON ``[[role, content], …]``, keys sorted, no blanks, UTF-8."""
    pairs = [
        (message.role, message.content if isinstance(message.content, str) else list(message.content))
        for message in messages
    ]
    return hashlib.sha256(canonical_json(pairs)).hexdigest()


def canonical_json(value: Any) -> bytes:
    """Encode as JSON with sorted keys and no blanks; types other than JSON's become their repr."""
    import orjson

    try:
        packed: bytes = orjson.dumps(
            value, default=repr, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
        )
    except (TypeError, ValueError):  # lone surrogates, integers beyond 64 bits
        return repr(value).encode("utf-8", "backslashreplace")
    return packed


def utc(seconds: float) -> dt.datetime:
    """The datetime `seconds` after 1970-01-01 UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def label(text: str | None) -> str | None:
    """A label of a row, redacted and cut to LABEL_CHARACTERS; None for None or an empty text."""
    return _label(text) if text else None


@functools.lru_cache(maxsize=1024)  # model, notebook and user repeat from row to row
def _label(text: str) -> str:
    return storable_text(text)[:LABEL_CHARACTERS]


def storable_text(text: str) -> str:
    """The text in its stored form: redacted, and without lone surrogates, which no file can hold."""
    return redact(encodable(text))


def tags_json(tags: Mapping[str, str] | None) -> str | None:
    """Tags as JSON with sorted keys, redacted; None without tags."""
    if not tags:
        return None
    clean = {encodable(str(name)): _encodable(value) for name, value in tags.items()}
    return redact(canonical_json(clean).decode())


def _encodable(value: Any) -> Any:
    return encodable(value) if isinstance(value, str) else value


def _cost(event: CallFinished) -> tuple[Decimal | None, str]:
    reply = event.reply
    if reply is None and event.call.replies:  # answered, but the reply was not valid
        paid = add_up(event.call.replies)[1]
        return paid, event.call.replies[-1].cost_source or "unpriced"
    if reply is None:
        spent = not event.call.provider.free and _may_be_billed(event.call, event.error)
        return (None, "unpriced") if spent else (_FREE, "free")
    if reply.cost_source is not None:
        return reply.cost_usd, reply.cost_source
    return _unpriced_stage_cost(event.call, reply)


def _unpriced_stage_cost(call: Call, reply: Reply) -> tuple[Decimal | None, str]:
    """Cost of a reply that no stage has priced: zero if the call is free."""
    if call.provider.free or reply.cached or reply.coalesced or reply.replayed:
        return _FREE, "free"
    return (None, "unpriced") if reply.cost_usd is None else (reply.cost_usd, "provider")


def _may_be_billed(call: Call, error: BaseException | None) -> bool:
    """Whether an attempt of a failed call may be billed; then its cost is unknown, not zero."""
    if call.attempts == 0:
        return False
    return any(_billed(each) for each in call.errors) or _billed(error)


def _billed(error: BaseException | None) -> bool:
    if isinstance(error, CallRejectedError | ConfigError):  # refused on this machine: nothing was sent
        return False
    return bool(getattr(error, "billed", True))


def _prompt_text(call: Call) -> str:
    return "\n\n".join(f"{message.role}: {message.text}" for message in call.request.messages)
