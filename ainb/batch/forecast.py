"""What a batch will probably take, told before it starts from its first rows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ainb import pricing
from ainb.errors import AinbError
from ainb.families import asked_effort

if TYPE_CHECKING:
    from ainb.batch.source import Source
    from ainb.batch.template import Template

ROWS_READ = 20


def forecast(
    source: Source, template: Template, *, model: str, prices: pricing.Prices, parameters: Mapping[str, Any]
) -> str | None:
    """One line: rows, tokens in, price range; None when the rows cannot be read twice or none can be filled.

    Args:
        source: The rows; one with a length, so that reading its first ones takes nothing away.
        template: The prompt.
        model: ``provider:model``.
        prices: Price lists.
        parameters: Of the request; ``max_tokens`` bounds the output, ``effort`` what the model thinks.
    """
    if not source.length:
        return None
    estimates = []
    for row in itertools.islice(source.read(template.uses), ROWS_READ):
        try:
            prompt, _ = template.fill(row)
        except AinbError:
            continue
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
