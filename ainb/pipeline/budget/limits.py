"""Limits that apply to a call, and what is reported of them: state, warnings and refusals."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal

from ainb.clock import Clock
from ainb.errors import BudgetExceededError
from ainb.events import Notice, Sink
from ainb.messages import Call
from ainb.pipeline.budget.accounts import ZERO, Account, Claim
from ainb.pipeline.budget.ledger import Hold, Ledger, Refusal
from ainb.pipeline.budget.options import Budget, BudgetStatus, Scope, read_usd, refusal_text, status_of


class Limits:
    """The session's budget and the limits of single calls, as claims on accounts of a ledger.

    Args:
        options: The budget; None leaves only the limits of single calls (``CallOptions.budget_usd``).
        ledger: Books the costs; sessions that share a ledger share their budgets.
        clock: Source of the date.
        sink: Receives warnings.
        zone: Time zone of days; None means this machine's zone.

    Attributes:
        options: The budget; None means there is none.
        ledger: As given.
    """

    def __init__(
        self,
        options: Budget | None,
        ledger: Ledger,
        clock: Clock,
        sink: Sink,
        *,
        zone: tzinfo | None = None,
    ) -> None:
        self.options = options
        self.ledger = ledger
        self._clock = clock
        self._sink = sink
        self._zone = zone
        self._warn_from = _warn_from(options)
        self._warned: set[tuple[Account, str]] = set()

    def change(self, options: Budget | None) -> None:
        """Replace the budget; the amount spent stays, and waiters are tried again."""
        self.options = options
        self._warn_from = _warn_from(options)
        self._warned.clear()
        self.ledger.wake()

    def claims(self, call: Call) -> list[tuple[Claim, bool]]:
        """The claims of a call, and whether each is hard: its own limit first, then the budget."""
        claims: list[tuple[Claim, bool]] = []
        own, options = call.options.budget_usd, self.options
        if own is not None:
            claims.append((Claim(_own_account(call), read_usd("budget_usd", own)), True))
        if options is not None:
            claims.append((Claim(self._account(options.per, call), options.usd), options.hard))
        return claims

    def are_hard(self, call: Call) -> bool:
        """Whether the call may be sent only if its cost fits."""
        return call.options.budget_usd is not None or (self.options is not None and self.options.hard)

    def hard_claims(self, call: Call) -> list[Claim]:
        """The claims that must be met before the call is sent."""
        return [claim for claim, hard in self.claims(call) if hard]

    def settle(self, call: Call, hold: Hold | None, cost: Decimal) -> None:
        """Replace the hold of a call by a cost, and book the cost in the accounts where nothing is held."""
        accounts = [claim.account for claim, hard in self.claims(call) if hold is None or not hard]
        self.warn(self.ledger.settle(hold, cost, also=accounts))

    def forget(self, call: Call) -> None:
        """Drop the accounts that belong to this call alone."""
        if call.options.batch_id:
            return
        if call.options.budget_usd is not None:
            self.ledger.forget(_own_account(call))
        if self.options is not None and self.options.per == "batch":
            self.ledger.forget(_single_account(call))

    def book_replayed(self, call: Call, cost: Decimal) -> None:
        """Book the recorded cost of a replayed call, without refusals; for ledgers without real money."""
        self.settle(call, None, cost)
        self.forget(call)

    def book_elsewhere(self, cost: Decimal) -> None:
        """Book costs of worker processes in this session's budget; the workers book the other scopes."""
        if cost and self.options is not None and self.options.per == "session":
            self.warn(self.ledger.settle(None, cost, also=[Account("session")]))

    def status(self) -> list[BudgetStatus]:
        """State of the budget: one item, or one for each user or batch with a cost."""
        options = self.options
        if options is None:
            return []
        if options.per in {"user", "batch"}:
            accounts = self.ledger.accounts(options.per)
        else:
            accounts = [self._account(options.per, None)]
        return [status_of(account, options.usd, self.ledger.balance(account)) for account in accounts]

    def reset(self) -> None:
        """Set the spent amount to 0: of today, the session, every user or every batch."""
        for item in self.status():
            self.ledger.reset(Account(item.scope, item.name))
        self._warned.clear()

    def warn(self, totals: dict[Account, Decimal]) -> None:
        """Warn once per account that nears or has passed its limit."""
        options = self.options
        if options is None:
            return
        for account, spent in totals.items():
            if account.scope != options.per or spent < self._warn_from:
                continue
            if not options.hard and spent >= options.usd:
                text = f"the budget of {options} is spent; calls continue, because it is soft (hard=False)"
            else:
                text = f"{options.warn_at:.0%} of the budget of {options} is spent; %ai budget shows the rest"
            if (account, text) not in self._warned:
                self._warned.add((account, text))
                self._sink(Notice(text, "budget"))

    def refused(
        self, refusal: Refusal, amount: Decimal, outcome: str, *, fits: int | None = None
    ) -> BudgetExceededError:
        """The error of a call that does not fit; `fits` is the output limit in tokens that would."""
        claim, spent = refusal.claim, refusal.balance.settled
        own = claim.account.scope in {"call", "run"}
        budget = None if own else self.options
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


def _warn_from(options: Budget | None) -> Decimal:
    """USD from which the notice about a budget is due; 0 without one."""
    return ZERO if options is None else options.usd * Decimal(str(options.warn_at))


def _own_account(call: Call) -> Account:
    """Account of a limit that was given with the call: of its whole run, or of the call alone."""
    return Account("run", call.options.batch_id) if call.options.batch_id else Account("call", str(id(call)))


def _single_account(call: Call) -> Account:
    return Account("single", str(id(call)))
