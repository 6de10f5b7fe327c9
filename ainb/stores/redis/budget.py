"""Shared budget: spent and reserved money of days and runs in Redis, for all machines of a namespace.

A book must not block, and Redis is a round trip away. So a reservation without enough drawn money returns
WAIT and requests more; the answer wakes the ledger. Drawn money counts as reserved on the server, so that no
other process can spend it. The amount of a draw follows the same rules as in the day book (`Pot`).

Money is stored in whole nanodollars; Lua numbers are exact up to 9 million dollars. Drawn money is stored
under its owner. When an owner's heartbeat stops, each of its calls that was sent and not settled counts as
its estimate times twice the highest ratio of cost to estimate among the owner's other calls, and never as
more than the estimate; the rest is released. Every command carries the spent amount that this process last
received, so that after a loss of data the server does not grant the same money again.

While the server is unavailable, a process uses its share, which the server has lent to it before and grants
to no other process.
"""

from __future__ import annotations

import itertools
from decimal import ROUND_FLOOR, Decimal

from ainb.pipeline.budget import Account, Balance, Claim, Shares, Verdict, decide
from ainb.stores.redis import money
from ainb.stores.redis.client import RedisClient
from ainb.stores.redis.exchange import AccountExchange
from ainb.stores.redis.money import NANO_DIGITS, Hold, Report, SharedAccount, locked, nano, usd


class RedisBook(AccountExchange):
    """Balances of days and runs, shared between machines; a `Book` for `Ledger`.

    While the server is unavailable, this process uses the share that the server lent to it. Its costs are
    reported when the server is back.
    """

    def __init__(self, client: RedisClient) -> None:
        self._serials = itertools.count(1)
        super().__init__(client)

    def renew(self) -> None:
        """Drop all balances, also those of jobs."""
        super().renew()
        self._jobs: dict[str, int] = {}
        self._shares = Shares()

    @locked
    def reserve(self, token: int, claim: Claim, amount: Decimal) -> Verdict:
        """Reserve `amount` under `token` if it fits; the verdict is WAIT also while money is being drawn."""
        shared, needed = self._account(claim.account), nano(amount)
        shared.allow(int(claim.limit.scaleb(NANO_DIGITS).to_integral_value(ROUND_FLOOR)))
        is_local = self._client.is_down
        if is_local:
            is_granted = self._take_share(claim.account, shared, needed)
        else:
            is_granted = self._client.is_heard and shared.pot.take(needed, shared.limit)
        if is_granted:
            self._held[token, claim.account] = self._hold(needed, is_local=is_local, is_job=token < 0)
            return Verdict.GRANTED
        if decide(Balance(usd(shared.spent)), claim.limit, amount) is Verdict.NEVER:
            self._refresh(claim.account)
            return Verdict.NEVER
        self._draw(claim.account, shared, needed)
        return Verdict.WAIT

    @locked
    def mark_sent(self, token: int, account: Account) -> None:
        """Mark a reservation as sent: it counts as spent if this process dies."""
        hold = self._held.get((token, account))
        if hold is not None:
            hold.is_sent = True
            if not hold.is_local:
                self._report(Report(money.SENT, account, hold.owner, hold.serial, hold.amount))

    @locked
    def settle(self, token: int, account: Account, cost: Decimal) -> Decimal:
        """Replace the reservation of `token` by the actual cost; returns the total spent, as far as known."""
        hold = self._held.pop((token, account), None)
        if hold is None:
            return self.spend(account, cost)
        shared, paid = self._account(account), nano(cost)
        if hold.is_local:
            shared.share = None if shared.share is None else shared.share + hold.amount
        elif not hold.is_sent and hold.owner == self._client.owner:
            shared.pot.available += hold.amount
            if hold.is_carried:
                self._give_back(account, shared)
        if hold.is_sent and not hold.is_local:
            report = Report(money.SETTLE, account, hold.owner, hold.serial, paid)
            if token > 0:
                self._shares.note(hold.amount, paid)
                report.share = self._new_share(shared)
            self._report(report)
            return usd(shared.spent)
        return self.spend(account, cost)

    @locked
    def spend(self, account: Account, cost: Decimal) -> Decimal:
        """Book a cost without a reservation; returns the total spent, as far as known."""
        shared, paid = self._account(account), nano(cost)
        if paid:  # below 0 if a job cost less than was booked for it
            shared.share = None if shared.share is None else shared.share - paid
            self._report(Report(money.SPEND, account, self._client.owner, "0", paid))
        return usd(shared.spent)

    @locked
    def hold_job(self, job: str, account: Account, amount: Decimal, *, limit: Decimal | None) -> Verdict:
        """Reserve `amount` for a batch job; it counts as spent if this process dies before it is settled."""
        if job in self._jobs:
            return Verdict.GRANTED
        token = -next(self._serials)
        if limit is not None:
            verdict = self.reserve(token, Claim(account, limit), amount)
            if verdict is not Verdict.GRANTED:
                return verdict
            self.mark_sent(token, account)
        self._jobs[job] = token
        return Verdict.GRANTED

    @locked
    def settle_job(self, job: str, account: Account, amount: Decimal, cost: Decimal) -> Decimal:
        """Replace a job's reservation by its cost; after a process's death only the difference is booked."""
        token = self._jobs.pop(job, None)
        return self.spend(account, cost - amount) if token is None else self.settle(token, account, cost)

    @locked
    def balance(self, account: Account) -> Balance:
        """The balance over all machines, at most one second old after the first request."""
        shared = self._account(account)
        mine = sum(hold.amount for (_, held), hold in self._held.items() if held == account)
        at_hand = shared.pot.available
        return Balance(usd(shared.spent), usd(max(0, max(shared.reserved, mine + at_hand) - at_hand)))

    @locked
    def reset(self, account: Account) -> None:
        """Set the spent amount to 0; reservations stay."""
        self._account(account).confirmed = 0
        self._run(money.RESET, account)

    @locked
    def close(self) -> None:
        """Return drawn money to the server."""
        for account, shared in self._accounts.items():
            self._give_back(account, shared)
            fields = (self._client.owner, f"{self._client.owner}|share")
            self._client.send(("HDEL", self._keys(account)[3], *fields))

    def _hold(self, amount: int, *, is_local: bool, is_job: bool) -> Hold:
        serial = f"{'job' if is_job else ''}{next(self._serials)}"
        return Hold(serial, self._client.owner, amount, is_local=is_local)

    def _new_share(self, shared: SharedAccount) -> str:
        """Highest ratio of cost to estimate in millionths; empty if the server has it already."""
        worst = self._shares.worst
        if shared.worst == worst:
            return ""
        shared.worst = worst
        return str(worst)

    def _take_share(self, account: Account, shared: SharedAccount, needed: int) -> bool:
        """Take money from this process's share while the server is unavailable."""
        if shared.share is None:
            if shared.is_known:
                return False  # the listener of the disconnection is about to set it
            shared.share, shared.lent_limit = self._unknown_share(account, shared), shared.limit
        if needed > shared.share or (shared.is_known and not self._client.is_heard):
            return False
        shared.share -= needed
        return True

    def _unknown_share(self, account: Account, shared: SharedAccount) -> int:
        """Share of an account whose balance the server has never told this process.

        A day's money may be spent by then. A run begins in one process, and other processes rarely take part.
        Without contact to any other process the budget applies to this one alone.
        """
        is_alone = not self._client.data and self._client.is_refused
        if account.scope == "day" and not is_alone:
            return 0
        return shared.limit // len(self._client.peers) - shared.spent
