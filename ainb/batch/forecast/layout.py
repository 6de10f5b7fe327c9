"""Tokens and cost of rows that are laid out for a provider's prompt cache or packed into calls."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from decimal import Decimal

from ainb import pricing, tokens
from ainb.batch.input.calls import TemplateCalls
from ainb.batch.input.shared_prefix import count_shared
from ainb.batch.input.source import Source
from ainb.errors import AinbError
from ainb.messages import Usage
from ainb.model_rules import prompt_cache_of
from ainb.providers.remote.cache_layout import layout_for

ROWS_READ = 20
# Tokens of a row's id and line in the prompt, and of its entry in the answer without its fields.
LINE_TOKENS, ENTRY_TOKENS = 4, 12
# No hint for a shorter text after the row.
LEAST_AFTER_CHARACTERS = 1_000
LEAST_SHARE = Decimal("0.1")


def row_first_hint(source: Source, calls: TemplateCalls, *, prices: pricing.Prices) -> str | None:
    """A hint for a prompt whose instruction follows the row, so that no provider can cache it; else None.

    Args:
        source: The rows; without a length there is no hint.
        calls: Calls of the rows.
        prices: Price lists; without a price there is no hint.
    """
    request, template = calls.request, calls.template
    cache = prompt_cache_of(request.provider, request.model)
    instruction = template.instruction_after
    if cache is None or not source.length or len(instruction) < LEAST_AFTER_CHARACTERS:
        return None
    whole = count_shared(request, template.prefix + instruction)
    known = request.shared.tokens if layout_for(request.provider, request) and request.shared else 0
    prompts = prompts_of(source, calls)
    if whole < cache.minimum_tokens or not prompts:
        return None
    before_row = count_shared(request, "")
    typical = before_row + sum(tokens.count(text, calls.model).tokens for text in prompts) // len(prompts)
    rows = source.length
    moved = Layout(rows=rows, calls=rows, shared=whole, own=max(0, typical - whole), read=True)
    plain = dataclasses.replace(moved, read=False)
    if known:  # the text before the row is cached already
        plain = dataclasses.replace(moved, shared=known, own=max(0, typical - known))
    before, after = (layout.cost(prices, calls, output=0) for layout in (plain, moved))
    if before is None or after is None or before - after < before * LEAST_SHARE:
        return None
    saved, whole_price = pricing.format_usd(before - after), pricing.format_usd(before)
    return f"the instruction follows the row; put it first to save about {saved} of {whole_price}"


def prompts_of(source: Source, calls: TemplateCalls) -> list[str]:
    """Prompts of the first rows that can be filled."""
    found = []
    for row in itertools.islice(source.read(calls.template.uses), ROWS_READ):
        try:
            found.append(calls.template.fill(row)[0])
        except AinbError:
            continue
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """Token counts of rows in one layout.

    Attributes:
        rows: Number of rows.
        calls: Number of calls.
        shared: Tokens of the prefix that every call sends.
        own: Further tokens of each row.
        read: Whether all calls but the first read the prefix from the provider's cache.
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
        """Input tokens read from the provider's cache."""
        return self.shared * (self.calls - 1) if self.read else 0

    def cost(self, prices: pricing.Prices, calls: TemplateCalls, output: int) -> Decimal | None:
        """Cost of all calls in USD, with this number of output tokens each; None without a price."""
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
        first_usd, usual_usd = (
            prices.cost(request.provider, request.model, usage, free=calls.free)[0]
            for usage in (first, usual)
        )
        return None if first_usd is None or usual_usd is None else first_usd + usual_usd * (self.calls - 1)


def layouts_of(calls: TemplateCalls, counts: Sequence[int], rows: float) -> tuple[Layout, Layout] | None:
    """Layout with one plain message per row, and the layout in use; None if both are the same.

    Args:
        calls: Calls of the rows.
        counts: Input tokens of the first rows, as one message each.
        rows: Number of rows that are sent.
    """
    request, size = calls.request, calls.rows_per_call
    cache = layout_for(request.provider, request)
    marked = cache is not None and cache.is_marked
    if size == 1 and not marked:
        return None
    number = max(1, round(rows))
    shared = count_shared(request, calls.template.prefix)
    own = max(1.0, sum(counts) / len(counts) - shared)
    plain = Layout(rows=number, calls=number, shared=shared, own=own, read=False)
    line = LINE_TOKENS if size > 1 else 0
    return plain, dataclasses.replace(plain, calls=-(-number // size), own=own + line, read=marked)
