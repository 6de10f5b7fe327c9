"""What is spent and set aside a day, or of a run that many processes work on, in Redis, shared by all machines of a namespace.

A book must not wait, and Redis is a round trip away. So a reservation that this process has no money at hand for says WAIT and
sends for some; the ledger is woken when it comes. What was drawn counts as set aside on the server from that moment, so that no
other process can spend it. Far from the limit a process draws for a few calls at once; near it, for one.

Money is kept in whole nanodollars, of which a script's numbers hold 9 million dollars' worth exactly. What is drawn carries its
owner: when that is not heard of any more, calls it had sent count as spent, and the rest comes back.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from ainb.pipeline.budget.accounts import Account, Balance, Claim, Verdict, decide
from ainb.stores.redis.budget_scripts import DRAW, GIVE_BACK, LOOK, RESET, RESTORE, SENT, SETTLE, SPEND
from ainb.stores.redis.client import Hub
from ainb.stores.redis.connection import LinkError
from ainb.stores.redis.money import NANO_DIGITS, Day, Entry, Hold, locked, nano, usd
from ainb.stores.redis.presence import LIVE_SECONDS
from ainb.stores.redis.script import Script

DRAWN_AHEAD = 8
DAYS_WATCHED = 2  # around midnight


class RedisBook:
    """Balances of days and runs, shared between machines; a `Book` for `Ledger`.

    While the server is out of reach this process spends its share of what was left: that divided by the peers last seen. What
    it spends is told when the server is back.

    Args:
        hub: The connection.

    Attributes:
        wake: Has the ledger try its line again; called on the home loop.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._days: dict[Account, Day] = {}
        self._held: dict[tuple[int, Account], Hold] = {}
        self._unconfirmed: deque[Entry] = deque()
        self._jobs: dict[str, int] = {}
        self._serials = itertools.count(1)
        self._lock = threading.RLock()  # calls come from any thread, answers on the home loop
        self.wake: Callable[[], None] = lambda: None
        hub.on.beat.append(self._tidy)
        hub.on.gone.append(self._part)
        hub.on.back.append(self._return)
        hub.on.renamed.append(self._rename)

    @locked
    def reserve(self, token: int, claim: Claim, amount: Decimal) -> Verdict:
        """Set `amount` aside under `token` when it fits; WAIT also while money is on its way."""
        day, needed = self._day(claim.account), nano(amount)
        day.limit = int(claim.limit.scaleb(NANO_DIGITS).to_integral_value(ROUND_FLOOR))
        if self._hub.is_down:
            return self._reserve_locally(token, claim.account, day, needed)
        if day.pot >= needed:
            day.pot -= needed
            self._held[token, claim.account] = self._hold(needed)
            return Verdict.GRANTED
        if decide(Balance(usd(day.spent)), claim.limit, amount) is Verdict.NEVER:
            self._refresh(claim.account)
            return Verdict.NEVER
        self._draw(claim.account, day, needed - day.pot, needed)
        return Verdict.WAIT

    @locked
    def mark_sent(self, token: int, account: Account) -> None:
        """The money may be spent from here on: it does not come back when this process dies."""
        hold = self._held.get((token, account))
        if hold is not None and not hold.is_local:
            hold.is_sent = True
            self._enter(SENT, account, hold.owner, hold.serial, hold.amount)

    @locked
    def settle(self, token: int, account: Account, cost: Decimal) -> Decimal:
        """Replace what is set aside under `token` by what it cost; returns what is spent in all, as far as known."""
        hold = self._held.pop((token, account), None)
        if hold is None:
            return self.spend(account, cost)
        day, paid = self._day(account), nano(cost)
        if hold.is_local:
            day.share = None if day.share is None else day.share + hold.amount
        elif not hold.is_sent and hold.owner == self._hub.owner:
            day.pot += hold.amount
        if hold.is_sent:
            day.spent += paid
            self._enter(SETTLE, account, hold.owner, hold.serial, paid)
            return usd(day.spent)
        return self.spend(account, cost)

    @locked
    def spend(self, account: Account, cost: Decimal) -> Decimal:
        """Book a cost that nothing was set aside for; returns what is spent in all, as far as known."""
        day, paid = self._day(account), nano(cost)
        if paid:  # below 0 where a job cost less than was booked for it
            day.spent += paid
            day.share = None if day.share is None else day.share - paid
            self._enter(SPEND, account, self._hub.owner, 0, paid)
        return usd(day.spent)

    @locked
    def hold_job(self, job: str, account: Account, amount: Decimal, *, limit: Decimal | None) -> Verdict:
        """Set `amount` aside for a batch job; when this process dies it counts as spent, until another settles the job."""
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
        """Replace what was set aside for a job by what it cost; of a process that has died the difference to what was booked."""
        token = self._jobs.pop(job, None)
        return self.spend(account, cost - amount) if token is None else self.settle(token, account, cost)

    @locked
    def balance(self, account: Account) -> Balance:
        """How the account stands over all machines, as last heard: a second ago at most once it has been asked for."""
        day = self._day(account)
        mine = sum(hold.amount for (_, held), hold in self._held.items() if held == account)
        return Balance(usd(day.spent), usd(max(0, max(day.aside, mine + day.pot) - day.pot)))

    @locked
    def reset(self, account: Account) -> None:
        """Forget what is spent; what is set aside stays so."""
        self._day(account).spent = 0
        self._hub.report(RESET, self._keys(account), (account.name,))

    @locked
    def close(self) -> None:
        """Give back what is at hand."""
        for account, day in self._days.items():
            self._put_back(account, day)

    def _day(self, account: Account) -> Day:
        day = self._days.get(account)
        if day is None:
            day = self._days[account] = Day()
            self._refresh(account)
        return day

    def _hold(self, amount: int, *, is_local: bool = False) -> Hold:
        return Hold(str(next(self._serials)), self._hub.owner, amount, is_local=is_local)

    def _reserve_locally(self, token: int, account: Account, day: Day, needed: int) -> Verdict:
        if day.share is None:
            day.share = (day.limit - day.spent - day.aside) // max(1, len(self._hub.peers))
        if needed > day.share:
            held = sum(hold.amount for hold in self._held.values() if hold.is_local)
            return Verdict.WAIT if needed <= day.share + held else Verdict.NEVER
        day.share -= needed
        self._held[token, account] = self._hold(needed, is_local=True)
        return Verdict.GRANTED

    def _draw(self, account: Account, day: Day, need: int, amount: int) -> None:
        if day.is_drawing:
            return
        day.is_drawing, day.drawn_at = True, self._hub.clock.monotonic()
        words = (
            account.name,
            self._hub.owner,
            need,
            need + (DRAWN_AHEAD - 1) * amount,
            day.limit,
            LIVE_SECONDS,
        )
        owner = self._hub.owner

        def drawn(answer: Any) -> None:
            with self._lock:
                day.is_drawing = False
                granted = self._see(day, answer)
                if granted > 0 and owner == self._hub.owner:
                    day.pot += granted
            # The ledger's own poll comes back for what did not fit; from here it may be waiting for us, so not at once.
            if granted > 0 or day.spent + need > day.limit:
                self._hub.soon(self.wake)

        self._hub.report(DRAW, self._keys(account), words, drawn)

    def _see(self, day: Day, answer: Any) -> int:
        if not isinstance(answer, str):
            return 0
        granted, spent, aside = map(int, answer.split(" "))
        if not self._unconfirmed:
            day.spent, day.aside = spent, aside
        else:  # what the server has not heard of yet is spent all the same
            day.spent, day.aside = max(day.spent, spent), aside
        return granted

    def _enter(self, what: Script, account: Account, owner: str, serial: object, amount: int) -> None:
        entry = Entry(what, account, (account.name, owner, serial, amount))
        self._unconfirmed.append(entry)
        self._tell(entry)

    def _tell(self, entry: Entry) -> None:
        def confirmed(answer: Any) -> None:
            if isinstance(answer, LinkError):
                return
            with self._lock:
                if self._unconfirmed and self._unconfirmed[0] is entry:
                    self._unconfirmed.popleft()
                if isinstance(answer, str) and " " in answer:
                    self._see(self._days[entry.account], answer)

        self._hub.report(entry.script, self._keys(entry.account), entry.words, confirmed)

    def _refresh(self, account: Account) -> None:
        self._hub.report(
            LOOK, self._keys(account), (account.name,), lambda answer: self._see(self._days[account], answer)
        )

    @locked
    def _tidy(self) -> None:
        """Once a second: look how the days stand, and give back what nobody came for."""
        now = self._hub.clock.monotonic()
        newest = len(self._days) - DAYS_WATCHED
        for place, (account, day) in enumerate(list(self._days.items())):
            if day.pot and not day.is_drawing and now - day.drawn_at > 1.0:
                self._put_back(account, day)
            elif place >= newest:
                self._refresh(account)

    def _put_back(self, account: Account, day: Day) -> None:
        pot, day.pot = day.pot, 0
        if pot:
            self._hub.report(GIVE_BACK, self._keys(account), (account.name, self._hub.owner, pot))

    @locked
    def _part(self) -> None:
        """The server is out of reach: what is at hand goes into this process's share."""
        for day in self._days.values():
            day.is_drawing = False
            if day.limit:
                left = max(0, day.limit - day.spent - day.aside)
                day.share = left // max(1, len(self._hub.peers)) + day.pot
            day.pot = 0
        self._hub.soon(self.wake)

    @locked
    def _return(self, was_lost: bool) -> None:  # noqa: FBT001 - a listener
        """The server is back: say what is held, and everything that it has not confirmed, in order."""
        for account, day in self._days.items():
            day.share = None
            unheard = sum(
                entry.words[3]
                for entry in self._unconfirmed
                if entry.account == account and entry.script is not SENT
            )
            unsent = sum(
                hold.amount for (_, held), hold in self._held.items() if held == account and not hold.is_sent
            )
            words = (account.name, self._hub.owner, max(0, day.spent - unheard) if was_lost else 0, unsent)
            self._hub.report(RESTORE, self._keys(account), words)
        for hold in self._held.values():
            hold.is_local = False
        if was_lost:
            self._register_sent()
        for entry in list(self._unconfirmed):
            self._tell(entry)
        self._hub.soon(self.wake)

    def _register_sent(self) -> None:
        """Tell a server that remembers nothing of the calls under way, so that their settling counts."""
        sent = [
            (account, hold.owner, hold.serial, hold.amount)
            for (_, account), hold in self._held.items()
            if hold.is_sent
        ]
        sent += [(entry.account, *entry.words[1:]) for entry in self._unconfirmed if entry.script is SETTLE]
        for account, owner, serial, amount in sent:
            self._hub.tell(("HSETNX", self._keys(account)[1], f"{owner}|{serial}", amount))

    def _rename(self) -> None:
        """This process counted as dead: what it had sent is booked at its estimate, what it had at hand is gone."""
        for day in self._days.values():
            day.pot = 0

    def _keys(self, account: Account) -> tuple[str, str, str]:
        # All days stand in one hash; a run has its own, so that it expires.
        which = (account.name,) if account.scope == "day" else (account.scope, account.name)
        spent = () if account.scope == "day" else which
        return self._hub.key("spent", *spent), self._hub.key("aside", *which), self._hub.key("peers")
