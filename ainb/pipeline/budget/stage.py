"""Budget stage: reserves the highest possible cost of a call, and books its actual cost afterwards.

Without reservations 32 workers spend $15.62 of $10. Here spent and reserved money together never exceed
the limit, and a call waits, instead of being refused, while reservations of other calls may still be
released.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

from ainb.errors import BudgetExceededError
from ainb.event_loop import is_long, work
from ainb.messages import OUTPUT_LIMITS, Call, Handler, Reply
from ainb.pipeline.budget.accounts import ZERO
from ainb.pipeline.budget.billing import billed_attempts, may_be_billed
from ainb.pipeline.budget.ledger import Hold, Refusal
from ainb.pipeline.budget.limits import Limits
from ainb.pipeline.budget.options import unpriced_text
from ainb.pricing.quotes import Quote

# Output limits below this are not suggested: such a short reply is hardly useful.
LEAST_LIMIT = 16


@dataclass(slots=True, eq=False)
class _Spending:
    """Reservation and bookings of one call."""

    call: Call
    attempts: int
    errors: int
    hold: Hold | None = None
    estimate: Decimal | None = None
    output_limit: int | None = None
    kept: int = 0
    is_bound: bool = False


class BudgetStage:
    """Runs a call once its highest possible cost is reserved.

    It acts at three positions of the pipeline. The stage itself stands outside retry and every queue.
    `before_attempt` stands just inside retry: an attempt after one that may have been billed makes its own
    reservation. `before_sending` stands next to the provider: from there on a day's reservation counts as
    spent if the process dies.

    Args:
        limits: The limits that apply, and their ledger.
        quote: Returns the highest possible cost of one attempt of a call.
        bound: Returns an upper bound of the quote that is cheap to compute, or None when the call must be
            quoted; None in place of the function quotes every call.
        prepare: Loads prices and vocabularies, which is slow; run once, in a thread, before the first quote.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        quote: Callable[[Call], Quote],
        bound: Callable[[Call], Quote | None] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.limits = limits
        self._quote = quote
        self._bound = bound
        self._prepare = prepare
        self._spendings: dict[int, _Spending] = {}

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Reserve, run the call, and book its actual cost, or the estimate of attempts that may be billed.

        Raises:
            BudgetExceededError: The budget does not allow it, or no price is known under a hard budget.
        """
        if self.limits.options is None and call.options.budget_usd is None:
            return proceed(call)
        return self._spend(call, proceed)

    async def _spend(self, call: Call, proceed: Handler) -> Reply:
        spending = _Spending(call, call.attempts, len(call.errors))
        self._spendings[id(call)] = spending
        try:
            await self._begin(spending)
            reply = await proceed(call)
        except BaseException as error:
            billed = billed_attempts(call, error, attempts=spending.attempts, errors=spending.errors)
            self._book(spending, ZERO, billed)
            raise
        else:
            cost = reply.cost_usd
            failed = sum(map(may_be_billed, call.errors[spending.errors :]))
            self._book(spending, ZERO if cost is None else cost, failed + (cost is None))
            if spending.output_limit is not None and reply.finish_reason == "length":
                call.notes.append(
                    f"cut at {spending.output_limit:,} output tokens, the limit that a hard budget sets when "
                    "a call names none; give --max-tokens for more"
                )
            return reply
        finally:
            del self._spendings[id(call)]
            self.limits.forget(call)

    def before_attempt(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Make a new reservation when an earlier attempt may have been billed, and keep that one's estimate.

        Raises:
            BudgetExceededError: The budget does not allow another attempt.
        """
        spending = self._spendings.get(id(call))
        if spending is None or spending.hold is None:
            return proceed(call)
        return self._reserve_again(spending, call, proceed)

    async def _reserve_again(self, spending: _Spending, call: Call, proceed: Handler) -> Reply:
        billed = sum(map(may_be_billed, call.errors[spending.errors :]))
        if billed > spending.kept:
            self._book(spending, ZERO, billed)
            await self._reserve(spending, "no further attempt was made")
        return await proceed(call)

    def before_sending(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Mark the reservation as sent: from now on it counts as spent if this process dies."""
        spending = self._spendings.get(id(call))
        if spending is not None and spending.hold is not None:
            self.limits.ledger.mark_sent(spending.hold)
        return proceed(call)

    async def _begin(self, spending: _Spending) -> None:
        if self.limits.are_hard(spending.call) and not self._reserve_bound(spending):
            await self._estimate(spending)
            await self._reserve(spending, "nothing was sent")

    def _reserve_bound(self, spending: _Spending) -> bool:
        """Reserve an upper bound that needs no token count; False if the call must be quoted.

        Counting tokens is the slowest step of this stage and matters only near the limit.
        """
        call = spending.call
        is_prepared = self._prepare is None or call.provider.free
        quote = self._bound(call) if is_prepared and self._bound is not None else None
        if quote is None or not quote.usd:
            return False
        hold = self.limits.ledger.try_reserve(lambda: self.limits.hard_claims(call), quote.usd)
        if hold is None:
            return False
        spending.hold, spending.is_bound = hold, True
        self._set_estimate(spending, quote)
        return True

    async def _estimate(self, spending: _Spending) -> None:
        """Quote the call; an output limit that the quote relies on is added to the request."""
        call = spending.call
        if self._prepare is not None and not call.provider.free:
            await asyncio.to_thread(self._prepare)
            self._prepare = None
        request = call.request
        texts = [message.content for message in request.messages]
        schema = None if request.schema is None else request.schema.json_schema
        quote = await work(self._quote, call, is_long=is_long(texts, request.parameters, schema))
        if quote.usd is None:
            raise BudgetExceededError(unpriced_text(f"{call.request.provider}:{call.request.model}"))
        self._set_estimate(spending, quote)

    def _set_estimate(self, spending: _Spending, quote: Quote) -> None:
        call = spending.call
        spending.estimate = quote.usd
        if quote.output_limit is not None and getattr(call.provider, "takes_output_limit", True):
            spending.output_limit = quote.output_limit
            parameters = {**call.request.parameters, "max_tokens": quote.output_limit}
            call.request = dataclasses.replace(call.request, parameters=parameters)

    async def _reserve(self, spending: _Spending, outcome: str) -> None:
        amount = spending.estimate
        if not amount:  # a free call always passes, even when the budget is spent
            return
        limits = self.limits
        found = await limits.ledger.reserve(lambda: limits.hard_claims(spending.call), amount)
        if isinstance(found, Refusal):
            fits = self._fitting_limit(spending, found, amount)
            raise limits.refused(found, amount, outcome, fits=fits)
        spending.hold = found

    def _fitting_limit(self, spending: _Spending, refusal: Refusal, amount: Decimal) -> int | None:
        """Most output tokens that the money left allows; None when even a short reply does not fit."""
        call = spending.call
        asked = call.request.output_limits
        if not asked or max(asked) <= LEAST_LIMIT:
            return None
        parameters = {
            name: item for name, item in call.request.parameters.items() if name not in OUTPUT_LIMITS
        }
        request = dataclasses.replace(call.request, parameters={**parameters, "max_tokens": 1})
        least = self._quote(dataclasses.replace(call, request=request)).usd
        if least is None or amount <= least:
            return None
        left = refusal.claim.limit - refusal.balance.settled
        fits = int((left - least) * (max(asked) - 1) / (amount - least)) + 1
        step = 10 ** max(0, len(str(fits)) - 2)
        return fits // step * step if fits >= LEAST_LIMIT else None

    def _book(self, spending: _Spending, cost: Decimal, billed: int) -> None:
        """Book a cost, and the estimate for each of `billed` attempts that is not booked yet."""
        new = max(0, billed - spending.kept)
        spending.kept += new
        total = cost + new * self._known_estimate(spending) if new else cost
        hold, spending.hold = spending.hold, None
        if hold is None and not total:
            return
        self.limits.settle(spending.call, hold, total)

    def _known_estimate(self, spending: _Spending) -> Decimal:
        """The estimate, made here for a soft budget; 0 for a model without a price."""
        if spending.estimate is None or spending.is_bound:
            spending.is_bound = False
            spending.estimate = self._quote(spending.call).usd or ZERO
        return spending.estimate
