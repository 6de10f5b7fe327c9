"""`RowResult`: result of one row, also serialised for the journal."""

from __future__ import annotations

import dataclasses
import json
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from ainb.batch.input.cells import INT64, clean_text, json_text
from ainb.errors import InvalidReplyError
from ainb.event_loop import original
from ainb.messages import Reply, is_duration
from ainb.redaction import redact

Status = Literal["ok", "error", "rejected", "cancelled"]
STATUSES: tuple[Status, ...] = ("ok", "error", "rejected", "cancelled")
NANO = Decimal(1_000_000_000)
MAX_USD = Decimal(1_000_000_000)  # fits into 64 bits in units of 1e-9 USD


@dataclass(slots=True, kw_only=True)
class RowResult:
    """Result of one row.

    Attributes:
        status: ok, error (sent and failed), rejected (not sent), cancelled.
        reply: Text of the reply; None without one. A row with an InvalidReplyError keeps the raw text here.
        fields: Checked values by schema field; None without a schema or without a valid reply.
        error_type: Class name of the error, or None.
        error_message: Message of the error, redacted, or None.
        attempts: Number of provider calls.
        cached: Whether the answer came from the cache or from an identical row.
        cost_nano_usd: Cost in 1e-9 USD; None when unknown.
        input_tokens: None when unknown.
        output_tokens: None when unknown.
        duration_s: Seconds from submit to end, without waits for the rate limit; None when it was not sent.
        http_status: HTTP status of the error; None without one.
        reasoning_tokens: Thinking tokens, a part of the output; None when unknown.
        is_object: Whether `reply` is the text of an object that a function returned.
        provider_saved_nano_usd: Savings of the provider's prompt cache in 1e-9 USD, negative if it cost more;
            None when unknown.
        value: The object that a function returned; None without one, and for rows from the journal.
    """

    status: Status
    reply: str | None = None
    fields: dict[str, Any] | None = None
    error_type: str | None = None
    error_message: str | None = None
    attempts: int = 0
    cached: bool = False
    cost_nano_usd: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    duration_s: float | None = None
    http_status: int | None = None
    reasoning_tokens: int | None = None
    is_object: bool = False
    provider_saved_nano_usd: int | None = None
    value: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def of_reply(cls, reply: Reply, fields: dict[str, Any] | None = None, value: Any = None) -> RowResult:
        """Result of a row that was answered.

        Args:
            reply: The reply; if a user function made it, its values may be of any type.
            fields: Result of `check_fields`, or the fields that a function returned; None without any.
            value: The object that a function returned instead of a string; None for a string.
        """
        return cls(
            status="ok",
            reply=clean_text(str(reply.text)),
            fields=fields,
            attempts=_count(reply.attempts) or 0,
            cached=bool(reply.cached),
            cost_nano_usd=to_nano_usd(reply.cost_usd),
            input_tokens=_count(reply.usage.input_tokens),
            output_tokens=_count(reply.usage.output_tokens),
            reasoning_tokens=_count(reply.usage.reasoning_output_tokens),
            duration_s=_seconds(reply.duration_s),
            is_object=value is not None,
            provider_saved_nano_usd=signed_nano_usd(reply.provider_saved_usd),
            value=value,
        )

    @classmethod
    def of_error(
        cls, error: BaseException, *, status: Status, attempts: int = 0, duration_s: float | None = None
    ) -> RowResult:
        """Result of a row that was not answered."""
        error = original(error)
        text = error.text if isinstance(error, InvalidReplyError) else None
        return cls(
            status=status,
            reply=clean_text(text) if isinstance(text, str) else None,
            error_type=clean_text(type(error).__name__),
            error_message=clean_text(redact(" ".join(_message(error).split()))),
            attempts=attempts,
            duration_s=duration_s,
            http_status=http_status(error),
        )

    def with_error(self, error: BaseException) -> RowResult:
        """This result as a row whose reply could not be used."""
        problem = RowResult.of_error(error, status="error")
        return dataclasses.replace(
            self, status="error", error_type=problem.error_type, error_message=problem.error_message
        )

    def shared(self) -> RowResult:
        """Result of an identical row: the same answer, at no cost."""
        if self.status != "ok":
            return self
        return dataclasses.replace(
            self, cached=True, cost_nano_usd=0, provider_saved_nano_usd=None, attempts=0
        )

    def to_json(self) -> str:
        """Serialise for the journal."""
        return json_text(_values_of(self))

    @classmethod
    def from_json(cls, text: Any) -> RowResult:
        """Parse the result of `to_json`.

        Raises:
            ValueError: The text is invalid, or a value has the wrong type.
        """
        try:
            # Not orjson, which reads integers of more than 64 bits as floats.
            values = json.loads(text)
        except (TypeError, RecursionError) as error:
            raise ValueError(f"it is not a result of a row: {error}") from None
        # Rows of earlier versions have no values from http_status on.
        if not isinstance(values, list) or not len(_NAMES) - 4 <= len(values) <= len(_NAMES):
            raise ValueError("it is not a result of a row")
        found = dict(zip(_NAMES, values, strict=False))
        wrong = [name for name, value in found.items() if not _CHECKS[name](value)]
        if wrong or (found["status"] == "ok") != (found["error_type"] is None):
            raise ValueError(f"it is not a result of a row: {', '.join(wrong) or 'status and error'}")
        return cls(**found)


_NAMES = tuple(item.name for item in dataclasses.fields(RowResult) if item.name != "value")
_values_of = operator.attrgetter(*_NAMES)


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value < INT64.stop)


# Only rows that were sent are in the journal.
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "status": lambda value: value in ("ok", "error"),
    "reply": _is_text,
    "fields": lambda value: value is None or isinstance(value, dict),
    "error_type": _is_text,
    "error_message": _is_text,
    "attempts": lambda value: value is not None and _is_count(value),
    "cached": lambda value: isinstance(value, bool),
    "cost_nano_usd": _is_count,
    "input_tokens": _is_count,
    "output_tokens": _is_count,
    "duration_s": lambda value: value is None or _seconds(value) is not None,
    "http_status": _is_count,
    "reasoning_tokens": _is_count,
    "is_object": lambda value: isinstance(value, bool),
    "provider_saved_nano_usd": lambda value: value is None or (type(value) is int and value in INT64),
}


def _count(value: Any) -> int | None:
    return value if value is not None and _is_count(value) else None


def _seconds(value: Any) -> float | None:
    return value if is_duration(value) else None


def http_status(error: BaseException) -> int | None:
    """HTTP status of an error of ainb or of a user's client; None without one."""
    try:
        status = getattr(error, "status_code", None)
    except Exception:  # noqa: BLE001 - a user's exception may fail to say what it is
        return None
    return status if type(status) is int else None


def _message(error: BaseException) -> str:
    try:
        return f"{error}" or type(error).__name__
    except BaseException:  # noqa: BLE001 - a user's exception may fail to say what it is
        return f"{type(error).__name__} (its message cannot be read)"


def to_nano_usd(usd: Decimal | None) -> int | None:
    """US dollars as an integer of 1e-9 USD, so that sums are exact; None when unknown or impossible."""
    if usd is None or not usd.is_finite() or not 0 <= usd < MAX_USD:
        return None
    return int((usd * NANO).to_integral_value())


def signed_nano_usd(usd: Decimal | None) -> int | None:
    """US dollars, possibly negative, as an integer of 1e-9 USD; None when unknown or impossible."""
    nano = to_nano_usd(None if usd is None else abs(usd))
    return None if nano is None or usd is None else (-nano if usd < 0 else nano)
