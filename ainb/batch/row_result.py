"""Result of one row, and its line in the journal."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import orjson

from ainb.errors import AinbError
from ainb.redaction.filter import redact

if TYPE_CHECKING:
    from ainb.messages import Reply

Status = Literal["ok", "error", "rejected", "cancelled"]
STATUSES: tuple[Status, ...] = ("ok", "error", "rejected", "cancelled")
NANO = Decimal(1_000_000_000)


@dataclass(slots=True, kw_only=True)
class RowResult:
    """Result of one row.

    Attributes:
        status: ok, error (it was sent and failed), rejected (nothing was sent), cancelled.
        reply: Text of the reply; None without one. A row with an InvalidReplyError keeps the raw text here.
        fields: Checked values by schema field; None without a schema or without a valid reply.
        error_type: Class name of the error, or None.
        error_message: Its text, redacted, or None.
        attempts: Provider calls made.
        cached: Whether the answer came from the cache or from an identical row.
        cost_nano_usd: Cost in 1e-9 USD; None when unknown.
        input_tokens: None when unknown.
        output_tokens: None when unknown.
        duration_s: Seconds from submit to end; None when it was not sent.
        http_status: Of the error; None without one.
        reasoning_tokens: Part of the output that was thinking; None when unknown.
        is_object: Whether `reply` is the text of an object that a function returned.
        value: That object; None without one, and in rows that come from the journal.
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
    value: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def of_reply(cls, reply: Reply, fields: dict[str, Any] | None = None, value: Any = None) -> RowResult:
        """Result of a row that was answered."""
        return cls(
            status="ok",
            reply=reply.text,
            fields=fields,
            attempts=reply.attempts,
            cached=reply.cached,
            cost_nano_usd=to_nano_usd(reply.cost_usd),
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
            reasoning_tokens=reply.usage.reasoning_output_tokens,
            duration_s=reply.duration_s,
            is_object=value is not None,
            value=value,
        )

    @classmethod
    def of_error(
        cls, error: BaseException, *, status: Status, attempts: int = 0, duration_s: float | None = None
    ) -> RowResult:
        """Result of a row that was not answered."""
        message = str(error) if isinstance(error, AinbError) else f"{error}" or type(error).__name__
        return cls(
            status=status,
            reply=getattr(error, "text", None),
            error_type=type(error).__name__,
            error_message=redact(" ".join(message.split())),
            attempts=attempts,
            duration_s=duration_s,
            http_status=getattr(error, "status_code", None),
        )

    def with_error(self, error: Exception) -> RowResult:
        """This result as a row whose reply could not be used."""
        problem = RowResult.of_error(error, status="error")
        return dataclasses.replace(
            self, status="error", error_type=problem.error_type, error_message=problem.error_message
        )

    def shared(self) -> RowResult:
        """Result of another row that sends the same: the same answer, at no cost."""
        if self.status != "ok":
            return self
        return dataclasses.replace(self, cached=True, cost_nano_usd=0, attempts=0)

    def to_json(self) -> str:
        """Serialise for the journal."""
        values = [getattr(self, name) for name in _NAMES]
        try:
            return orjson.dumps(values, default=str).decode()
        except TypeError:  # half of a surrogate pair, or a number beyond 64 bits
            return json.dumps(values, default=str)

    @classmethod
    def from_json(cls, text: str) -> RowResult:
        """Read what `to_json` wrote.

        Raises:
            ValueError: The text is something else.
        """
        try:
            values = orjson.loads(text)
        except ValueError:
            values = json.loads(text)
        # Rows written before there was http_status, reasoning_tokens and is_object lack their last values.
        lengths = {len(_NAMES) - 3, len(_NAMES) - 2, len(_NAMES) - 1, len(_NAMES)}
        if not isinstance(values, list) or len(values) not in lengths or values[0] not in STATUSES:
            raise ValueError("it is no result of a row")
        return cls(**dict(zip(_NAMES, values, strict=False)))


_NAMES = tuple(item.name for item in dataclasses.fields(RowResult) if item.name != "value")


def to_nano_usd(usd: Decimal | None) -> int | None:
    """Money as a whole number of 1e-9 USD, so that sums are exact; None stays None."""
    return None if usd is None else int((usd * NANO).to_integral_value())
