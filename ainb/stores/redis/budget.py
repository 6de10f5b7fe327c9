"""Shared budget: spent and reserved money of days and runs in Redis, for all machines of a namespace.

A book must not block, but a request to Redis takes a round trip. So a process draws money in advance. A
reservation without enough drawn money returns WAIT and requests some; the answer wakes the ledger. Drawn
money counts as reserved on the server at once, so that no other process can spend it. Far from the limit
a process draws for a few calls; near it, for one.

Money is stored in whole nanodollars; the numbers of Lua are exact up to 9 million dollars. Drawn money is
stored with its owner: when the owner's heartbeat stops, calls already sent count as spent; the rest is freed.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from ainb.pipeline.budget import Account, Balance, Claim, Verdict, decide
from ainb.stores.redis.budget_scripts import DRAW, GIVE_BACK, LOOK, RESET, RESTORE, SENT, SETTLE, SPEND
from ainb.stores.redis.client import RedisClient
from ainb.stores.redis.connection import UnavailableError
from ainb.stores.redis.heartbeat import LIVE_SECONDS
from ainb.stores.redis.money import NANO_DIGITS, Hold, Report, SharedAccount, locked, nano, usd
from ainb.stores.redis.script import Script

DRAWN_AHEAD = 8
DAYS_WATCHED = 2  # two days are refreshed, because calls may settle after midnight


class RedisBook:
    """Balances of days and runs, shared between machines; a `Book` for `Ledger`.

    While the server is unavailable, this process may spend the money left divided by the number of peers last
    seen. Its costs are reported when the server is back.

    Attributes:
        wake: Makes the ledger try its queue again; called on the connection's loop.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._accounts: dict[Account, SharedAccount] = {}
        self._held: dict[tuple[int, Account], Hold] = {}
        self._unconfirmed: deque[Report] = deque()
        self._jobs: dict[str, int] = {}
        self._serials = itertools.count(1)
        self._lock = threading.RLock()  # calls come from any thread, answers on the connection's loop
        self.wake: Callable[[], None] = lambda: None
        client.on.heartbeat.append(self._on_heartbeat)
        client.on.disconnected.append(self._on_disconnect)
        client.on.reconnected.append(self._on_reconnect)
        client.on.renamed.append(self._on_rename)

    @locked
    def reserve(self, token: int, claim: Claim, amount: Decimal) -> Verdict:
        """Reserve `amount` under `token` if it fits; WAIT also while money is being drawn."""
        shared, needed = self._account(claim.account), nano(amount)
        shared.limit = int(claim.limit.scaleb(NANO_DIGITS).to_integral_value(ROUND_FLOOR))
        if self._client.is_down:
            return self._reserve_locally(token, claim.account, shared, needed)
        if shared.available >= needed:
            shared.available -= needed
            self._held[token, claim.account] = self._hold(needed)
            return Verdict.GRANTED
        if decide(Balance(usd(shared.spent)), claim.limit, amount) is Verdict.NEVER:
            self._refresh(claim.account)
            return Verdict.NEVER
        self._draw(claim.account, shared, needed - shared.available, needed)
        return Verdict.WAIT

    @locked
    def mark_sent(self, token: int, account: Account) -> None:
        """Mark a reservation as sent: it counts as spent if this process dies."""
        hold = self._held.get((token, account))
        if hold is not None and not hold.is_local:
            hold.is_sent = True
            self._report(SENT, account, hold.owner, hold.serial, hold.amount)

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
            shared.available += hold.amount
        if hold.is_sent:
            shared.spent += paid
            self._report(SETTLE, account, hold.owner, hold.serial, paid)
            return usd(shared.spent)
        return self.spend(account, cost)

    @locked
    def spend(self, account: Account, cost: Decimal) -> Decimal:
        """Book a cost without a reservation; returns the total spent, as far as known."""
        shared, paid = self._account(account), nano(cost)
        if paid:  # below 0 where a job cost less than was booked for it
            shared.spent += paid
            shared.share = None if shared.share is None else shared.share - paid
            self._report(SPEND, account, self._client.owner, 0, paid)
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
        return Balance(
            usd(shared.spent), usd(max(0, max(shared.reserved, mine + shared.available) - shared.available))
        )

    @locked
    def reset(self, account: Account) -> None:
        """Set what is spent to 0; reservations stay."""
        self._account(account).spent = 0
        self._client.send_script(RESET, self._keys(account), (account.name,))

    @locked
    def close(self) -> None:
        """Return drawn money to the server."""
        for account, shared in self._accounts.items():
            self._give_back(account, shared)

    def _account(self, account: Account) -> SharedAccount:
        shared = self._accounts.get(account)
        if shared is None:
            shared = self._accounts[account] = SharedAccount()
            self._refresh(account)
        return shared

    def _hold(self, amount: int, *, is_local: bool = False) -> Hold:
        return Hold(str(next(self._serials)), self._client.owner, amount, is_local=is_local)

    def _reserve_locally(self, token: int, account: Account, shared: SharedAccount, needed: int) -> Verdict:
        if shared.share is None:
            shared.share = (shared.limit - shared.spent - shared.reserved) // max(1, len(self._client.peers))
        if needed > shared.share:
            held = sum(hold.amount for hold in self._held.values() if hold.is_local)
            return Verdict.WAIT if needed <= shared.share + held else Verdict.NEVER
        shared.share -= needed
        self._held[token, account] = self._hold(needed, is_local=True)
        return Verdict.GRANTED

    def _draw(self, account: Account, shared: SharedAccount, need: int, amount: int) -> None:
        if shared.is_drawing:
            return
        shared.is_drawing, shared.drawn_at = True, self._client.clock.monotonic()
        owner, most = self._client.owner, need + (DRAWN_AHEAD - 1) * amount
        words = (account.name, owner, need, most, shared.limit, LIVE_SECONDS)

        def drawn(answer: Any) -> None:
            with self._lock:
                shared.is_drawing = False
                granted = self._update(shared, answer)
                if granted > 0 and owner == self._client.owner:
                    shared.available += granted
            # A reservation that did not fit is tried again by the ledger's poll. Not called directly, because
            # the ledger may hold its lock here.
            if granted > 0 or shared.spent + need > shared.limit:
                self._client.call_soon(self.wake)

        self._client.send_script(DRAW, self._keys(account), words, drawn)

    def _update(self, shared: SharedAccount, answer: Any) -> int:
        if not isinstance(answer, str):
            return 0
        granted, spent, aside = map(int, answer.split(" "))
        if not self._unconfirmed:
            shared.spent, shared.reserved = spent, aside
        else:  # costs that the server has not confirmed count as spent too
            shared.spent, shared.reserved = max(shared.spent, spent), aside
        return granted

    def _report(self, what: Script, account: Account, owner: str, serial: object, amount: int) -> None:
        report = Report(what, account, (account.name, owner, serial, amount))
        self._unconfirmed.append(report)
        self._send(report)

    def _send(self, report: Report) -> None:
        def confirmed(answer: Any) -> None:
            if isinstance(answer, UnavailableError):
                return
            with self._lock:
                if self._unconfirmed and self._unconfirmed[0] is report:
                    self._unconfirmed.popleft()
                if isinstance(answer, str) and " " in answer:
                    self._update(self._accounts[report.account], answer)

        self._client.send_script(report.script, self._keys(report.account), report.words, confirmed)

    def _refresh(self, account: Account) -> None:
        self._client.send_script(
            LOOK,
            self._keys(account),
            (account.name,),
            lambda answer: self._update(self._accounts[account], answer),
        )

    @locked
    def _on_heartbeat(self) -> None:
        """Refresh the balances and return unused drawn money, once a second."""
        now = self._client.clock.monotonic()
        newest = len(self._accounts) - DAYS_WATCHED
        for place, (account, shared) in enumerate(list(self._accounts.items())):
            if shared.available and not shared.is_drawing and now - shared.drawn_at > 1.0:
                self._give_back(account, shared)
            elif place >= newest:
                self._refresh(account)

    def _give_back(self, account: Account, shared: SharedAccount) -> None:
        available, shared.available = shared.available, 0
        if available:
            self._client.send_script(
                GIVE_BACK, self._keys(account), (account.name, self._client.owner, available)
            )

    @locked
    def _on_disconnect(self) -> None:
        """Make drawn money part of this process's share when the server becomes unavailable."""
        for shared in self._accounts.values():
            shared.is_drawing = False
            if shared.limit:
                left = max(0, shared.limit - shared.spent - shared.reserved)
                shared.share = left // max(1, len(self._client.peers)) + shared.available
            shared.available = 0
        self._client.call_soon(self.wake)

    @locked
    def _on_reconnect(self, was_lost: bool) -> None:  # noqa: FBT001 - a listener
        """Restore the reservations after a reconnection, then repeat all unconfirmed reports in order."""
        for account, shared in self._accounts.items():
            shared.share = None
            unconfirmed = sum(
                report.words[3]
                for report in self._unconfirmed
                if report.account == account and report.script is not SENT
            )
            unsent = sum(
                hold.amount for (_, held), hold in self._held.items() if held == account and not hold.is_sent
            )
            least = max(0, shared.spent - unconfirmed) if was_lost else 0
            words = (account.name, self._client.owner, least, unsent)
            self._client.send_script(RESTORE, self._keys(account), words)
        for hold in self._held.values():
            hold.is_local = False
        if was_lost:
            self._register_sent()
        for report in list(self._unconfirmed):
            self._send(report)
        self._client.call_soon(self.wake)

    def _register_sent(self) -> None:
        """Register calls in flight with a server that lost its data, so that their settlements count."""
        sent = [
            (account, hold.owner, hold.serial, hold.amount)
            for (_, account), hold in self._held.items()
            if hold.is_sent
        ]
        sent += [
            (report.account, *report.words[1:]) for report in self._unconfirmed if report.script is SETTLE
        ]
        for account, owner, serial, amount in sent:
            self._client.send(("HSETNX", self._keys(account)[1], f"{owner}|{serial}", amount))

    def _on_rename(self) -> None:
        """Update after this process was declared dead: sent calls were booked, drawn money was released."""
        for shared in self._accounts.values():
            shared.available = 0

    def _keys(self, account: Account) -> tuple[str, str, str]:
        # All days share one hash; a run has its own, so that it expires.
        which = (account.name,) if account.scope == "day" else (account.scope, account.name)
        spent = () if account.scope == "day" else which
        return self._client.key("spent", *spent), self._client.key("aside", *which), self._client.key("peers")
