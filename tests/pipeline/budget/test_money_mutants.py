"""Mutation tests of the budget: every mutant below must fail at least one scenario."""

from __future__ import annotations

import asyncio
import importlib
from decimal import InvalidOperation

import pytest

from ainb.errors import BudgetExceededError, TransientProviderError
from ainb.pipeline.budget.accounts import Account, Balance, Claim, Verdict
from ainb.testing import run_virtual
from tests.mutation import load_mutant
from tests.pipeline.budget.budget_lab import (
    MODULES,
    answering,
    failing,
    field_of,
    lab_of,
    make_call,
    real_lab,
    usd,
)
from tests.pipeline.budget.test_budget import crowd
from tests.stores.test_day_book import die

BOOKS, LEDGER, LIMITS, BUDGET, BILLING = (
    "ainb.pipeline.budget.accounts",
    "ainb.pipeline.budget.ledger",
    "ainb.pipeline.budget.limits",
    "ainb.pipeline.budget.stage",
    "ainb.pipeline.budget.billing",
)
MUTANTS = [
    (
        BOOKS,
        "if balance.settled + amount > limit:",
        "if balance.settled + balance.reserved + amount > limit:",
        "a call is refused instead of queued",
    ),
    (
        BOOKS,
        "if balance.settled + balance.reserved + amount > limit:",
        "if balance.settled + amount > limit:",
        "reserved money is ignored",
    ),
    (
        BOOKS,
        "- self._held.pop((token, account), ZERO)",
        "- ZERO * len(self._held)",
        "reservations are never released",
    ),
    (BOOKS, "self._settled.get(account, ZERO) + cost", "cost", "only the last cost is kept in memory"),
    (
        LEDGER,
        "            if isinstance(waiter.outcome, Hold):\n",
        "            if False:\n",
        "a grant to a cancelled waiter is lost",
    ),
    (
        LEDGER,
        "                self._waiters.remove(waiter)\n",
        "                pass\n",
        "a cancelled waiter stays in the queue",
    ),
    (
        LEDGER,
        (
            "                    totals[account] = self._book(account).spend(account, cost)\n            "
            "self._pump()"
        ),
        "                    totals[account] = self._book(account).spend(account, cost)",
        "a settlement wakes no waiter",
    ),
    (
        LEDGER,
        "                self._settle(Hold(token, tuple(claims[:place]), amount), ZERO)\n",
        "",
        "a partly granted reservation stays",
    ),
    (
        LEDGER,
        "if not any(accounts & waiter.accounts for waiter in self._waiters):",
        "if True:",
        "new calls pass the queue",
    ),
    (LEDGER, "blocked |= waiter.accounts", "pass", "the queue is not served in order"),
    (BUDGET, "        spending.kept += new\n", "", "a billed attempt is booked twice"),
    (
        BUDGET,
        "billed = billed_attempts(call, error,",
        "billed = 0 * billed_attempts(call, error,",
        "a billed failure costs nothing",
    ),
    (BUDGET, "failed + (cost is None)", "failed", "an unknown cost counts as zero"),
    (BUDGET, "        if not amount:  #", "        if amount is None:  #", "a free call needs money"),
    (
        LIMITS,
        "accounts = [claim.account for claim, hard in self.claims(call) if hold is None or not hard]",
        "accounts = [claim.account for claim, hard in self.claims(call) if not hard]",
        "an unreserved cost is not booked",
    ),
    (BILLING, "if sent > len(noted) and", "if", "unsent calls are billed"),
    (BILLING, "        return error.billed\n", "        return False\n", "no failed attempt is ever billed"),
]


def spent(stage):
    (item,) = stage.limits.status()
    return item.spent_usd, item.reserved_usd


def scenario_crowd(lab):
    costs = [usd("0.2") * share / 100 for share in (100, 3, 50, 0, 77) * 80]

    assert usd("9.5") <= crowd(lab, costs) <= 10


def scenario_line(lab):
    """Queue order of a big and a small call, a cancelled waiter, and a waiter cancelled at its grant."""

    async def main():
        stage, order = lab.stage(lab.budget_options.Budget(usd=10), quote=lab_quote), []

        async def ask(name, amount, cost):
            await stage(make_call(parameters={"usd": amount}), answering(cost, delay=1))
            order.append(name)

        first = asyncio.create_task(ask("first", 9, 1))
        await asyncio.sleep(0.5)
        leaver = asyncio.create_task(ask("leaver", 8, 1))
        await asyncio.sleep(0)
        big = asyncio.create_task(ask("big", 9, 1))
        await asyncio.sleep(0)
        small = asyncio.create_task(ask("small", 1, 1))
        await asyncio.sleep(0.1)
        leaver.cancel()
        await asyncio.wait_for(asyncio.gather(first, big, small), 60)
        assert order == ["first", "big", "small"]

        hold = await stage.limits.ledger.reserve(lambda: stage.limits.hard_claims(make_call()), usd(7))
        served = asyncio.create_task(ask("served", 5, 1))
        await asyncio.sleep(1)
        stage.limits.ledger.settle(hold, usd(0))
        served.cancel()
        await asyncio.gather(served, return_exceptions=True)
        assert spent(stage) == (3, 0)
        assert stage.limits.ledger.waiting() == 0

    run_virtual(main())


