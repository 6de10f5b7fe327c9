"""This process's copies of shared accounts, and the exchange with the server that keeps them true.

Costs and sent calls are reported in order and repeated until the server has confirmed them. After a loss of
data or a connection each process restores what it knows and holds; `ainb/stores/redis/lua/budget` says what
the server does with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ainb.fork import new_rlock, renew_after_fork
from ainb.pipeline.budget import Account
from ainb.stores.redis import money
from ainb.stores.redis.client import RedisClient
from ainb.stores.redis.connection import Answered, UnavailableError
from ainb.stores.redis.money import Hold, Report, SharedAccount, locked
from ainb.stores.redis.script import Script

KEEP_SECONDS = 1.0  # drawn money that is unused for this long is returned
DAYS_WATCHED = 2  # two days are refreshed, because calls may settle after midnight
TOLD_SECONDS = 1.25  # time in which all processes restore their balances after a loss of data: a heartbeat
LOST = "lost"  # a script's answer if the server's data is not the data that this process knows


class AccountExchange:
    """Draws money, reports costs and restores both, for `RedisBook`, which decides on the calls.

    Attributes:
        wake: Makes the ledger try its queue again; called on the connection's loop.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self.renew()
        self._lock = new_rlock()  # calls come from any thread, answers on the connection's loop
        self.wake: Callable[[], None] = lambda: None
        client.on.heartbeat.append(self._on_heartbeat)
        client.on.disconnected.append(self._on_disconnect)
        client.on.reconnected.append(self._on_reconnect)
        client.on.renamed.append(self._on_rename)
        renew_after_fork(self)

    def renew(self) -> None:
        """Drop all balances; also called in a forked child, where money and calls are the parent's."""
        self._accounts: dict[Account, SharedAccount] = {}
        self._held: dict[tuple[int, Account], Hold] = {}
        self._unconfirmed: deque[Report] = deque()
        self._booked: list[Report] = []
        self._lost_at = float("-inf")

    def _account(self, account: Account) -> SharedAccount:
        shared = self._accounts.get(account)
        if shared is None:
            shared = self._accounts[account] = SharedAccount()
            self._refresh(account)
        return shared

    def _run(self, script: Script, account: Account, *words: Any, done: Answered | None = None) -> None:
        """Run a script of an account, with this process's copy of the balance as arguments."""
        shared = self._accounts[account]
        known = (account.name, self._client.data, shared.epoch, shared.confirmed)
        self._client.send_script(script, self._keys(account), (*known, *words), done)

    def _draw(self, account: Account, shared: SharedAccount, amount: int) -> None:
        if shared.is_drawing:
            return
        if shared.limit < shared.pot.limit:
            self._give_back(account, shared)
        owner, turn, now = self._client.owner, shared.turn, self._client.clock.monotonic()
        shared.is_drawing, need = True, amount - shared.pot.available
        most = shared.pot.wanted(amount, shared.limit, now=now, keep_seconds=KEEP_SECONDS)

        def drawn(answer: Any) -> None:
            with self._lock:
                shared.is_drawing = False
                granted = self._update(shared, answer)
                if granted > 0 and owner == self._client.owner:
                    self._take(account, shared, granted, turn=turn)
                elif isinstance(answer, str) and not granted:
                    # Otherwise two processes that each hold a part would wait for each other.
                    self._give_back(account, shared)
            # A reservation that did not fit is tried again by the ledger's poll. Not called directly, because
            # the ledger may hold its lock here.
            if granted > 0 or shared.spent + need > shared.limit:
                self._client.call_soon(self.wake)

        words = (owner, need, most, shared.limit, self._at_server(account))
        self._run(money.DRAW, account, *words, done=drawn)
        if not shared.lent:  # so that there is a share before the first call
            self._lend(account, shared)

    def _take(self, account: Account, shared: SharedAccount, granted: int, *, turn: int) -> None:
        if turn == shared.turn:
            shared.draw(granted)
            self._lend(account, shared)
        else:
            # Asked before the money was restored and perhaps granted after it, as at the first connection:
            # then the server would keep it for nobody.
            self._restore(was_lost=False)

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
        shared.is_known = True
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
                    self._keep(report)
                self._update(shared, answer)

        words = (report.owner, report.serial, report.amount, report.share)
        self._run(report.script, report.account, *words, done=confirmed)

    def _keep(self, report: Report) -> None:
        """Keep a report that was booked before all balances were restored, in case the data is lost again."""
        if report.script is not money.SENT and self._is_just_lost():
            self._booked.append(report)

    def _is_just_lost(self) -> bool:
        return self._client.clock.monotonic() - self._lost_at < TOLD_SECONDS

    def _refresh(self, account: Account) -> None:
        expected = self._at_server(account)

        def looked(answer: Any) -> None:
            with self._lock:
                shared = self._accounts[account]
                self._update(shared, answer)
                if isinstance(answer, str) and answer != LOST and shared.reserved < expected:
                    self._restore(was_lost=True)

        self._run(money.LOOK, account, done=looked)

    def _lend(self, account: Account, shared: SharedAccount, *, wants: bool = True) -> None:
        """Ask for this process's share; with `wants` false, or if others need the money, it gets smaller."""
        if shared.is_lending:
            return
        shared.is_lending, held, turn = True, shared.lent, shared.turn
        limit = shared.limit if wants else 0

        def lent(answer: Any) -> None:
            with self._lock:
                shared.is_lending = False
                if not isinstance(answer, str) or answer == LOST:
                    return
                shared.borrow(self._update(shared, answer), limit, turn=turn)
                if 2 * shared.lent < held:  # confirmed at once, since another process may be waiting for it
                    self._lend(account, shared, wants=wants)

        self._run(money.LEND, account, self._client.owner, held, limit, done=lent)

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
            if shared.limit and (shared.lent or place >= newest):
                self._lend(account, shared, wants=place >= newest)

    def _give_back(self, account: Account, shared: SharedAccount) -> None:
        available, shared.pot.available = shared.pot.available, 0
        if available:
            self._run(money.GIVE_BACK, account, self._client.owner, available)

    @locked
    def _on_disconnect(self) -> None:
        """Use the shares from now on, since the server is unavailable."""
        for account, shared in self._accounts.items():
            holds = (hold for (_, held), hold in self._held.items() if held == account)
            shared.leave(sum(hold.amount for hold in holds if not hold.is_sent))
        self._client.call_soon(self.wake)

    @locked
    def _on_reconnect(self, was_lost: bool) -> None:  # noqa: FBT001 - a listener
        """Repeat all unconfirmed reports in order after a reconnection, then restore the reservations.

        In this order, because until then the server holds this process's share, from which calls were paid.
        """
        for shared in self._accounts.values():
            shared.come_back()
        for (_, account), hold in self._held.items():
            if hold.is_local and hold.is_sent:
                hold.owner = self._client.owner
                self._unconfirmed.append(Report(money.SENT, account, hold.owner, hold.serial, hold.amount))
            hold.is_local = False
        if was_lost:
            self._restate()
        self._restore(was_lost=was_lost, reports=list(self._unconfirmed))
        self._client.call_soon(self.wake)

    def _restate(self) -> None:
        """Restore the spent amounts after a loss of data, and what was booked since another loss just before.

        Others may not have been told of the latter, so that no total contains it.
        """
        for account in self._accounts:
            self._run(money.RESTATE, account)
        again, self._booked = self._booked if self._is_just_lost() else [], []
        for report in again:
            self._accounts[report.account].unheard += report.amount
        self._unconfirmed.extendleft(reversed(again))
        self._lost_at = self._client.clock.monotonic()

    def _restore(self, *, was_lost: bool, reports: Sequence[Report] = ()) -> None:
        """Restore this process's money on the server; after a loss of data also that of sent calls."""
        unsent: dict[Account, int] = {}
        for (_, account), hold in self._held.items():
            if was_lost or not hold.is_sent:
                hold.owner = self._client.owner
            if not hold.is_sent and not hold.is_local:
                unsent[account] = unsent.get(account, 0) + hold.amount
        for account, shared in self._accounts.items() if was_lost else ():
            shared.worst = None
            mine = [hold for (_, held), hold in self._held.items() if held == account]
            self._register_sent(account, mine)
        for report in reports:
            self._send(report)
        for account, shared in self._accounts.items():
            shared.turn += 1
            drawn = shared.pot.available + unsent.get(account, 0)
            self._run(money.RESTORE, account, self._client.owner, drawn, shared.lent)

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
            shared.pot.available, shared.lent, shared.worst = 0, 0, None
        for hold in self._held.values():
            hold.is_carried = True
        self._restore(was_lost=False)

    def _keys(self, account: Account) -> tuple[str, ...]:
        # All days share one hash; a run has its own, so that it expires.
        which = (account.name,) if account.scope == "day" else (account.scope, account.name)
        spent = () if account.scope == "day" else which
        key = self._client.key
        return (
            *(key("spent", *spent), key("aside", *which), key("peers")),
            *(key("owners", *which), key("data"), key("new")),
            *(key("expected"), key("gap")),
        )
