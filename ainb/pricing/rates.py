"""Rates of a model and the cost of token counts by them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ainb.messages import Usage

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Rates of a model, in USD per million tokens.

    Attributes:
        input: Tokens read; None means that no such price is known.
        output: Tokens written; None means that no such price is known.
        cache_read: Input read from the provider's cache; None means charged as `input`.
        cache_write: Input written to the provider's cache; None means charged as `input`.
        cache_write_1h: Input written to the cache for an hour; None means charged as `cache_write`.
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
        """Cost of one reply in USD; None when a required count or rate is unknown.

        If all token rates are 0, the cost is the price of the request, and no count is needed.

        Cached tokens are part of the input, reasoning tokens part of the output; if a service reports parts
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
        """Cost of input written to the provider's cache, in millionths of a USD."""
        short_rate = base if self.cache_write is None else self.cache_write
        long_rate = short_rate if self.cache_write_1h is None else self.cache_write_1h
        long = min(long, written)
        return short_rate * (written - long) + long_rate * long


def _output(rates: Rates, usage: Usage) -> Decimal | None:
    """Cost of the output in millionths of a USD; None when unknown."""
    tokens = usage.output_tokens
    if rates.output is None:
        return None if tokens else ZERO
    if tokens is None:
        return None
    if rates.reasoning is None or not usage.reasoning_output_tokens:
        return rates.output * tokens
    thought = usage.reasoning_output_tokens
    return rates.output * max(0, tokens - thought) + rates.reasoning * thought