def lab_quote(call):
    from ainb.pricing.quotes import Quote

    return Quote(usd=usd(call.request.parameters["usd"]))


def scenario_outcomes(lab):
    """Answers, billed and unbilled failures, interrupts, limits of a call, free calls."""
    cut, refused = TransientProviderError("cut", billed=True), TransientProviderError("429")
    stage = lab.stage(lab.budget_options.Budget(usd=100), estimate=4)

    async def queue(call):
        raise KeyboardInterrupt

    run_virtual(stage(make_call(), failing(cut, refused, cost=1)))
    run_virtual(stage(make_call(), answering(None)))
    for proceed in (
        failing(cut, cost=None),
        failing(refused, cost=None),
        failing(cut, cost=None, noted=False),
    ):
        with pytest.raises(TransientProviderError):
            run_virtual(stage(make_call(), proceed))
    with pytest.raises(KeyboardInterrupt):
        run_virtual(stage(make_call(), queue))
    assert spent(stage) == (4 + 1 + 4 + 4 + 0 + 4, 0)

    tight = lab.stage(lab.budget_options.Budget(usd=5), estimate=4)
    with pytest.raises(BudgetExceededError):
        run_virtual(tight(make_call(budget_usd=usd(3)), answering()))
    run_virtual(tight(make_call(budget_usd=usd(9)), answering(4)))
    with pytest.raises(BudgetExceededError):
        run_virtual(tight(make_call(budget_usd=usd(9)), answering(4)))
    assert spent(tight) == (4, 0)

    free = lab.stage(lab.budget_options.Budget(usd=1), estimate=0)
    run_virtual(free(make_call(), answering(2)))
    run_virtual(free(make_call(), answering(0)))
    assert spent(free) == (2, 0)


def scenario_attempts(lab):
    """An attempt after a billed one reserves money again; a reservation over two accounts is
    all-or-nothing."""
    stage = lab.stage(lab.budget_options.Budget(usd=10), estimate=4)

    async def proceed(call):
        call.attempts += 1
        call.errors.append(TransientProviderError("cut", billed=True))
        return await stage.before_attempt(call, answering(1))

    run_virtual(stage(make_call(), proceed))
    assert spent(stage) == (5, 0)

    async def main():
        ledger = lab.ledger.Ledger()
        roomy, narrow = (
            lab.accounts.Claim(lab.accounts.Account("user", name), usd(limit))
            for name, limit in (("a", 9), ("b", 1))
        )
        outcome = await ledger.reserve(lambda: [roomy, narrow], usd(2))
        assert isinstance(outcome, lab.ledger.Refusal)
        assert ledger.balance(roomy.account) == lab.accounts.Balance()

    run_virtual(main())


SCENARIOS = [scenario_crowd, scenario_line, scenario_outcomes, scenario_attempts]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_real_modules_pass(scenario):
    scenario(real_lab())


def broken(module, old, new):
    """Load a mutant of a module, and new copies of the modules that import it."""
    return load_mutant(module, old, new, dependents=MODULES[MODULES.index(module) + 1 :])


def test_an_unbroken_copy_passes():
    with broken(BOOKS, "ZERO = Decimal(0)", "ZERO = Decimal(0)") as fresh:
        assert survives(lab_of(fresh))


def survives(lab):
    for scenario in SCENARIOS:
        try:
            scenario(lab)
        except (Exception, KeyboardInterrupt, pytest.fail.Exception):  # noqa: BLE001 - any error kills
            return False
    return True


@pytest.mark.parametrize(("module", "old", "new", "label"), MUTANTS, ids=[item[3] for item in MUTANTS])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_mutant_is_noticed(module, old, new, label, monkeypatch):
    monkeypatch.setattr("ainb.testing.loop.STUCK_SECONDS", 0.05)
    with broken(module, old, new) as fresh:
        real = {name: vars(real_lab())[field_of(name)] for name in MODULES}
        survived = survives(lab_of({name: fresh.get(name) or real[name] for name in MODULES}))

    assert not survived, label


