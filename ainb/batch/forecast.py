"""Estimates tokens and price of a batch from its first rows, and says where its layout wastes money."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from ainb import pricing, tokens
from ainb.batch.input.shared_prefix import count_shared
from ainb.errors import AinbError
from ainb.families import asked_effort
from ainb.messages import OUTPUT_TOKENS_A_ROW, Usage
from ainb.prompt_caches import prompt_cache_of
from ainb.providers.cache_layout import layout_for

if TYPE_CHECKING:
    from ainb.batch.input.calls import TemplateCalls
    from ainb.batch.input.source import Source

ROWS_READ = 20
# Of the id of a row and its line, and of its entry in the answer beyond its fields.
LINE_TOKENS, ENTRY_TOKENS = 4, 12
# A shorter text behind the row is not worth a word.
LEAST_BEHIND_CHARACTERS = 1_000
LEAST_SHARE = Decimal("0.1")


def forecast(
    source: Source, calls: TemplateCalls, *, prices: pricing.Prices, batch_api: bool = False
) -> str | None:
    """One line: rows, input tokens, price range; None when rows cannot be read twice or none can be filled.

    Where the rows are laid out for the provider's cache or packed, the line has beside it what they would
    take as one plain message each.

    Args:
        source: The rows; only of a source with a length the first rows can be read in advance.
        calls: Calls of the rows; ``max_tokens`` of their request bounds the output.
        prices: Price lists.
        batch_api: Whether the rows go out as batch jobs; the line then has the live price beside theirs.
    """
    if not source.length:
        return None
    model = calls.model
    prompts = _prompts(source, calls)
    if not prompts:
        return None
    parameters = calls.request.parameters
    estimate = functools.partial(
        pricing.estimate,
        model=model,
        max_tokens=parameters.get("max_tokens"),
        effort=asked_effort(parameters),
        prices=prices,
    )
    estimates = [estimate(prompt, batch=batch_api) for prompt in prompts]
    share = source.length / len(estimates)
    count = round(sum(item.input_tokens for item in estimates) * share)
    price = _range(estimates, share)
    if not batch_api and (laid_out := _laid_out(calls, estimates, source.length, prices)):
        return f"{source.length:,} rows, {laid_out}"
    text = f"{source.length:,} rows, about {count:,} tokens in"
    if price is None:
        return f"{text}, no price known for {model}"
    live = _range([estimate(prompt) for prompt in prompts], share) if batch_api else None
    return f"{text}, {price} as batch jobs, {live} live" if live else f"{text}, {price}"


def row_first_hint(source: Source, calls: TemplateCalls, *, prices: pricing.Prices) -> str | None:
    """A line where the instruction stands behind the row, so that no provider can cache it; else None.

    Args:
        source: The rows; of a source without a length nothing is said.
        calls: Calls of the rows.
        prices: Price lists; without a price nothing is said.
    """
    request, template = calls.request, calls.template
    cache = prompt_cache_of(request.provider, request.model)
    behind = template.instruction_behind
    if cache is None or not source.length or len(behind) < LEAST_BEHIND_CHARACTERS:
        return None
    whole = count_shared(request, template.prefix + behind)
    known = request.shared.tokens if layout_for(request.provider, request) and request.shared else 0
    prompts = _prompts(source, calls)
    if whole < cache.minimum_tokens or not prompts:
        return None
    before_row = count_shared(request, "")
    typical = before_row + sum(tokens.count(text, calls.model).tokens for text in prompts) // len(prompts)
    rows = source.length
    moved = _Layout(rows=rows, calls=rows, shared=whole, own=max(0, typical - whole), read=True)
    plain = dataclasses.replace(moved, read=False)
    if known:  # what stands before the row is read already
        plain = dataclasses.replace(moved, shared=known, own=max(0, typical - known))
    costs = [layout.cost(prices, calls, output=0) for layout in (plain, moved)]
    if None in costs:
        return None
    before, after = (cost for cost in costs if cost is not None)
    if before - after < before * LEAST_SHARE:
        return None
    saved, whole_price = pricing.format_usd(before - after), pricing.format_usd(before)
    return (
        f"the instruction stands behind the row; put it in front and about {saved} of {whole_price} is saved"
    )


def _prompts(source: Source, calls: TemplateCalls) -> list[str]:
    """Prompts of the first rows that can be filled."""
    found = []
    for row in itertools.islice(source.read(calls.template.uses), ROWS_READ):
        try:
            found.append(calls.template.fill(row)[0])
        except AinbError:
            continue
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Layout:
    """How rows are sent.

    Attributes:
        rows: Their number.
        calls: Calls in all.
        shared: Tokens that every call sends first.
        own: Tokens of a row beyond that.
        read: Whether all calls but the first read the former from the provider's cache.
    """

    rows: int
    calls: int
    shared: int
    own: float
    read: bool

    @property
    def tokens(self) -> int:
        """Input tokens in all."""
        return round(self.calls * self.shared + self.rows * self.own)

    @property
    def tokens_read(self) -> int:
        """Of these, tokens that the provider's cache gives."""
        return self.shared * (self.calls - 1) if self.read else 0

    def cost(self, prices: pricing.Prices, calls: TemplateCalls, output: int) -> Decimal | None:
        """USD of all calls with so many output tokens each; None without a price."""
        request = calls.request
        usual = Usage(
            input_tokens=round(self.shared + self.own * self.rows / self.calls),
            output_tokens=output,
            cache_read_input_tokens=self.shared if self.read else None,
        )
        first = dataclasses.replace(
            usual,
            cache_read_input_tokens=None,
            cache_creation_input_tokens=self.shared if self.read else None,
        )
        costs = [
            prices.cost(request.provider, request.model, usage, free=calls.free)[0]
            for usage in (first, usual)
        ]
        if costs[0] is None or costs[1] is None:
            return None
        return costs[0] + costs[1] * (self.calls - 1)

    def price(self, prices: pricing.Prices, calls: TemplateCalls, low: int, high: int) -> str:
        """The price range between two numbers of output tokens a call."""
        costs = [self.cost(prices, calls, output) for output in (low, high)]
        if costs[0] is None or costs[1] is None:
            return f"no price known for {calls.model}"
        return f"{pricing.format_usd(costs[0])} to {pricing.format_usd(costs[1])}" if costs[1] else "free"


