"""The day book: decides in memory, with money drawn in advance from the file.

A call is paid from the drawn money of this process (`Pot`) and writes only the process's trace, which needs
no lock. One transaction draws money for several calls and books the costs since the last one. If another
process is writing, a background thread waits for the file, and the call waits for that thread. Unused money
is returned within half a second. When a process dies, its costs are booked from its trace. Each of its calls
that was sent and not settled counts as its estimate times twice the highest ratio of cost to estimate among
its other calls, and never as more than the estimate. The rest of its money is released.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import TypeVar

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.events import Sink, silent
from ainb.fork import new_lock, new_rlock, pause_at_fork, renew_after_fork
from ainb.pipeline.budget import Account, Balance, Claim, MemoryBook, Shares, Verdict
from ainb.stores.day_book.account import DayAccount, Hold
from ainb.stores.day_book.courier import Courier
from ainb.stores.day_book.file import BookFile, Plan, Result, Statement
from ainb.stores.day_book.jobs import job_row, settling_job
from ainb.stores.day_book.notices import fault_notice, other_values_notice
from ainb.stores.day_book.sql import BOOKED, DRAWN, KEEP, PICO_DIGITS, RESET, pico, usd_of
from ainb.stores.day_book.trace import Trace
from ainb.stores.files import make_folders
from ainb.stores.sqlite import Owner, is_locked

T = TypeVar("T")

# Longest wait of the background thread for a locked file; the event loop does not wait at all.
BUSY_SECONDS = 1.0
MAX_LOCKED_SECONDS = 5.0
# Drawn money that is unused for this long is returned, and costs are booked.
KEEP_SECONDS = 0.25


class DayBook:
    """Balances of days, shared between processes and persistent; a `Book` for `Ledger`.

    Opened on first use. When the file cannot be used (read-only, damaged, locked for 5 s), this kernel
    continues in memory from the balance that it last read, and sends one notice: a budget then holds within
    this kernel only.

    Args:
        path: The SQLite file; a missing folder is created for this user only.
        sink: Receives the notice of a fault.

    Attributes:
        wake: Makes the ledger try its queue again; called in the book's background thread.
    """

    def __init__(self, path: Path, *, clock: Clock = SYSTEM_CLOCK, sink: Sink = silent) -> None:
        self._path = path
        self._clock = clock
        self._sink = sink
        self.wake: Callable[[], None] = lambda: None
        self._file = BookFile(path, 0, lambda: sink(other_values_notice(path)))
        self._patient_file = BookFile(path, BUSY_SECONDS)
        self._owner: Owner | None = None
        self._fallback: MemoryBook | None = None
        self._locked_since: float | None = None
        self._lock = new_rlock()  # used by callers on any thread and by the book's own thread
        self._carrying = new_lock()  # guards the patient file; taken before the other lock
        self.renew()
        pause_at_fork(self)
        renew_after_fork(self)

    def renew(self) -> None:
        """Reset, also in a forked child: the parent keeps its connection, its name and its reservations."""
        self._courier = Courier(self._bring, self._close_patient_file, KEEP_SECONDS)
        self._accounts: dict[Account, DayAccount] = {}
        self._mine: dict[tuple[int, Account], Hold] = {}
        self._postponed: list[Statement] = []
        self._shares = Shares()
        self._file.close()
        self._patient_file.close()
        if self._owner is not None:
            self._owner.drop()
            self._owner = None

    def pause(self, timeout_seconds: float) -> bool:
        """Close the connections before a fork; see `ainb.stores.sqlite`."""
        if not self._carrying.acquire(timeout=timeout_seconds):
            return False
        if not self._lock.acquire(timeout=timeout_seconds):
            self._carrying.release()
            return False
        self._file.close()
        self._patient_file.close()
        return True

    def resume(self) -> None:
        """Continue after a fork; the next use opens the file again."""
        self._lock.release()
        self._carrying.release()

    def reserve(self, token: int, claim: Claim, amount: Decimal) -> Verdict:
        """Reserve `amount` under `token` if it fits; the verdict is WAIT also while money is being drawn."""
        with self._lock:
            account, needed = self._account(claim.account), pico(amount)
            limit = int(claim.limit.scaleb(PICO_DIGITS).to_integral_value(ROUND_FLOOR))
            verdict = self._take(account, needed, limit)
            if self._fallback is not None:
                return self._fallback.reserve(token, claim, amount)
            if verdict is Verdict.GRANTED:
                self._mine[token, claim.account] = account.hold(needed)
            return verdict

    def mark_sent(self, token: int, account: Account) -> None:
        """Mark a reservation as sent: it counts as spent if this process dies."""
        with self._lock:
            hold = self._mine.get((token, account))
            if hold is not None and self._fallback is None and not hold.is_sent:
                hold.is_sent = True
                self._account(account).sent += hold.amount
                self._leave_trace()

    def settle(self, token: int, account: Account, cost: Decimal) -> Decimal:
        """Replace the reservation of `token` by the actual cost; returns the total spent, as far as known."""
        with self._lock:
            hold = self._mine.pop((token, account), None)
            known, paid = self._account(account), pico(cost)
            if self._fallback is not None:
                return self._fallback.settle(token, account, cost)
            if hold is None:
                known.spend(paid)
            else:
                known.settle(hold, paid)
                self._shares.note(hold.amount, paid)
            if paid or (hold is not None and hold.is_sent):
                self._leave_trace()
            self._courier.start(at_once=False)
            return usd_of(known.spent)

    def spend(self, account: Account, cost: Decimal) -> Decimal:
        """Book a cost without a reservation; returns the total spent, as far as known."""
        with self._lock:
            known = self._account(account)
            if self._fallback is not None:
                return self._fallback.spend(account, cost)
            known.spend(pico(cost))
            self._leave_trace()
            self._courier.start(at_once=False)
            return usd_of(known.spent)

    def hold_job(self, job: str, account: Account, amount: Decimal, *, limit: Decimal | None) -> Verdict:
        """Reserve `amount` for a batch job; no process owns it, so it stays until the job is settled."""
        with self._lock:
            row = job_row(job, account.name, amount, limit)
            known = self._account(account)

            def hold(owner: Owner) -> Verdict:
                self._flush(owner)
                plan = known.plan(SYSTEM_CLOCK.monotonic(), KEEP_SECONDS, draws=False)
                self._file.begin(owner)
                found = self._file.hold_job(owner, plan, row)
                known.apply(plan, found)
                return found.verdict

            verdict = self._guarded(hold, Verdict.WAIT)
            if self._fallback is not None:
                return self._fallback.hold_job(job, account, amount, limit=limit)
            return verdict

    def settle_job(self, job: str, account: Account, amount: Decimal, cost: Decimal) -> Decimal:
        """Replace a job's reservation by its cost, in one transaction; a second call does nothing."""
        with self._lock:
            if self._fallback is not None:
                return self._fallback.settle_job(job, account, amount, cost)
            self._postponed += settling_job(job, account.name, cost)
            self._write_postponed()
            return self.balance(account).settled

    def balance(self, account: Account) -> Balance:
        """The balance of an account over all processes."""
        with self._lock:
            known = self._account(account)
            reserved = self._guarded(lambda owner: self._read(owner, known), 0)
            if self._fallback is not None:
                return self._fallback.balance(account)
            return Balance(usd_of(known.spent), usd_of(reserved + known.held))

    def reset(self, account: Account) -> None:
        """Set the spent amount to 0; reservations stay."""
        with self._lock:
            known = self._account(account)
            if self._fallback is not None:
                self._fallback.reset(account)
                return
            known.booked, known.known = known.cost, 0
            self._postponed.append((RESET, (account.name,)))
            if self._owner is not None:
                self._postponed.append((BOOKED, (self._owner.name, account.name, known.cost)))
            self._write_postponed()

    def close(self) -> None:
        """Book all costs, return unused money and close the file; the next use opens it again."""
        with self._lock:
            if self._owner is not None:
                self._end_owner(self._owner)
                self._owner = None
            self._file.close()
            self._accounts.clear()
            self._mine.clear()

    def _end_owner(self, owner: Owner) -> None:
        """Give up this process's name; if the file cannot be written, others settle from the trace."""
        sent = [
            (KEEP, (account.name, owner.name, DRAWN + 1, account.sent, 1))
            for account in self._accounts.values()
            if account.sent
        ]
        plans = [
            Plan(account.name, account.cost, account.booked, held=0, pot=0)
            for account in self._accounts.values()
        ]
        # Not the background thread's connection, which may be waiting for a lock.
        file = BookFile(self._path, BUSY_SECONDS)
        try:
            if self._fallback is None and (plans or self._postponed):
                file.begin(owner)
                file.exchange(owner, plans, [*self._postponed, *sent])
                file.leave(owner)
                self._postponed.clear()
        except (sqlite3.Error, OSError):
            owner.drop()
        else:
            owner.close()
        finally:
            file.close()

    def _account(self, account: Account) -> DayAccount:
        known = self._accounts.get(account)
        if known is None:
            known = self._accounts[account] = DayAccount(account.name)
            self._guarded(lambda owner: self._read(owner, known), 0)
        return known

    def _take(self, account: DayAccount, needed: int, limit: int) -> Verdict:
        if account.pot.take(needed, limit):
            return Verdict.GRANTED
        if account.asked is not None:  # the background thread is about to draw
            return Verdict.WAIT
        account.asked = (needed, limit)
        verdict = self._guarded(lambda owner: self._draw(owner, account), Verdict.WAIT)
        if account.asked is not None:
            self._courier.start(at_once=True)
        return verdict if verdict is not Verdict.GRANTED or account.pot.take(needed, limit) else Verdict.WAIT

    def _draw(self, owner: Owner, account: DayAccount) -> Verdict:
        self._file.begin(owner)
        return self._exchange(self._file, owner, [account])[0].verdict

    def _exchange(self, file: BookFile, owner: Owner, accounts: Sequence[DayAccount]) -> list[Result]:
        """Run the plans of `accounts` in the transaction that has begun; the caller holds the lock."""
        now = SYSTEM_CLOCK.monotonic()
        plans = [account.plan(now, KEEP_SECONDS) for account in accounts]
        results = file.exchange(owner, plans, self._postponed)
        self._postponed.clear()
        self._locked_since = None
        for account, plan, result in zip(accounts, plans, results, strict=True):
            account.apply(plan, result)
        return results

    def _write_postponed(self) -> None:
        self._guarded(self._flush, None)
        if self._postponed:
            self._courier.start(at_once=True)

    def _flush(self, owner: Owner) -> None:
        if self._postponed:
            self._file.begin(owner)
            self._exchange(self._file, owner, [])

    def _bring(self) -> bool:
        """Draw, book and return money in the background thread; whether another round is needed."""
        with self._lock:
            is_due = bool(self._due() or self._postponed)
        if is_due and self._fallback is None:
            self._guarded(self._bring_with, None)
            self.wake()
        with self._lock:
            open_ = [account for account in self._accounts.values() if not account.is_settled()]
            return self._fallback is None and bool(open_ or self._postponed)

    def _bring_with(self, owner: Owner) -> None:
        with self._carrying:
            self._patient_file.begin(owner)  # waits for the file without the lock
            with self._lock:
                self._exchange(self._patient_file, owner, self._due())

    def _close_patient_file(self) -> None:
        if self._carrying.acquire(blocking=False):  # else `pause` closes it
            try:
                self._patient_file.close()
            finally:
                self._carrying.release()

    def _due(self) -> list[DayAccount]:
        now = SYSTEM_CLOCK.monotonic()
        return [account for account in self._accounts.values() if account.is_due(now, KEEP_SECONDS)]

    def _read(self, owner: Owner, account: DayAccount) -> int:
        account.known, reserved = self._file.others(owner, account.name)
        return reserved

    def _leave_trace(self) -> None:
        accounts = self._accounts.values()
        trace = Trace(
            self._shares.worst,
            {account.name: account.cost for account in accounts if account.cost},
            {account.name: account.sent for account in accounts if account.sent},
        )
        self._guarded(lambda owner: owner.note(trace.to_text()), None)

    def _guarded(self, work: Callable[[Owner], T], otherwise: T) -> T:
        """The result of `work`; `otherwise` when the file is locked or cannot be used."""
        if self._fallback is not None:
            return otherwise
        try:
            return work(self._own())
        except (sqlite3.Error, OSError) as error:
            with self._lock:
                self._note_fault(error)
            return otherwise

    def _own(self) -> Owner:
        with self._lock:
            if self._owner is None:
                make_folders(self._path.parent)
                self._owner = Owner(self._path.with_suffix(".owners"))
                self._owner.note(Trace().to_text())
            return self._owner

    def _note_fault(self, error: Exception) -> None:
        """Tolerate a locked file for a while; after that, and with any other fault, continue in memory."""
        if self._fallback is not None:
            return
        if is_locked(error):
            now = self._clock.monotonic()
            self._locked_since = now if self._locked_since is None else self._locked_since
            if now - self._locked_since < MAX_LOCKED_SECONDS:
                return
        self._fallback = _in_memory(self._accounts, self._mine)
        self._sink(fault_notice(self._path, error))


def _in_memory(accounts: dict[Account, DayAccount], holds: dict[tuple[int, Account], Hold]) -> MemoryBook:
    """A book of this process alone, with the balances and reservations known here."""
    book = MemoryBook()
    for account, known in accounts.items():
        book.spend(account, usd_of(known.spent))
    for (token, account), hold in holds.items():
        book.hold(token, account, usd_of(hold.amount))
    return book
