"""Estimates tokens and price of a batch from its first rows."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import TYPE_CHECKING

from ainb import pricing
from ainb.errors import AinbError
from ainb.families import asked_effort

if TYPE_CHECKING:
    from ainb.batch.calls import TemplateCalls
    from ainb.batch.source import Source

ROWS_READ = 20


def forecast(source: Source, calls: TemplateCalls, *, prices: pricing.Prices) -> str | None:
    """One line: rows, input tokens, price range; None when rows cannot be read twice or none can be filled.

    Args:
        source: The rows; only of a source with a length the first rows can be read in advance.
        calls: Calls of the rows; ``max_tokens`` of their request bounds the output.
        prices: Price lists.
    """
    if not source.length:
        return None
    estimates = []
    model, template = calls.model, calls.template
    for row in itertools.islice(source.read(template.uses), ROWS_READ):
        try:
            prompt, _ = template.fill(row)
        except AinbError:
            continue
        parameters = calls.request.parameters
        limit, effort = parameters.get("max_tokens"), asked_effort(parameters)
        estimates.append(
            pricing.estimate(prompt, model=model, max_tokens=limit, effort=effort, prices=prices)
        )
    if not estimates:
        return None
    share = source.length / len(estimates)
    tokens = round(sum(estimate.input_tokens for estimate in estimates) * share)
    text = f"{source.length:,} rows, about {tokens:,} tokens in"
    low = [estimate.cost_low for estimate in estimates]
    high = [estimate.cost_high for estimate in estimates]
    if None in low or None in high:
        return f"{text}, no price known for {model}"
    least, most = (sum((cost for cost in costs if cost), Decimal(0)) * round(share) for costs in (low, high))
    return f"{text}, {pricing.format_usd(least)} to {pricing.format_usd(most)}" if most else f"{text}, free"
