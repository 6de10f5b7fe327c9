"""Splits the tokens and the cost of a call among its rows; the parts add up exactly. No I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ainb.batch.results.outcomes import added
from ainb.batch.results.row_result import NANO, RowResult, signed_nano_usd, to_nano_usd
from ainb.messages import Reply, Usage, add_up, provider_savings


@dataclass(frozen=True, slots=True)
class Share:
    """A row's share of a call.

    Attributes:
        usage: Tokens.
        cost_nano_usd: Cost in 1e-9 USD; None when unknown.
        saved_nano_usd: Savings of the provider's cache in 1e-9 USD; None when unknown.
        attempts: Number of provider calls, the same for all rows of the call.
    """

    usage: Usage
    cost_nano_usd: int | None
    saved_nano_usd: int | None
    attempts: int

    @property
    def cost_usd(self) -> Decimal | None:
        """The cost in USD; None when unknown."""
        return None if self.cost_nano_usd is None else Decimal(self.cost_nano_usd) / NANO

    @property
    def saved_usd(self) -> Decimal | None:
        """Savings of the provider's cache in USD; None when unknown."""
        return None if self.saved_nano_usd is None else Decimal(self.saved_nano_usd) / NANO


def split(total: int | None, weights: Sequence[int]) -> list[int | None]:
    """Split an integer into integers in proportion to the weights; they add up to the total. None stays None.

    Args:
        total: May be negative.
        weights: At least one, none negative; all zero means equal parts.
    """
    if total is None:
        return [None] * len(weights)
    if not any(weights):
        weights = [1] * len(weights)
    whole, before, given = sum(weights), 0, 0
    parts: list[int | None] = []
    for weight in weights:
        before += weight
        upto = total * before // whole
        parts.append(upto - given)
        given = upto
    return parts


def share_out(
    replies: Sequence[Reply], sent: Sequence[int], received: Sequence[int], attempts: int
) -> list[Share]:
    """The share of each row in a call.

    Args:
        replies: The provider's replies to the call; at least one.
        sent: Characters of each row in the prompt.
        received: Characters of each row in the answer; 0 for rows without one.
        attempts: Number of provider calls.
    """
    usage, cost = add_up(replies)
    saved = provider_savings(replies)
    both = [one + other for one, other in zip(sent, received, strict=True)]
    outputs = {"output_tokens", "reasoning_output_tokens"}
    counts = {
        item.name: split(
            getattr(usage, item.name), received if item.name in outputs and any(received) else sent
        )
        for item in dataclasses.fields(Usage)
        if item.name != "source"
    }
    costs = split(to_nano_usd(cost), both)
    savings = split(signed_nano_usd(saved), sent)
    return [
        Share(
            Usage(**{name: parts[row] for name, parts in counts.items()}, source=usage.source),
            costs[row],
            savings[row],
            attempts,
        )
        for row in range(len(sent))
    ]


def with_shares(result: RowResult, shares: Sequence[Share]) -> RowResult:
    """The result plus the shares of calls that did not answer the row."""
    if shares and not result.attempts:  # nothing was sent this time, so no cost is unknown
        result = dataclasses.replace(
            result,
            cost_nano_usd=result.cost_nano_usd or 0,
            input_tokens=result.input_tokens or 0,
            output_tokens=result.output_tokens or 0,
            provider_saved_nano_usd=result.provider_saved_nano_usd or 0,
        )
    for share in shares:
        result = added(_as_result(share), result)
    return result


def _as_result(share: Share) -> RowResult:
    usage = share.usage
    return RowResult(
        status="error",
        attempts=share.attempts,
        cost_nano_usd=share.cost_nano_usd,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        provider_saved_nano_usd=share.saved_nano_usd,
    )