DAY_BOOK = "ainb.stores.day_book"
DAY_MODULES = [f"{DAY_BOOK}.{name}" for name in ("sql", "trace", "file", "account", "book")]
DAY_MUTANTS = [
    (
        "sql",
        "to_integral_value(ROUND_CEILING)",
        "quantize(Decimal('1E9'))",
        "small amounts are rounded to zero",
    ),
    ("sql", "min({_SPENT} + excluded.settled, ", "min(excluded.settled, ", "only the last cost is kept"),
    (
        "sql",
        'f"AND NOT (owner = :owner AND',
        'f"AND (owner = :owner AND',
        "reservations of other processes are ignored",
    ),
    ("trace", "- booked) + in_flight", "- booked)", "calls that a dead kernel sent are released"),
    (
        "trace",
        "max(0, self.spent.get(account, 0) - booked) + ",
        "",
        "costs of a dead kernel are released",
    ),
    (
        "trace",
        "self.spent.get(account, 0) - booked",
        "self.spent.get(account, 0)",
        "costs of a dead kernel are booked twice",
    ),
    (
        "file",
        "return draw.amount if draw.amount <= free else None",
        "return draw.amount",
        "draws exceed the limit",
    ),
    ("file", "keep = plan.held + pot", "keep = plan.held", "draws are not reserved"),
    ("file", "if plan.cost > plan.booked:", "if plan.cost < plan.booked:", "costs stay in memory"),
    ("file", "plan.cost - plan.booked)", "plan.cost)", "costs are booked repeatedly"),
    ("file", 'db.execute(DELETE_HELD, {"owner": name})', "pass", "a dead kernel's rows stay"),
    ("file", 'db.execute(INHERIT, {"owner": name})', "pass", "calls of a closed session are released"),
    ("account", "self.held -= hold.amount", "pass", "settled reservations stay reserved"),
    ("account", "self.pot.available -= paid", "pass", "costs are not taken from the drawn money"),
    ("account", "self.sent -= hold.amount if hold.is_sent else 0", "pass", "answered calls count as sent"),
    ("book", "hold.is_sent = True", "hold.is_sent = False", "no call was ever sent"),
]


def scenario_day(module, folder):
    """Three kernels on one file: one closes and one dies, each with a sent and an unsent call."""
    day = Account("day", "2026-05-04")
    ten = Claim(day, usd(10))
    path = folder / "day.sqlite"
    ours, theirs, closed = (module.DayBook(path) for _ in range(3))
    assert ours.reserve(1, ten, usd(6)) is Verdict.GRANTED
    assert theirs.reserve(1, ten, usd("4.1")) is Verdict.WAIT
    assert ours.settle(1, day, usd("0.000001")) == usd("0.000001")
    assert ours.spend(day, usd(1)) == usd("1.000001")
    book_costs(ours)
    for book in (theirs, closed):
        for token in (2, 3):
            assert book.reserve(token, ten, usd(token) / 10) is Verdict.GRANTED
        book.mark_sent(2, day)
    assert theirs.reserve(4, ten, usd("0.1")) is Verdict.GRANTED
    theirs.mark_sent(4, day)
    theirs.settle(4, day, usd("0.1"))
    book_costs(theirs)
    theirs.reserve(5, ten, usd("0.1"))
    theirs.settle(5, day, usd("0.05"))
    closed.close()
    ours.close()
    die(theirs)
    spent = usd("1.000001") + usd("0.2") + usd("0.35")

    assert module.DayBook(path).balance(day) == Balance(spent, usd(0))
    for token in range(6, 60):
        assert ours.reserve(token, ten, usd(6)) is Verdict.GRANTED
        assert ours.balance(day) == Balance(spent, usd(6))
        ours.settle(token, day, usd(0))
    while ours.reserve(60, ten, usd("0.2")) is Verdict.GRANTED:
        ours.settle(60, day, usd("0.15"))
        spent += usd("0.15")
    assert spent <= 10
    assert ours.balance(day) == Balance(spent, usd(0))
    ours.close()
    assert module.DayBook(path).balance(day) == Balance(spent, usd(0))


def book_costs(book):
    """Write costs to the file, as the thread of a book does periodically."""
    with book._lock:
        book._file.begin(book._own())
        book._exchange(book._file, book._own(), list(book._accounts.values()))


def several_days(module, folder):
    """On a busy machine the thread of a book may once have booked what its trace should hold."""
    for attempt in range(5):
        scenario_day(module, folder / str(attempt))


def test_the_real_day_book_passes(tmp_path):
    scenario_day(importlib.import_module(f"{DAY_BOOK}.book"), tmp_path)


@pytest.mark.parametrize(
    ("module", "old", "new", "label"), DAY_MUTANTS, ids=[item[3] for item in DAY_MUTANTS]
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mutant_of_the_day_book_is_noticed(module, old, new, label, tmp_path):
    broken = f"{DAY_BOOK}.{module}"
    with load_mutant(broken, old, new, dependents=DAY_MODULES[DAY_MODULES.index(broken) + 1 :]) as fresh:
        book = fresh[f"{DAY_BOOK}.book"]
        with pytest.raises((AssertionError, InvalidOperation)):
            several_days(book, tmp_path)
