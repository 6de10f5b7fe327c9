"""Shared budget: spent and reserved money of days and runs in Redis, for all machines of a namespace.

A book must not block, and Redis is a round trip away. So a reservation without enough drawn money returns
WAIT and requests more; the answer wakes the ledger. Drawn money counts as reserved on the server, so that no
other process can spend it. The amount of a draw follows the same rules as in the day book (`Pot`).

Money is stored in whole nanodollars; Lua numbers are exact up to 9 million dollars. Drawn money is stored
under its owner. When an owner's heartbeat stops, each of its calls that was sent and not settled counts as
its estimate times twice the highest ratio of cost to estimate among the owner's other calls, and never as
more than the estimate; the rest is released. Every command carries the spent amount that this process last
received, so that after a loss of data the server does not grant the same money again.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from ainb.fork import new_rlock, renew_after_fork
from ainb.pipeline.budget import Account, Balance, Claim, Shares, Verdict, decide
from ainb.stores.redis import money
from ainb.stores.redis.client import RedisClient
from ainb.stores.redis.connection import Answered, UnavailableError
from ainb.stores.redis.heartbeat import LIVE_SECONDS
from ainb.stores.redis.money import NANO_DIGITS, Hold, Report, SharedAccount, locked, nano, usd
from ainb.stores.redis.script import Script

KEEP_SECONDS = 1.0  # drawn money that is unused for this long is returned
DAYS_WATCHED = 2  # two days are refreshed, because calls may settle after midnight
LOST = "lost"  # a script's answer if the server's data is not the data that this process knows


class RedisBook:
    """Balances of days and runs, shared between machines; a `Book` for `Ledger`.

    While the server is unavailable, this process may spend the money left divided by the number of peers last
    seen. Its costs are reported when the server is back.

    Attributes:
        wake: Makes the ledger try its queue again; called on the connection's loop.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._serials = itertools.count(1)
        self.renew()
        self._lock = new_rlock()  # calls come from any thread, answers on the connection's loop
        self.wake: Callable[[], None] = lambda: None
        client.on.heartbeat.append(self._on_heartbeat)
        client.on.disconnected.append(self._on_disconnect)
        client.on.reconnected.append(self._on_reconnect)
        client.on.renamed.append(self._on_rename)
        renew_after_fork(self)

    def renew(self) -> None:
        """Start without money, also in a forked child: the parent spends and reports its own."""
        self._accounts: dict[Account, SharedAccount] = {}
        self._held: dict[tuple[int, Account], Hold] = {}
        self._unconfirmed: deque[Report] = deque()
        self._jobs: dict[str, int] = {}
        self._shares = Shares()

    @locked
    def reserve(self, token: int, claim: Claim, amount: Decimal) -> Verdict:
        """Reserve `amount` under `token` if it fits; the verdict is WAIT also while money is being drawn."""
        shared, needed = self._account(claim.account), nano(amount)
        shared.limit = int(claim.limit.scaleb(NANO_DIGITS).to_integral_value(ROUND_FLOOR))
        if self._client.is_down:
            return self._reserve_locally(token, claim.account, shared, needed)
        if shared.pot.take(needed, shared.limit):
            self._held[token, claim.account] = self._hold(needed, is_job=token < 0)
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
        if hold is not None and not hold.is_local:
            hold.is_sent = True
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
        if hold.is_sent:
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
            self._client.send(("HDEL", self._keys(account)[3], self._client.owner))

    def _account(self, account: Account) -> SharedAccount:
        shared = self._accounts.get(account)
        if shared is None:
            shared = self._accounts[account] = SharedAccount()
            self._refresh(account)
        return shared

    def _hold(self, amount: int, *, is_local: bool = False, is_job: bool = False) -> Hold:
        serial = f"{'job' if is_job else ''}{next(self._serials)}"
        return Hold(serial, self._client.owner, amount, is_local=is_local)

    def _new_share(self, shared: SharedAccount) -> str:
        """Highest ratio of cost to estimate in millionths; empty if the server has it already."""
        worst = self._shares.worst
        if shared.worst == worst:
            return ""
        shared.worst = worst
        return str(worst)

    def _run(self, script: Script, account: Account, *words: Any, done: Answered | None = None) -> None:
        """Run a script of an account, with this process's copy of the balance as arguments."""
        shared = self._accounts[account]
        known = (account.name, self._client.data, shared.epoch, shared.confirmed)
        self._client.send_script(script, self._keys(account), (*known, *words), done)

    def _reserve_locally(self, token: int, account: Account, shared: SharedAccount, needed: int) -> Verdict:
        if shared.share is None:
            shared.share = (shared.limit - shared.spent - shared.reserved) // max(1, len(self._client.peers))
        if needed > shared.share:
            held = sum(hold.amount for hold in self._held.values() if hold.is_local)
            return Verdict.WAIT if needed <= shared.share + held else Verdict.NEVER
        shared.share -= needed
        self._held[token, account] = self._hold(needed, is_local=True)
        return Verdict.GRANTED

    def _draw(self, account: Account, shared: SharedAccount, amount: int) -> None:
        if shared.is_drawing:
            return
        if shared.limit < shared.pot.limit:
            self._give_back(account, shared)
        owner, now = self._client.owner, self._client.clock.monotonic()
        shared.is_drawing, need = True, amount - shared.pot.available
        most = shared.pot.wanted(amount, shared.limit, now=now, keep_seconds=KEEP_SECONDS)

        def drawn(answer: Any) -> None:
            with self._lock:
                shared.is_drawing = False
                granted = self._update(shared, answer)
                if granted > 0 and owner == self._client.owner:
                    shared.pot.available += granted
                elif isinstance(answer, str) and not granted:
                    # Otherwise two processes that each hold a part would wait for each other.
                    self._give_back(account, shared)
            # A reservation that did not fit is tried again by the ledger's poll. Not called directly, because
            # the ledger may hold its lock here.
            if granted > 0 or shared.spent + need > shared.limit:
                self._client.call_soon(self.wake)

        words = (owner, need, most, shared.limit, LIVE_SECONDS, self._at_server(account))
        self._run(money.DRAW, account, *words, done=drawn)

    def _at_server(self, account: Account) -> int:
        """Money that the server holds for this process."""
        return self._accounts[account].pot.available + sum(
            hold.amount
            for (_, held), hold in self._held.items()
            if held == account and not hold.is_local and hold.owner == self._client.owner
        )

    def _update(self, shared: SharedAccount, answer: Any) -> int:
        """Update the copy of an account from an answer; returns the money granted, 0 if the data was lost."""
        if not isinstance(answer, str) or answer == LOST:
            return 0
        granted, shared.confirmed, shared.reserved, shared.epoch = map(int, answer.split(" "))
        return granted

    def _report(self, report: Report) -> None:
        self._unconfirmed.append(report)
        if report.script is not money.SENT:
            self._accounts[report.account].unheard += report.amount
        self._send(report)

    def _send(self, report: Report) -> None:
        def confirmed(answer: Any) -> None:
            if isinstance(answer, UnavailableError) or answer == LOST:
                return
            with self._lock:
                shared = self._accounts[report.account]
                if self._unconfirmed and self._unconfirmed[0] is report:
                    self._unconfirmed.popleft()
                    shared.unheard -= 0 if report.script is money.SENT else report.amount
                self._update(shared, answer)

        words = (report.owner, report.serial, report.amount, report.share)
        self._run(report.script, report.account, *words, done=confirmed)

    def _refresh(self, account: Account) -> None:
        expected = self._at_server(account)

        def looked(answer: Any) -> None:
            with self._lock:
                shared = self._accounts[account]
                self._update(shared, answer)
                if isinstance(answer, str) and answer != LOST and shared.reserved < expected:
                    self._restore(was_lost=True)

        self._run(money.LOOK, account, done=looked)

    @locked
    def _on_heartbeat(self) -> None:
        """Refresh the balances and return unused drawn money, once a second."""
        now = self._client.clock.monotonic()
        newest = len(self._accounts) - DAYS_WATCHED
        for place, (account, shared) in enumerate(list(self._accounts.items())):
            if shared.pot.is_idle(now, KEEP_SECONDS) and not shared.is_drawing:
                self._give_back(account, shared)
            elif place >= newest:
                self._refresh(account)

    def _give_back(self, account: Account, shared: SharedAccount) -> None:
        available, shared.pot.available = shared.pot.available, 0
        if available:
            self._run(money.GIVE_BACK, account, self._client.owner, available)

    @locked
    def _on_disconnect(self) -> None:
        """Make drawn money part of this process's share when the server becomes unavailable."""
        for shared in self._accounts.values():
            shared.is_drawing = False
            if shared.limit:
                left = max(0, shared.limit - shared.spent - shared.reserved)
                shared.share = left // max(1, len(self._client.peers)) + shared.pot.available
            shared.pot.available = 0
        self._client.call_soon(self.wake)

    @locked
    def _on_reconnect(self, was_lost: bool) -> None:  # noqa: FBT001 - a listener
        """Restore the reservations after a reconnection, then repeat all unconfirmed reports in order."""
        for shared in self._accounts.values():
            shared.share = None
        for hold in self._held.values():
            hold.is_local = False
        self._restore(was_lost=was_lost)
        for report in list(self._unconfirmed):
            self._send(report)
        self._client.call_soon(self.wake)

    def _restore(self, *, was_lost: bool) -> None:
        """Restore this process's money on the server; after a loss of data also that of sent calls."""
        for account, shared in self._accounts.items():
            mine = [hold for (_, held), hold in self._held.items() if held == account]
            unsent = [hold for hold in mine if not hold.is_sent]
            for hold in mine if was_lost else unsent:
                hold.owner = self._client.owner
            at_hand = shared.pot.available + sum(hold.amount for hold in unsent if not hold.is_local)
            self._run(money.RESTORE, account, self._client.owner, at_hand)
            if was_lost:
                shared.worst = None
                self._register_sent(account, mine)

    def _register_sent(self, account: Account, mine: Sequence[Hold]) -> None:
        """Register calls in flight with a server that lost its data, so that their settlements count."""
        sent = [(hold.owner, hold.serial, hold.amount) for hold in mine if hold.is_sent]
        sent += [
            (report.owner, report.serial, report.amount)
            for report in self._unconfirmed
            if report.script is money.SETTLE and report.account == account
        ]
        for owner, serial, amount in sent:
            self._client.send(("HSETNX", self._keys(account)[1], f"{owner}|{serial}", amount))

    @locked
    def _on_rename(self) -> None:
        """Update after this process was declared dead: sent calls were booked, drawn money was released."""
        for shared in self._accounts.values():
            shared.pot.available, shared.worst = 0, None
        self._restore(was_lost=False)

    def _keys(self, account: Account) -> tuple[str, ...]:
        # All days share one hash; a run has its own, so that it expires.
        which = (account.name,) if account.scope == "day" else (account.scope, account.name)
        spent = () if account.scope == "day" else which
        key = self._client.key
        return (
            *(key("spent", *spent), key("aside", *which), key("peers")),
            *(key("owners", *which), key("data"), key("new")),
        )
