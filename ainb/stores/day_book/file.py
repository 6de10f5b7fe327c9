"""Transactions on the file of the day book.

`BookFile.begin` begins a transaction, and the method called next ends it. After a `sqlite3.Error` nothing is
changed.
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
from ainb.stores.sqlite import Owner, close_with, is_locked

Statement = tuple[str, tuple[object, ...] | dict[str, object]]
# Prefix of the owner of a job's reservation, which belongs to no process and so survives each of them.
JOB = "job:"


@dataclass(frozen=True, slots=True)
class Draw:
    """Request to draw money, in picodollars.

    Attributes:
        amount: Highest possible cost of the call.
        need: The part of `amount` that the pot does not cover; above 0.
        want: Most money to draw.
        limit: Limit of the account.
    """

    amount: int
    need: int
    want: int
    limit: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes that a transaction makes to one account, in picodollars.

    Attributes:
        account: Name of the account.
        cost: Spent by this process in the account since it started.
        booked: The part of `cost` that is in the file.
        held: Reserved for calls of this process.
        pot: Money drawn and not used; returned if no more can be drawn.
        draw: Money to draw; None draws nothing.
        keeps: Whether the pot is kept if nothing is drawn.
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
    """Result of a transaction for one account.

    Attributes:
        verdict: GRANTED if money was drawn, NEVER if it can never be drawn, else WAIT.
        pot: Money now drawn and not used.
        settled: Money spent by all processes.
    """

    verdict: Verdict
    pot: int
    settled: int


class BookFile:
    """One connection to the file, opened on first use; a missing folder is created.

    Args:
        path: The file.
        busy_seconds: Longest wait of a statement for another process; 0 for the event loop.
        on_other_values: Called when the file holds amounts that ainb does not write; None for an additional
            connection, which does not check the amounts.
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
        # After a plain BEGIN the first write fails if another process has written since the first read.
        self._open(owner).execute("BEGIN IMMEDIATE")

    def exchange(self, owner: Owner, plans: Sequence[Plan], before: Sequence[Statement]) -> list[Result]:
        """Book costs, return or draw money, and end the transaction.

        Args:
            owner: This process.
            plans: One per account.
            before: Statements to run first.
        """
        with self._ending(owner) as db:
            for statement in before:
                db.execute(*statement).fetchall()
            return [self._exchange(db, owner, plan) for plan in plans]

    def hold_job(self, owner: Owner, plan: Plan, row: dict[str, Any]) -> Result:
        """Return the drawn money, insert the reservation of a job if it fits, and end the transaction.

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
        """Money spent by all processes, and money reserved by others.

        Processes that have ended are settled first. While another process is writing, they are not, and their
        drawn money counts as reserved.
        """
        db = self._open(owner)
        if owner.dead():
            try:
                self._settle_now(db, owner)
            except sqlite3.OperationalError as error:
                if not is_locked(error):
                    raise
        return self._others(db, owner, account)

    def leave(self, owner: Owner) -> None:
        """Delete the records of this process, which must hold no money."""
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
        """Settle on behalf of processes that have ended; whether there were any."""
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
        """Money used by a dead process and not booked, by account; all its drawn money if it has no trace."""
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
        """Commit the statements of the block, or roll them back on an error."""
        db = self._open(owner)
        self._gone.clear()
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
        # After the commit: if this process is killed here, the dead ones are already marked as settled.
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
                self._settle_now(db, owner)
        return self.db

    def _settle_now(self, db: sqlite3.Connection, owner: Owner) -> None:
        self.begin(owner)
        with self._ending(owner):
            self._settle_for_dead(db, owner)


def _draw(plan: Plan, draw: Draw, free: int) -> int | None:
    """The pot after a draw; None if the call does not fit, even with all the money in the pot.

    Args:
        plan: Has the pot, which may have been drawn under another limit.
        draw: The request.
        free: Money neither spent, nor reserved for calls of this process, nor held by other processes.
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
