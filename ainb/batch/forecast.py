"""Estimates tokens and price of a batch from its first rows."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from ainb import pricing
from ainb.errors import AinbError
from ainb.families import asked_effort

if TYPE_CHECKING:
    from ainb.batch.input.calls import TemplateCalls
    from ainb.batch.input.source import Source

ROWS_READ = 20


def forecast(
    source: Source, calls: TemplateCalls, *, prices: pricing.Prices, batch_api: bool = False
) -> str | None:
    """One line: rows, input tokens, price range; None when rows cannot be read twice or none can be filled.

    Args:
        source: The rows; only of a source with a length the first rows can be read in advance.
        calls: Calls of the rows; ``max_tokens`` of their request bounds the output.
        prices: Price lists.
        batch_api: Whether the rows go out as batch jobs; the line then has the live price beside theirs.
    """
    if not source.length:
        return None
    estimates, live = [], []
    model, template = calls.model, calls.template
    for row in itertools.islice(source.read(template.uses), ROWS_READ):
        try:
            prompt, _ = template.fill(row)
        except AinbError:
            continue
        parameters = calls.request.parameters
        estimate = functools.partial(
            pricing.estimate,
            prompt,
            model=model,
            max_tokens=parameters.get("max_tokens"),
            effort=asked_effort(parameters),
            prices=prices,
        )
        estimates.append(estimate(batch=batch_api))
        if batch_api:
            live.append(estimate())
    if not estimates:
        return None
    share = source.length / len(estimates)
    tokens = round(sum(estimate.input_tokens for estimate in estimates) * share)
    text = f"{source.length:,} rows, about {tokens:,} tokens in"
    price = _range(estimates, share)
    if price is None:
        return f"{text}, no price known for {model}"
    beside = _range(live, share) if live else None
    return f"{text}, {price} as batch jobs, {beside} live" if beside else f"{text}, {price}"


def _range(estimates: Sequence[pricing.Estimate], share: float) -> str | None:
    """From the least to the most that all rows may cost; None when no price is known."""
    low = [estimate.cost_low for estimate in estimates]
    high = [estimate.cost_high for estimate in estimates]
    if None in low or None in high:
        return None
    least, most = (sum((cost for cost in costs if cost), Decimal(0)) * round(share) for costs in (low, high))
    return f"{pricing.format_usd(least)} to {pricing.format_usd(most)}" if most else "free"
