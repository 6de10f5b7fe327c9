"""Day book: spent and reserved money per day in SQLite, shared by all kernels of a home folder.

Reservations are stored with their owner, a process. When the process has died, reservations of calls not
yet sent are released. Calls already sent count as spent: at their estimate, but at most at twice the highest
share of its estimate that a call of the process actually cost.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.events import Notice, Sink, silent
from ainb.pipeline.budget import ZERO, Account, Balance, Claim, MemoryBook, Verdict, decide
from ainb.stores.day_book_sql import (
    BALANCE,
    DELETE_HELD,
    DELETE_RATIO,
    DROP,
    HAS_OTHER_VALUES,
    INHERIT,
    MILLION,
    NOTE_RATIO,
    OWNERS,
    PICO_DIGITS,
    RESERVE,
    SCHEMA,
    SENT,
    SPEND,
    SPEND_JOB,
    pico,
    usd_of,
)
from ainb.stores.files import make_folders, make_private
from ainb.stores.sqlite import Owner, close_with

T = TypeVar("T")
Statement = tuple[str, tuple[object, ...] | dict[str, object]]

# Longest time for which a locked file blocks the event loop. A transaction takes about 20 us, so a lock is
# soon free.
BUSY_SECONDS = 0.05
MAX_LOCKED_SECONDS = 5.0
_NO_LIMIT = 2**62
# Prefix of the owner of a job's reservation, which belongs to no process and so outlives all of them.
JOB = "job:"
RATIO_CALLS = 20


class DayBook:
    """Balances of days, shared between processes and persistent; a `Book` for `Ledger`.

    Opened on first use. When the file cannot be used (read-only, damaged, locked for 5 s), this kernel
    continues in memory from the balance that it last read, and sends one notice: a budget then holds within
    this kernel only.

    Args:
        path: The SQLite file; a missing folder is created for this user only.
        sink: Receives the notice of a fault.
    """

    def __init__(self, path: Path, *, clock: Clock = SYSTEM_CLOCK, sink: Sink = silent) -> None:
        self._path = path
        self._clock = clock
        self._sink = sink
        self._process = os.getpid()
        self._db: sqlite3.Connection | None = None
        self._close_db: Callable[[], object] | None = None
        self._owner: Owner | None = None
        self._fallback: MemoryBook | None = None
        self._mine: dict[tuple[int, Account], tuple[str, Decimal]] = {}
        self._known: dict[Account, Decimal] = {}
        self._postponed: list[Statement] = []
        self._locked_since: float | None = None
        self._settled = self._worst = 0
        self._noted: tuple[str, int] | None = None

    def reserve(self, token: int, claim: Claim, amount: Decimal) -> Verdict:
        """Reserve `amount` under `token` if it fits; WAIT also while another process holds the file."""
        verdict = self._run(lambda db, owner: self._reserve(db, owner, token, claim, amount), Verdict.WAIT)
        return verdict if self._fallback is None else self._fallback.reserve(token, claim, amount)

    def mark_sent(self, token: int, account: Account) -> None:
        """Mark a reservation as sent: it counts as spent if this process dies."""
        held = self._mine.get((token, account))
        if held is not None and self._fallback is None:
            self._write([(SENT, (account.name, held[0], token))])

    def settle(self, token: int, account: Account, cost: Decimal) -> Decimal:
        """Replace the reservation of `token` by the actual cost; returns the total spent, as far as known."""
        held = self._mine.pop((token, account), None)
        if self._fallback is not None:
            return self._fallback.settle(token, account, cost)
        if held is None:
            return self._spend(account, cost, [])
        owner, amount = held
        return self._spend(
            account, cost, [(DROP, (account.name, owner, token)), *self._note_ratio(owner, amount, cost)]
        )

    def spend(self, account: Account, cost: Decimal) -> Decimal:
        """Book a cost without a reservation; returns the total spent, as far as known."""
        return (
            self._spend(account, cost, []) if self._fallback is None else self._fallback.spend(account, cost)
        )

    def hold_job(self, job: str, account: Account, amount: Decimal, *, limit: Decimal | None) -> Verdict:
        """Reserve `amount` for a batch job; no process owns it, so it stays until the job is settled."""
        row = _job_row(job, account, amount, limit)
        verdict = self._run(lambda db, owner: self._hold_job(db, owner, row, account, limit), Verdict.WAIT)
        return (
            verdict if self._fallback is None else self._fallback.hold_job(job, account, amount, limit=limit)
        )

    def settle_job(self, job: str, account: Account, amount: Decimal, cost: Decimal) -> Decimal:
        """Replace a job's reservation by its cost, in one transaction; a second call does nothing."""
        if self._fallback is not None:
            return self._fallback.settle_job(job, account, amount, cost)
        name = _job_owner(job)
        self._write(
            [(SPEND_JOB, (account.name, pico(cost), account.name, name)), (DROP, (account.name, name, 0))]
        )
        return self.balance(account).settled

    def balance(self, account: Account) -> Balance:
        """The balance of an account over all processes."""
        found = self._run(lambda db, _: self._read(db, account), Balance(self._known.get(account, ZERO)))
        return found if self._fallback is None else self._fallback.balance(account)

    def reset(self, account: Account) -> None:
        """Set what is spent to 0; reservations stay."""
        self._known.pop(account, None)
        if self._fallback is not None:
            self._fallback.reset(account)
        else:
            self._write([("DELETE FROM spent WHERE account = ?", (account.name,))])

    def close(self) -> None:
        """Write postponed statements and close the file; the next use opens it again."""
        if self._process != os.getpid():
            self._reset_after_fork()
        if self._noted is not None:
            self._postponed.append((DELETE_RATIO, {"owner": self._noted[0]}))
            self._noted = None
        if self._postponed:
            self._write([])
        if self._close_db is not None:
            self._close_db()
            self._db = self._close_db = None
        if self._owner is not None:
            self._owner.close()
            self._owner = None
        self._mine.clear()

    def _note_ratio(self, owner: str, amount: Decimal, cost: Decimal) -> list[Statement]:
        """Statements that store the highest share of its estimate that a call of this process actually cost.

        Another process uses it if this one dies. It is stored only when it grows, and only after RATIO_CALLS
        calls, since fewer calls are too small a sample.
        """
        if cost <= 0 or amount <= 0:
            return []
        self._settled += 1
        self._worst = max(self._worst, min(MILLION, math.ceil(cost / amount * MILLION)))
        if self._settled < RATIO_CALLS or self._noted == (owner, self._worst):
            return []
        self._noted = (owner, self._worst)
        return [(NOTE_RATIO, self._noted)]

    def _reserve(
        self, db: sqlite3.Connection, owner: Owner, token: int, claim: Claim, amount: Decimal
    ) -> Verdict:
        name = claim.account.name
        row = {
            "account": name,
            "owner": owner.name,
            "token": token,
            "amount": pico(amount),
            "limit": int(claim.limit.scaleb(PICO_DIGITS)),
        }
        if db.execute(RESERVE, row).rowcount != 1:
            verdict = decide(self._read(db, claim.account), claim.limit, amount)
            if verdict is Verdict.NEVER:
                return verdict
            # Another process may have just released money, or a dead process may still hold some.
            self._take_over_dead(db, owner)
            if db.execute(RESERVE, row).rowcount != 1:
                return Verdict.WAIT
        self._mine[token, claim.account] = (owner.name, amount)
        return Verdict.GRANTED

    def _hold_job(
        self,
        db: sqlite3.Connection,
        owner: Owner,
        row: dict[str, object],
        account: Account,
        limit: Decimal | None,
    ) -> Verdict:
        held = db.execute("SELECT 1 FROM held WHERE account = :account AND owner = :owner", row).fetchone()
        if held or db.execute(RESERVE, row).rowcount == 1:
            return Verdict.GRANTED
        self._take_over_dead(db, owner)
        if db.execute(RESERVE, row).rowcount == 1:
            return Verdict.GRANTED
        return decide(self._read(db, account), limit or ZERO, usd_of(int(str(row["amount"]))))

    def _spend(self, account: Account, cost: Decimal, before: Sequence[Statement]) -> Decimal:
        self._known[account] = self._known.get(account, ZERO) + cost
        total = self._write([*before, (SPEND, (account.name, pico(cost)))])
        if total is not None:
            self._known[account] = usd_of(total)
        return self._known[account]

    def _write(self, statements: Sequence[Statement]) -> int | None:
        """Run statements in one transaction; while the file is locked they are postponed.

        Returns:
            Result of the last statement; None when it has none or was postponed.
        """
        self._postponed += statements
        return self._guarded(lambda db, _: self._flush(db), None)

    def _flush(self, db: sqlite3.Connection) -> int | None:
        rows: list[tuple[int]] = []
        if len(self._postponed) == 1:
            rows = db.execute(*self._postponed[0]).fetchall()
        elif self._postponed:
            with _transaction(db):
                for statement in self._postponed:
                    rows = db.execute(*statement).fetchall()
        self._postponed.clear()
        return rows[0][0] if rows else None

    def _read(self, db: sqlite3.Connection, account: Account) -> Balance:
        settled, reserved = db.execute(BALANCE, {"account": account.name}).fetchone()
        balance = Balance(usd_of(settled), usd_of(reserved))
        self._known[account] = balance.settled
        return balance

    def _take_over_dead(self, db: sqlite3.Connection, owner: Owner) -> None:
        """Settle the reservations of owners whose process has ended."""
        holders = [name for (name,) in db.execute(OWNERS) if isinstance(name, str)]
        names = {*owner.dead(), *owner.missing(name for name in holders if not name.startswith(JOB))}
        if names:
            with _transaction(db):
                for name in names:
                    for statement in (INHERIT, DELETE_HELD, DELETE_RATIO):
                        db.execute(statement, {"owner": name})
        for name in names:
            owner.remove(name)

    def _run(self, work: Callable[[sqlite3.Connection, Owner], T], otherwise: T) -> T:
        """Run `work` after postponed statements; `otherwise` when the file is locked or cannot be used."""

        def all_of_it(db: sqlite3.Connection, owner: Owner) -> T:
            self._flush(db)
            return work(db, owner)

        return self._guarded(all_of_it, otherwise)

    def _guarded(self, work: Callable[[sqlite3.Connection, Owner], T], otherwise: T) -> T:
        if self._process != os.getpid():
            self._reset_after_fork()
        if self._fallback is not None:
            return otherwise
        try:
            found = work(*self._open())
        except (sqlite3.Error, OSError) as error:
            self._note_fault(error)
            return otherwise
        self._locked_since = None
        return found

    def _open(self) -> tuple[sqlite3.Connection, Owner]:
        if self._db is None or self._owner is None:
            make_folders(self._path.parent)
            self._owner = self._owner or Owner(self._path.with_suffix(".owners"))
            self._db = _connect(self._path)
            self._close_db = close_with(self._db, self)
            self._note_other_values(self._db)
            self._take_over_dead(self._db, self._owner)
        return self._db, self._owner

    def _note_other_values(self, db: sqlite3.Connection) -> None:
        if db.execute(HAS_OTHER_VALUES).fetchone()[0]:
            self._sink(
                Notice(
                    f"the budget's file {self._path.name} holds amounts that ainb does not write; they "
                    "count as 0. Remove the file to get rid of them",
                    "budget_file",
                )
            )

    def _note_fault(self, error: Exception) -> None:
        """Tolerate a locked file for a while; after that, and with any other fault, continue in memory."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            now = self._clock.monotonic()
            self._locked_since = now if self._locked_since is None else self._locked_since
            if now - self._locked_since < MAX_LOCKED_SECONDS:
                return
        fallback = MemoryBook()
        for account, settled in self._known.items():
            fallback.spend(account, settled)
        for (token, account), (_, amount) in self._mine.items():
            fallback.hold(token, account, amount)
        self._fallback = fallback
        self._sink(
            Notice(
                f"the budget's file {self._path.name} cannot be used ({error}); this kernel counts by "
                "itself and does not see the spending of others. Free the file or remove it, then "
                "restart the kernel",
                "budget_file",
            )
        )

    def _reset_after_fork(self) -> None:
        """Reset in a forked child: the parent keeps its connection, its name and its reservations."""
        if self._close_db is not None:
            self._close_db()
        if self._owner is not None:
            self._owner.drop()
        self._process = os.getpid()
        self._db = self._close_db = self._owner = None
        self._mine.clear()
        self._postponed.clear()


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")  # a plain BEGIN fails at once when another process has written meanwhile
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _connect(path: Path) -> sqlite3.Connection:
    make_private(path)
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        for statement in SCHEMA:
            db.execute(statement)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _job_owner(job: str) -> str:
    # No process has a name of this form, so the job is never taken for a dead process.
    return f"{JOB}{job}"


def _job_row(job: str, account: Account, amount: Decimal, limit: Decimal | None) -> dict[str, object]:
    most = _NO_LIMIT if limit is None else int(limit.scaleb(PICO_DIGITS))
    return {
        "account": account.name,
        "owner": _job_owner(job),
        "token": 0,
        "amount": pico(amount),
        "limit": most,
    }
