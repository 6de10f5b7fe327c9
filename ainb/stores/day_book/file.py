"""File of the day book: its transactions.

Each is begun with `BookFile.begin` and ended by the method that runs in it. A `sqlite3.Error` means that
nothing was changed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ainb.pipeline.budget import Verdict, grant
from ainb.stores.day_book.sql import (
    BOOKED,
    BOOKED_OF,
    DELETE_BOOKED,
    DELETE_HELD,
    DRAWN,
    DROP,
    GRANTS,
    HAS_OTHER_VALUES,
    INHERIT,
    KEEP,
    OTHERS,
    OWNERS,
    RESERVE,
    SCHEMA,
    SETTLED,
    SPEND,
)
from ainb.stores.day_book.trace import read_trace
from ainb.stores.files import make_private
from ainb.stores.sqlite import Owner, close_with

Statement = tuple[str, tuple[object, ...] | dict[str, object]]
# Prefix of the owner of a job's reservation, which belongs to no process and so outlives all of them.
JOB = "job:"


@dataclass(frozen=True, slots=True)
class Draw:
    """Money asked for, in picodollars.

    Attributes:
        amount: What the call may cost.
        need: The part of it that is not at hand, above 0.
        want: What to draw at best.
        limit: Limit of the account.
    """

    amount: int
    need: int
    want: int
    limit: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a transaction is to bring about for one account, in picodollars.

    Attributes:
        account: Its name.
        cost: What this process has spent in it since it began.
        booked: The part of that which is in the file.
        held: Reserved by calls of this process.
        pot: Drawn and not used; goes back when no more can be drawn.
        draw: Money to be drawn; None for none.
        keeps: Whether the pot stays without a draw.
    """

    account: str
    cost: int
    booked: int
    held: int
    pot: int
    draw: Draw | None = None
    keeps: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What a transaction has brought about.

    Attributes:
        verdict: GRANTED where money was drawn, NEVER where it cannot be, else WAIT.
        pot: What is now drawn and not used.
        settled: Spent by all processes.
    """

    verdict: Verdict
    pot: int
    settled: int


class BookFile:
    """One connection to the file, opened on first use; its folder is created where it is missing.

    Args:
        path: The file.
        busy_seconds: How long a statement waits for another process; 0 for the event loop.
        on_other_values: Called when the file holds amounts that ainb does not write; None for a further
            connection, which does not look at what it finds.
    """

    def __init__(
        self, path: Path, busy_seconds: float, on_other_values: Callable[[], object] | None = None
    ) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._on_other_values = on_other_values
        self.db: sqlite3.Connection | None = None
        self._close: Callable[[], object] | None = None
        self._gone: set[str] = set()

    def begin(self, owner: Owner) -> None:
        """Begin a transaction; waits for other processes, at most `busy_seconds`."""
        # A plain BEGIN fails at once when another process has written meanwhile.
        self._open(owner).execute("BEGIN IMMEDIATE")

    def exchange(self, owner: Owner, plans: Sequence[Plan], before: Sequence[Statement]) -> list[Result]:
        """Book what was spent, give back or draw money, and end the transaction.

        Args:
            owner: This process.
            plans: One for each account.
            before: Statements to run first.
        """
        with self._ending(owner) as db:
            for statement in before:
                db.execute(*statement).fetchall()
            return [self._exchange(db, owner, plan) for plan in plans]

    def hold_job(self, owner: Owner, plan: Plan, row: dict[str, Any]) -> Result:
        """Give back what is drawn, insert the reservation of a job where it fits, and end the transaction.

        A job that has a reservation keeps it.
        """
        with self._ending(owner) as db:
            found = self._exchange(db, owner, plan)
            held = db.execute(
                "SELECT 1 FROM held WHERE account = :account AND owner = :owner", row
            ).fetchone()
            if not held and db.execute(RESERVE, row).rowcount != 1:
                self._settle_for_dead(db, owner)
                if db.execute(RESERVE, row).rowcount != 1:
                    settled, _ = self._others(db, owner, plan.account)
                    never = settled + row["amount"] > row["limit"]
                    return Result(Verdict.NEVER if never else Verdict.WAIT, found.pot, settled)
            return Result(Verdict.GRANTED, found.pot, found.settled)

    def others(self, owner: Owner, account: str) -> tuple[int, int]:
        """What is spent by all, and what others hold."""
        return self._others(self._open(owner), owner, account)

    def leave(self, owner: Owner) -> None:
        """Remove what the file keeps about this process, which then holds nothing."""
        self._open(owner).execute(DELETE_BOOKED, {"owner": owner.name})

    def close(self) -> None:
        """Close the connection; the next use opens another one."""
        if self._close is not None:
            self._close()
        self.db = self._close = None

    def _exchange(self, db: sqlite3.Connection, owner: Owner, plan: Plan) -> Result:
        if plan.cost > plan.booked:
            db.execute(SPEND, (plan.account, plan.cost - plan.booked)).fetchall()
            db.execute(BOOKED, (owner.name, plan.account, plan.cost))
        settled, others = self._others(db, owner, plan.account)
        verdict, pot = Verdict.WAIT, plan.pot if plan.keeps else 0
        draw = plan.draw
        if draw is not None:
            drawn = _draw(plan, draw, draw.limit - settled - others - plan.held)
            if drawn is None and settled + draw.amount <= draw.limit and self._settle_for_dead(db, owner):
                settled, others = self._others(db, owner, plan.account)
                drawn = _draw(plan, draw, draw.limit - settled - others - plan.held)
            if drawn is not None:
                verdict, pot = Verdict.GRANTED, drawn
            elif settled + draw.amount > draw.limit:
                verdict = Verdict.NEVER
        keep = plan.held + pot
        if keep:
            db.execute(KEEP, (plan.account, owner.name, DRAWN, keep, 0))
        else:
            db.execute(DROP, (plan.account, owner.name, DRAWN))
        return Result(verdict, pot, settled)

    @staticmethod
    def _others(db: sqlite3.Connection, owner: Owner, account: str) -> tuple[int, int]:
        found = db.execute(OTHERS, {"account": account, "owner": owner.name}).fetchone()
        return found[0], found[1]

    def _settle_for_dead(self, db: sqlite3.Connection, owner: Owner) -> bool:
        """Settle for processes that have ended; whether there were any."""
        holders = [name for (name,) in db.execute(OWNERS) if isinstance(name, str)]
        names = {*owner.dead(), *owner.missing(name for name in holders if not name.startswith(JOB))}
        for name in names:
            for account, used in self._used(db, owner, name):
                db.execute(SPEND, (account, used)).fetchall()
            db.execute(INHERIT, {"owner": name})
            db.execute(DELETE_HELD, {"owner": name})
            db.execute(BOOKED, (name, "", SETTLED))
        self._gone.update(names)
        return bool(names)

    @staticmethod
    def _used(db: sqlite3.Connection, owner: Owner, name: str) -> Iterator[tuple[str, int]]:
        """What a dead process has used of its money, by account: all of it where it left no trace."""
        booked = dict(db.execute(BOOKED_OF, {"owner": name}).fetchall())
        if SETTLED in booked.values():
            return
        grants = dict(db.execute(GRANTS, {"owner": name}).fetchall())
        trace = read_trace(owner.noted(name))
        for account in {*grants, *(() if trace is None else (*trace.spent, *trace.sent))}:
            before = booked.get(account)
            used = (
                grants.get(account, 0)
                if trace is None
                else trace.used(account, before if isinstance(before, int) else 0)
            )
            if used:
                yield account, used

    @contextmanager
    def _ending(self, owner: Owner) -> Iterator[sqlite3.Connection]:
        """Commit what runs inside, or undo it."""
        db = self._open(owner)
        self._gone.clear()
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
        # Only now: whoever is killed in between leaves them marked as settled.
        for name in self._gone:
            owner.remove(name)
            with contextlib.suppress(sqlite3.Error):
                db.execute(DELETE_BOOKED, {"owner": name})

    def _open(self, owner: Owner) -> sqlite3.Connection:
        if self.db is None:
            db = _connect(self._path, self._busy_seconds)
            self.db, self._close = db, close_with(db, self)
            if self._on_other_values is not None:
                if db.execute(HAS_OTHER_VALUES).fetchone()[0]:
                    self._on_other_values()
                self.begin(owner)
                with self._ending(owner):
                    self._settle_for_dead(db, owner)
        return self.db


def _draw(plan: Plan, draw: Draw, free: int) -> int | None:
    """The pot after a draw; None where the call does not fit, not even for all that is in the pot.

    Args:
        plan: Holds the pot, which was drawn under some limit or other.
        draw: What is asked for.
        free: Left when the calls of this process and all of others are counted.
    """
    granted = grant(free - plan.pot, draw.need, draw.want)
    if granted:
        return plan.pot + granted
    return draw.amount if draw.amount <= free else None


def _connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    make_private(path)
    db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        for statement in SCHEMA:
            db.execute(statement)
    except sqlite3.Error:
        db.close()
        raise
    return db
