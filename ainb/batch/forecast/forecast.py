"""Forecasts tokens and price of a batch from its first rows and from past replies."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ainb import pricing, tokens
from ainb.batch.forecast.layout import ENTRY_TOKENS, Layout, layouts_of
from ainb.batch.forecast.past_outputs import PastOutputs
from ainb.batch.input.calls import TemplateCalls
from ainb.batch.input.source import Source
from ainb.core import Core
from ainb.errors import AinbError
from ainb.messages import Call, Usage
from ainb.plain import counted

ROWS_READ = 100
# Relative error of input token counts: services add schemas to a prompt in their own forms, and some
# vocabularies are not public.
INPUT_SPREAD = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Forecast cost of a batch in USD; in nine of ten cases the cost is between `low` and `high`.

    Attributes:
        low: Lower end of the range.
        likely: Expected cost.
        high: Upper end of the range.
    """

    low: Decimal
    likely: Decimal
    high: Decimal

    @property
    def text(self) -> str:
        """The price as text, such as ``likely $0.19 ($0.13 to $0.33)``."""
        if not self.high:
            return "free"
        low, likely, high = map(pricing.format_usd, (self.low, self.likely, self.high))
        return f"likely {likely} ({low} to {high})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Forecast of a batch's tokens and price.

    Attributes:
        model: ``provider:model``.
        rows: Rows of the source.
        input_tokens: Input tokens of all rows, schema and tools included.
        output_tokens: Expected output tokens of all rows, thinking included.
        price: Price at the rate at which the rows are sent; None when no price is known.
        live: Price at the live rate, if the rows are sent as batch jobs; otherwise None.
        calls: Number of calls.
        tokens_read: Input tokens read from the provider's prompt cache.
        plain_tokens: Input tokens with one plain message per row; None if the rows are sent that way.
        plain: Price of `plain_tokens`; None if the rows are sent that way or no price is known.
    """

    model: str
    rows: int
    input_tokens: int
    output_tokens: int
    price: Price | None
    live: Price | None = None
    calls: int = 0
    tokens_read: int = 0
    plain_tokens: int | None = None
    plain: Price | None = None

    @property
    def text(self) -> str:
        """One line: rows, tokens, price."""
        calls = f" in {counted(self.calls, 'call')}" if 0 < self.calls < self.rows else ""
        read = f" ({self.tokens_read:,} read from the provider's cache)" if self.tokens_read else ""
        counts = (
            f"{counted(self.rows, 'row')}{calls}, about {self.input_tokens:,} tokens in{read} and "
            f"{self.output_tokens:,} out"
        )
        if self.price is None:
            return f"{counts}, no price known for {self.model}"
        if self.plain is not None and self.plain_tokens is not None and self.live is None:
            beside = f"as one plain message a row {self.plain_tokens:,} tokens in, {self.plain.text}"
            return f"{counts}, {self.price.text}; {beside}"
        if self.live is None or not self.price.high:
            return f"{counts}, {self.price.text}"
        return f"{counts}, {self.price.text} as batch jobs, {pricing.format_usd(self.live.likely)} live"


def past_outputs(core: Core) -> PastOutputs:
    """Output tokens of earlier batches of the session's home; none in replay, which uses no home."""
    return PastOutputs(None if core.config.replay == "replay" else core.config.home_folder())


def forecast(core: Core, source: Source, calls: TemplateCalls, *, batch_api: bool) -> Forecast | None:
    """Forecast of all rows, extrapolated from the first hundred.

    None if the rows cannot be read twice or no row can be filled.

    The expected output is that of past replies to the same template or schema, else of the model's replies.

    Args:
        core: Core of the session.
        source: The rows; only a source with a length can be read in advance.
        calls: Calls of the rows; ``max_tokens`` of their request bounds the output.
        batch_api: Whether the rows are sent as batch jobs.
    """
    if not source.length:
        return None
    fillable = 0
    distinct: dict[str | None, Call] = {}
    for row in itertools.islice(source.read(calls.template.uses), ROWS_READ):
        try:
            call = calls.make(row, run_id="")
        except AinbError:
            continue
        fillable += 1
        distinct[call.row_key] = call  # identical rows are sent once
    if not distinct:
        return None
    made, prices = list(distinct.values()), core.prices
    past = past_outputs(core).mean(calls)
    usual = core.log.usual_output_tokens(calls.request.provider, calls.request.model)
    expected = [
        pricing.expected_output(call.request, past=past, usual=usual, instruction=calls.template.text)
        for call in made
    ]
    read = [tokens.count_request(call.request).tokens for call in made]
    share = Decimal(source.length) / fillable
    found = Forecast(
        model=calls.model,
        rows=source.length,
        input_tokens=round(sum(read) * share),
        output_tokens=round(sum(item.tokens for item in expected) * share),
        price=_price(made, read, expected, prices=prices, share=share, batch=batch_api),
        live=_price(made, read, expected, prices=prices, share=share, batch=False) if batch_api else None,
    )
    layouts = None if batch_api else layouts_of(calls, read, float(share) * len(made))
    return found if layouts is None else _laid_out(found, calls, expected, layouts, prices)


def _laid_out(
    plain: Forecast,
    calls: TemplateCalls,
    expected: Sequence[pricing.Expected],
    layouts: tuple[Layout, Layout],
    prices: pricing.Prices,
) -> Forecast:
    """The forecast of rows that are laid out for a prompt cache or packed, with the plain forecast."""
    as_plain, as_sent = layouts
    a_call, entry = as_sent.rows / as_sent.calls, ENTRY_TOKENS if as_sent.calls < as_sent.rows else 0
    low, likely, high, thinking = (
        statistics.fmean(getattr(item, name) for item in expected)
        for name in ("low", "tokens", "high", "thinking")
    )
    a_call_likely = a_call * (entry + likely - thinking) + thinking  # a call thinks once
    ends = [round(a_call_likely * share / likely) for share in (low, likely, high)]
    return dataclasses.replace(
        plain,
        input_tokens=as_sent.tokens,
        output_tokens=ends[1] * as_sent.calls,
        price=_layout_price(as_sent, ends, calls, prices),
        calls=as_sent.calls,
        tokens_read=as_sent.tokens_read,
        plain_tokens=as_plain.tokens,
        plain=plain.price,
    )


def _layout_price(
    layout: Layout, ends: Sequence[int], calls: TemplateCalls, prices: pricing.Prices
) -> Price | None:
    low, likely, high = (layout.cost(prices, calls, output) for output in ends)
    if low is None or likely is None or high is None:
        return None
    return Price(low=low, likely=likely, high=high)


def _price(
    made: Sequence[Call],
    read: Sequence[int],
    expected: Sequence[pricing.Expected],
    *,
    prices: pricing.Prices,
    share: Decimal,
    batch: bool,
) -> Price | None:
    """The price of all rows; None when no price is known."""
    sums = [Decimal(0)] * 3
    for call, count, output in zip(made, read, expected, strict=True):
        request = call.request
        ends = (count / INPUT_SPREAD, output.low), (count, output.tokens), (count * INPUT_SPREAD, output.high)
        for place, (given, written) in enumerate(ends):
            cost, _ = prices.cost(
                request.provider,
                request.model,
                Usage(input_tokens=round(given), output_tokens=written),
                free=call.provider.free,
                batch=batch,
            )
            if cost is None:
                return None
            sums[place] += cost
    low, likely, high = (total * share for total in sums)
    return Price(low=low, likely=likely, high=high)