def _laid_out(
    calls: TemplateCalls, estimates: Sequence[pricing.Estimate], rows: int, prices: pricing.Prices
) -> str | None:
    """Tokens and price range as the rows are sent, and as one plain message each; None where both are one."""
    request, size = calls.request, calls.rows_per_call
    cache = layout_for(request.provider, request)
    marked = cache is not None and cache.is_marked
    if size == 1 and not marked:
        return None
    prefix = calls.template.prefix
    own = sum(item.input_tokens for item in estimates) / len(estimates)
    own -= tokens.count(prefix, calls.model).tokens if prefix else 0
    plain = _Layout(
        rows=rows, calls=rows, shared=count_shared(request, prefix), own=max(1.0, own), read=False
    )
    sent = -(-rows // size)
    per_call = min(size, rows)
    laid_out = dataclasses.replace(
        plain, calls=sent, own=plain.own + (LINE_TOKENS if size > 1 else 0), read=marked
    )
    high = round(sum(item.output_tokens_high for item in estimates) / len(estimates))
    least, most = 1, high
    if size > 1:
        least, most = per_call * (1 + ENTRY_TOKENS), high + OUTPUT_TOKENS_A_ROW * (per_call - 1)
    number = f" in {sent:,} calls" if size > 1 else " in"
    read = f" ({laid_out.tokens_read:,} read from the provider's cache)" if marked else ""
    return (
        f"about {laid_out.tokens:,} tokens{number}{read}, {laid_out.price(prices, calls, least, most)}; "
        f"as one plain message a row {plain.tokens:,} tokens, {plain.price(prices, calls, 1, high)}"
    )


def _range(estimates: Sequence[pricing.Estimate], share: float) -> str | None:
    """From the least to the most that all rows may cost; None when no price is known."""
    low = [estimate.cost_low for estimate in estimates]
    high = [estimate.cost_high for estimate in estimates]
    if None in low or None in high:
        return None
    least, most = (sum((cost for cost in costs if cost), Decimal(0)) * round(share) for costs in (low, high))
    return f"{pricing.format_usd(least)} to {pricing.format_usd(most)}" if most else "free"
