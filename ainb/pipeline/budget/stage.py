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
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal

from ainb.clock import Clock
from ainb.errors import BudgetExceededError
from ainb.event_loop import is_long, work
from ainb.events import Notice, Sink
from ainb.messages import Call, Handler, Reply
from ainb.pipeline.budget.accounts import ZERO, Account, Claim
from ainb.pipeline.budget.billing import billed_attempts, may_be_billed
from ainb.pipeline.budget.ledger import Hold, Ledger, Refusal
from ainb.pipeline.budget.options import (
    Budget,
    BudgetStatus,
    Scope,
    read_usd,
    refusal_text,
    status_of,
    unpriced_text,
)
from ainb.pricing.quotes import OUTPUT_LIMITS, Quote

# Output limits below this are not suggested: such a short reply is hardly useful.
LEAST_LIMIT = 16


def reported_cost(_call: Call, reply: Reply) -> Decimal | None:
    """The cost that the reply itself reports."""
    return reply.cost_usd


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
        options: The budget; None leaves only the limits of single calls (``CallOptions.budget_usd``).
        ledger: Books the reservations; sessions that share a ledger share their budgets.
        clock: Source of the date.
        sink: Receives warnings.
        quote: Returns the highest possible cost of one attempt of a call.
        cost: Returns the cost of a reply in USD; for None (unknown) the estimate is booked.
        bound: Returns an upper bound of the quote that is cheap to compute, or None when the call must be
            quoted; None in place of the function quotes every call.
        prepare: Loads prices and vocabularies, which is slow; run once, in a thread, before the first quote.
        zone: Time zone of days; None means this machine's zone.
    """

    def __init__(
        self,
        options: Budget | None,
        ledger: Ledger,
        clock: Clock,
        sink: Sink,
        *,
        quote: Callable[[Call], Quote],
        cost: Callable[[Call, Reply], Decimal | None] = reported_cost,
        bound: Callable[[Call], Quote | None] | None = None,
        prepare: Callable[[], None] | None = None,
        zone: tzinfo | None = None,
    ) -> None:
        self._options = options
        self._ledger = ledger
        self._clock = clock
        self._sink = sink
        self._quote = quote
        self._cost = cost
        self._bound = bound
        self._prepare = prepare
        self._zone = zone
        self._spendings: dict[int, _Spending] = {}
        self._warn_from = _warn_from(options)
        self._warned: set[tuple[Account, str]] = set()

    @property
    def options(self) -> Budget | None:
        """The budget; None means there is none."""
        return self._options

    def change(self, options: Budget | None) -> None:
        """Replace the budget; the amount spent stays, and waiters are tried again."""
        self._options = options
        self._warn_from = _warn_from(options)
        self._warned.clear()
        self._ledger.wake()

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Reserve, run the call, and book its actual cost, or the estimate of attempts that may be billed.

        Raises:
            BudgetExceededError: The budget does not allow it, or no price is known under a hard budget.
        """
        if self._options is None and call.options.budget_usd is None:
            return proceed(call)
        return self._spend(call, proceed)

    async def _spend(self, call: Call, proceed: Handler) -> Reply:
        spending = _Spending(call, call.attempts, len(call.errors))
        self._spendings[id(call)] = spending
        try:
            await self._begin(spending)
            reply = await proceed(call)
        except BaseException as error:
            self._book(
                spending,
                ZERO,
                billed_attempts(call, error, attempts=spending.attempts, errors=spending.errors),
            )
            raise
        else:
            cost = self._cost(call, reply)
            failed = sum(map(may_be_billed, call.errors[spending.errors :]))
            self._book(spending, ZERO if cost is None else cost, failed + (cost is None))
            if spending.output_limit is not None and reply.finish_reason == "length":
                call.notes.append(
                    f"cut at {spending.output_limit:,} output tokens, the limit that a hard budget sets when "
                    "a call names "
                    "none; give --max-tokens for more"
                )
            return reply
        finally:
            del self._spendings[id(call)]
            self._forget(call)

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
            self._ledger.mark_sent(spending.hold)
        return proceed(call)

    def book_replayed(self, call: Call, cost: Decimal) -> None:
        """Book the recorded cost of a replayed call, without refusals; for ledgers without real money."""
        accounts = [claim.account for claim, _ in self.claims(call)]
        if accounts:
            self.warn(self._ledger.settle(None, cost, also=accounts))
        if not call.options.batch_id:
            self._ledger.forget(_own_account(call))
            self._ledger.forget(_single_account(call))

    def book_elsewhere(self, cost: Decimal) -> None:
        """Book costs of worker processes in this session's budget; the workers book the other scopes."""
        if cost and self._options is not None and self._options.per == "session":
            self.warn(self._ledger.settle(None, cost, also=[Account("session")]))

    def status(self) -> list[BudgetStatus]:
        """State of the budget: one item, or one for each user or batch with a cost."""
        options = self._options
        if options is None:
            return []
        if options.per in {"user", "batch"}:
            accounts = self._ledger.accounts(options.per)
        else:
            accounts = [self._account(options.per, None)]
        return [status_of(account, options.usd, self._ledger.balance(account)) for account in accounts]

    def reset(self) -> None:
        """Set the spent amount to 0: of today, the session, every user or every batch."""
        for item in self.status():
            self._ledger.reset(Account(item.scope, item.name))
        self._warned.clear()

    async def _begin(self, spending: _Spending) -> None:
        options = self._options
        is_hard = spending.call.options.budget_usd is not None or (options is not None and options.hard)
        if is_hard and not self._reserve_bound(spending):
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
        hold = self._ledger.try_reserve(lambda: self._hard_claims(call), quote.usd)
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
        found = await self._ledger.reserve(lambda: self._hard_claims(spending.call), amount)
        if isinstance(found, Refusal):
            fits = self._fitting_limit(spending, found, amount)
            raise self.refused(found, amount, outcome, fits=fits)
        spending.hold = found

    def _fitting_limit(self, spending: _Spending, refusal: Refusal, amount: Decimal) -> int | None:
        """Most output tokens that the money left allows; None when even a short reply does not fit."""
        call = spending.call
        asked = [
            value for name in OUTPUT_LIMITS if isinstance(value := call.request.parameters.get(name), int)
        ]
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
        call, held = spending.call, hold is not None
        accounts = [claim.account for claim, hard in self.claims(call) if not (held and hard)]
        self.warn(self._ledger.settle(hold, total, also=accounts))

    def _known_estimate(self, spending: _Spending) -> Decimal:
        """The estimate, made here for a soft budget; 0 for a model without a price."""
        if spending.estimate is None or spending.is_bound:
            spending.is_bound = False
            spending.estimate = self._quote(spending.call).usd or ZERO
        return spending.estimate

    def _forget(self, call: Call) -> None:
        """Drop the accounts that belong to this call alone."""
        if call.options.batch_id:
            return
        if call.options.budget_usd is not None:
            self._ledger.forget(_own_account(call))
        if self._options is not None and self._options.per == "batch":
            self._ledger.forget(_single_account(call))

    def claims(self, call: Call) -> list[tuple[Claim, bool]]:
        """The claims of a call, and whether each is hard: its own limit first, then the budget."""
        claims: list[tuple[Claim, bool]] = []
        own, options = call.options.budget_usd, self._options
        if own is not None:
            claims.append((Claim(_own_account(call), read_usd("budget_usd", own)), True))
        if options is not None:
            claims.append((Claim(self._account(options.per, call), options.usd), options.hard))
        return claims

    def _hard_claims(self, call: Call) -> list[Claim]:
        return [claim for claim, hard in self.claims(call) if hard]

    def _account(self, per: Scope, call: Call | None) -> Account:
        if per == "day":
            return Account("day", self._today().isoformat())
        if per == "session" or call is None:
            return Account("session")
        if per == "user":
            return Account("user", call.options.user or "")
        # A call outside a batch is a batch of its own.
        return Account("batch", call.options.batch_id) if call.options.batch_id else _single_account(call)

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock.unix(), UTC).astimezone(self._zone).date()

    def _seconds_to_midnight(self) -> float:
        midnight = datetime.combine(self._today() + timedelta(days=1), time(), self._zone)
        return midnight.timestamp() - self._clock.unix()

    def warn(self, totals: dict[Account, Decimal]) -> None:
        """Warn once per account that nears or has passed its limit."""
        options = self._options
        if options is None:
            return
        for account, spent in totals.items():
            if account.scope != options.per or spent < self._warn_from:
                continue
            if not options.hard and spent >= options.usd:
                text = f"the budget of {options} is spent; calls continue, because it is soft (hard=False)"
                self._warn_once(account, text)
            else:
                text = f"{options.warn_at:.0%} of the budget of {options} is spent; %ai budget shows the rest"
                self._warn_once(account, text)

    def _warn_once(self, account: Account, text: str) -> None:
        if (account, text) not in self._warned:
            self._warned.add((account, text))
            self._sink(Notice(text, "budget"))

    def refused(
        self, refusal: Refusal, amount: Decimal, outcome: str, *, fits: int | None = None
    ) -> BudgetExceededError:
        """The error of a call that does not fit; `fits` is the output limit in tokens that would."""
        claim, spent = refusal.claim, refusal.balance.settled
        own = claim.account.scope in {"call", "run"}
        budget = None if own else self._options
        tomorrow = claim.account.scope == "day" and amount <= claim.limit
        return BudgetExceededError(
            refusal_text(
                amount,
                claim.limit,
                budget=budget,
                whole_run=claim.account.scope == "run",
                outcome=outcome,
                fits=fits,
            ),
            retry_after=self._seconds_to_midnight() if tomorrow else None,
            spent_usd=spent,
            left_usd=max(ZERO, claim.limit - spent),
        )


def _warn_from(options: Budget | None) -> Decimal:
    """USD from which the notice about a budget is due; 0 without one."""
    return ZERO if options is None else options.usd * Decimal(str(options.warn_at))


def _own_account(call: Call) -> Account:
    """Account of a limit that was given with the call: of its whole run, or of the call alone."""
    return Account("run", call.options.batch_id) if call.options.batch_id else Account("call", str(id(call)))


def _single_account(call: Call) -> Account:
    return Account("single", str(id(call)))
