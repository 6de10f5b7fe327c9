"""The arithmetic of one price list: tokens times rates, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ainb.messages import Usage

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a model charges; tokens in USD per million.

    Attributes:
        input: Tokens read; None means that no such price is known.
        output: Tokens written; None means that no such price is known.
        cache_read: Input that came from the provider's cache; None means charged as `input`.
        cache_write: Input that went into the provider's cache; None means charged as `input`.
        cache_write_1h: The part of it that is kept for an hour; None means charged as `cache_write`.
        reasoning: Output that was reasoning; None means charged as `output`.
        request: USD for each request.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    request: Decimal = ZERO

    def cost(self, usage: Usage) -> Decimal | None:
        """USD of one reply; None when a number or a rate that it needs is unknown.

        Where no token costs anything, the price of the request is the cost, and no count is needed.

        Cached tokens are part of the input and reasoning is part of the output; where a service reports parts
        larger than the whole, the parts count and nothing becomes negative.
        """
        if usage.input_tokens is None:
            return self.request if self._tokens_are_free() else None
        read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        plain = max(0, usage.input_tokens - read - written)
        output = _output(self, usage)
        if output is None or (self.input is None and plain + read + written):
            return None
        base = self.input or ZERO
        total = base * plain + output
        if read:
            total += (base if self.cache_read is None else self.cache_read) * read
        if written:
            total += self._write_cost(base, written, usage.cache_creation_1h_input_tokens or 0)
        return total.scaleb(-6) + self.request

    def _tokens_are_free(self) -> bool:
        parts = (self.cache_read, self.cache_write, self.cache_write_1h, self.reasoning)
        return self.input == ZERO and self.output == ZERO and not any(parts)

    def _write_cost(self, base: Decimal, written: int, long: int) -> Decimal:
        """Millionths of a USD for what went into the provider's cache."""
        short_rate = base if self.cache_write is None else self.cache_write
        long_rate = short_rate if self.cache_write_1h is None else self.cache_write_1h
        long = min(long, written)
        return short_rate * (written - long) + long_rate * long


def _output(rates: Rates, usage: Usage) -> Decimal | None:
    """Millionths of a USD for the output; None when it is unknown."""
    tokens = usage.output_tokens
    if rates.output is None:
        return None if tokens else ZERO
    if tokens is None:
        return None
    if rates.reasoning is None or not usage.reasoning_output_tokens:
        return rates.output * tokens
    thought = usage.reasoning_output_tokens
    return rates.output * max(0, tokens - thought) + rates.reasoning * thought
