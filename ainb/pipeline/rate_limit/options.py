"""Options of the rate limit, and the dimensions that can be limited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ainb.errors import ConfigError
from ainb.pipeline.checks import check_flag, check_number
from ainb.plain import plain_fields

Dimension = Literal["requests", "tokens", "input_tokens", "output_tokens"]
DIMENSIONS: tuple[Dimension, ...] = ("requests", "tokens", "input_tokens", "output_tokens")


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """Rate limits, applied before a request is sent.

    A bucket of a sixth of a minute's limit bounds the burst; a request larger than that waits for a full
    bucket and leaves it with a negative level.

    Attributes:
        requests_per_minute: Above 0; None means only the limits in the provider's response headers.
        tokens_per_minute: Input and output tokens together; above 0, None as above.
        input_tokens_per_minute: Above 0, None as above.
        output_tokens_per_minute: Above 0, None as above.
        concurrency: Calls in flight at once; at least 1, None means no cap.
        strict: Keep every sliding minute within the limits, at the cost of a sixth of the steady rate.
        on_full: When no permit is free: "wait" in the queue, or "raise" RateLimitError.

    Raises:
        ConfigError: A value is out of its range.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    input_tokens_per_minute: float | None = None
    output_tokens_per_minute: float | None = None
    concurrency: int | None = 64
    strict: bool = False
    on_full: Literal["wait", "raise"] = "wait"

    def __post_init__(self) -> None:
        plain_fields(self)
        for dimension in DIMENSIONS:
            name = f"{dimension}_per_minute"
            limit = getattr(self, name)
            if limit is not None:
                check_number(f"RateLimit.{name}", limit, above=0)
        if self.concurrency is not None:
            check_number("RateLimit.concurrency", self.concurrency, least=1, whole=True)
        check_flag("RateLimit.strict", self.strict)
        if self.on_full not in {"wait", "raise"}:
            raise ConfigError(f'RateLimit.on_full must be "wait" or "raise"; it is {self.on_full!r}')
