"""Budgets: set the most that a call can cost aside before it queues, book what it did cost when it is back.

Check, call, record lets 32 workers spend $15.62 of $10; here what is spent and what is set aside never pass the limit, and a
call for which the money is only tied up waits instead of being refused.
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
from ainb.pricing.quotes import Quote

LONG_PROMPT_CHARS = 50_000


def reported_cost(_call: Call, reply: Reply) -> Decimal | None:
    """What the reply itself says it cost."""
    return reply.cost_usd


@dataclass(slots=True, eq=False)
class _Spending:
    """One call's money on its way through."""

    call: Call
    attempts: int
    errors: int
    hold: Hold | None = None
    estimate: Decimal | None = None
    output_limit: int | None = None
    kept: int = 0


class BudgetStage:
    """Lets a call proceed when the most it can cost is set aside.

    Three places in the pipeline: the stage itself outside retry and every queue; `before_attempt` just inside retry, where an
    attempt after one that may have been billed sets its own money aside; `before_sending` next to the provider, which makes
    a day's reservation count as spent should the process die from there on.

    Args:
        options: The budget; None leaves only the limits that calls bring along (``CallOptions.budget_usd``).
        ledger: Where the money is booked; sessions that share one share their budgets.
        clock: Tells which day it is.
        sink: Who hears of warnings.
        quote: The most that one attempt of a call can cost.
        cost: What a reply cost, or None when that is unknown; the estimate is booked then.
        prepare: Run once in a thread before the first quote: what loads slowly (prices, vocabularies).
        zone: Where midnight is; None means this machine's zone.
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
        prepare: Callable[[], None] | None = None,
        zone: tzinfo | None = None,
    ) -> None:
        self._options = options
        self._ledger = ledger
        self._clock = clock
        self._sink = sink
        self._quote = quote
        self._cost = cost
        self._prepare = prepare
        self._zone = zone
        self._spendings: dict[int, _Spending] = {}
        self._warned: set[tuple[Account, str]] = set()

    @property
    def options(self) -> Budget | None:
        """The budget; None means none."""
        return self._options

    def change(self, options: Budget | None) -> None:
        """Take another budget; what is spent stays spent, and who waits is tried again."""
        self._options = options
        self._warned.clear()
        self._ledger.wake()

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Set money aside, proceed, and book what it cost; what may have been billed keeps its estimate.

        Raises:
            BudgetExceededError: The money is not left, or no price is known under a hard budget.
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
                    f"cut at {spending.output_limit:,} output tokens, the limit that a hard budget sets when a call names "
                    "none; give --max-tokens for more"
                )
            return reply
        finally:
            del self._spendings[id(call)]
            self._forget(call)

    def before_attempt(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Set money aside anew when an earlier attempt may have been billed; that one keeps its estimate.

        Raises:
            BudgetExceededError: The money for another attempt is not left.
        """
        spending = self._spendings.get(id(call))
        if spending is None or spending.hold is None:
            return proceed(call)
        return self._set_aside_anew(spending, call, proceed)

    async def _set_aside_anew(self, spending: _Spending, call: Call, proceed: Handler) -> Reply:
        billed = sum(map(may_be_billed, call.errors[spending.errors :]))
        if billed > spending.kept:
            self._book(spending, ZERO, billed)
            await self._reserve(spending, "no further attempt was made")
        return await proceed(call)

    def before_sending(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """From here on the money may be spent, also when this process dies."""
        spending = self._spendings.get(id(call))
        if spending is not None and spending.hold is not None:
            self._ledger.mark_sent(spending.hold)
        return proceed(call)

    def book_replayed(self, call: Call, cost: Decimal) -> None:
        """Book what a call cost when it was recorded; nothing is refused for it. For ledgers that keep no real money."""
        accounts = [claim.account for claim, _ in self.claims(call)]
        if accounts:
            self.warn(self._ledger.settle(None, cost, also=accounts))
        if not call.options.batch_id:
            self._ledger.forget(_own_account(call))
            self._ledger.forget(_single_account(call))

    def book_elsewhere(self, cost: Decimal) -> None:
        """Book what other processes spent for this session, in the session's own budget; the other budgets they book themselves."""
        if cost and self._options is not None and self._options.per == "session":
            self.warn(self._ledger.settle(None, cost, also=[Account("session")]))

    def status(self) -> list[BudgetStatus]:
        """How the budget stands: one item, or one for each user or batch that money went through."""
        options = self._options
        if options is None:
            return []
        if options.per in {"user", "batch"}:
            accounts = self._ledger.accounts(options.per)
        else:
            accounts = [self._account(options.per, None)]
        return [status_of(account, options.usd, self._ledger.balance(account)) for account in accounts]

    def reset(self) -> None:
        """Forget what is spent of the budget: today's, the session's, every user's or batch's."""
        for item in self.status():
            self._ledger.reset(Account(item.scope, item.name))
        self._warned.clear()

    async def _begin(self, spending: _Spending) -> None:
        options = self._options
        if spending.call.options.budget_usd is not None or (options is not None and options.hard):
            await self._estimate(spending)
            await self._reserve(spending, "nothing was sent")

    async def _estimate(self, spending: _Spending) -> None:
        """Quote the call; an output limit that the quote counts on goes out with the request."""
        call = spending.call
        if self._prepare is not None and not call.provider.free:
            await asyncio.to_thread(self._prepare)
            self._prepare = None
        if sum(len(message.text) for message in call.request.messages) > LONG_PROMPT_CHARS:
            quote = await asyncio.to_thread(self._quote, call)
        else:
            quote = self._quote(call)
        if quote.usd is None:
            raise BudgetExceededError(unpriced_text(f"{call.request.provider}:{call.request.model}"))
        spending.estimate = quote.usd
        spending.output_limit = quote.output_limit
        if quote.output_limit is not None:
            parameters = {**call.request.parameters, "max_tokens": quote.output_limit}
            call.request = dataclasses.replace(call.request, parameters=parameters)

    async def _reserve(self, spending: _Spending, outcome: str) -> None:
        amount = spending.estimate
        if not amount:  # a free call always passes, also with the budget spent
            return
        found = await self._ledger.reserve(lambda: self._hard_claims(spending.call), amount)
        if isinstance(found, Refusal):
            raise self.refused(found, amount, outcome)
        spending.hold = found

    def _book(self, spending: _Spending, cost: Decimal, billed: int) -> None:
        """Book a cost, and the estimate for each of `billed` attempts beyond those that are booked already."""
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
        """The estimate; a soft budget asks for it only now, and books nothing for a model without a price."""
        if spending.estimate is None:
            spending.estimate = self._quote(spending.call).usd or ZERO
        return spending.estimate

    def _forget(self, call: Call) -> None:
        """Drop the accounts that were opened for this call alone."""
        if call.options.batch_id:
            return
        if call.options.budget_usd is not None:
            self._ledger.forget(_own_account(call))
        if self._options is not None and self._options.per == "batch":
            self._ledger.forget(_single_account(call))

    def claims(self, call: Call) -> list[tuple[Claim, bool]]:
        """What the call draws on, and whether it may be passed: its own limit first, then the budget."""
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
        """Say once of each account that it nears its limit, or has passed it."""
        options = self._options
        if options is None:
            return
        for account, spent in totals.items():
            if account.scope != options.per:
                continue
            if not options.hard and spent >= options.usd:
                text = f"the budget of {options} is spent; calls go on, because it is soft (hard=False)"
                self._say_once(account, text)
            elif spent >= options.usd * Decimal(str(options.warn_at)):
                text = f"{options.warn_at:.0%} of the budget of {options} is spent; %ai budget shows the rest"
                self._say_once(account, text)

    def _say_once(self, account: Account, text: str) -> None:
        if (account, text) not in self._warned:
            self._warned.add((account, text))
            self._sink(Notice(text, "budget"))

    def refused(self, refusal: Refusal, amount: Decimal, outcome: str) -> BudgetExceededError:
        """The error of a call whose money is not left."""
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
            ),
            retry_after=self._seconds_to_midnight() if tomorrow else None,
            spent_usd=spent,
            left_usd=max(ZERO, claim.limit - spent),
        )


def _own_account(call: Call) -> Account:
    """Where a limit that came with the call is counted: over its whole run, or for the call alone."""
    return Account("run", call.options.batch_id) if call.options.batch_id else Account("call", str(id(call)))


def _single_account(call: Call) -> Account:
    return Account("single", str(id(call)))
