"""Tests of the ledger: FIFO queue, all-or-nothing reservations, no lost money."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.pipeline.budget.accounts import Account, Balance, Claim, MemoryBook, Verdict, decide
from ainb.pipeline.budget.ledger import Hold, Ledger, Refusal
from ainb.testing import run_virtual
from tests.forks import in_child
from tests.pipeline.budget.budget_lab import usd

SESSION, BATCH = Account("session"), Account("batch", "b")


def claims(*limits):
    accounts = (SESSION, BATCH)
    made = [Claim(account, usd(limit)) for account, limit in zip(accounts, limits, strict=False)]
    return lambda: made


@pytest.mark.parametrize(
    ("settled", "reserved", "amount", "verdict"),
    [
        (0, 0, 10, Verdict.GRANTED),
        (0, 0, "10.01", Verdict.NEVER),
        (5, 0, 5, Verdict.GRANTED),
        (5, 1, 5, Verdict.WAIT),
        (5, 5, "5.01", Verdict.NEVER),
        (10, 0, "0.000000000001", Verdict.NEVER),
        (0, 10, "0.000000000001", Verdict.WAIT),
    ],
)
def test_a_decision_waits_only_for_money_that_is_set_aside(settled, reserved, amount, verdict):
    assert decide(Balance(usd(settled), usd(reserved)), usd(10), usd(amount)) is verdict


def test_a_hold_is_all_or_nothing():
    async def main():
        ledger = Ledger()
        refused = await ledger.reserve(claims(10, 1), usd(2))
        assert isinstance(refused, Refusal)
        assert refused.claim.account == BATCH
        assert ledger.balance(SESSION) == Balance()

        hold = await ledger.reserve(claims(10, 3), usd(2))
        assert isinstance(hold, Hold)
        assert ledger.balance(SESSION) == ledger.balance(BATCH) == Balance(usd(0), usd(2))
        assert ledger.settle(hold, usd(1)) == {SESSION: usd(1), BATCH: usd(1)}
        assert ledger.balance(SESSION) == Balance(usd(1), usd(0))

    run_virtual(main())


def test_money_is_given_in_the_order_in_which_it_was_asked_for():
    async def main():
        ledger, order = Ledger(), []

        async def ask(name, amount):
            hold = await ledger.reserve(claims(10), usd(amount))
            order.append(name)
            return hold

        first = await ledger.reserve(claims(10), usd(9))
        big = asyncio.create_task(ask("big", 8))
        await asyncio.sleep(0)
        small = asyncio.create_task(ask("small", 1))
        await asyncio.sleep(1)
        assert order == []

        ledger.settle(first, usd(1))
        await asyncio.gather(big, small)
        assert order == ["big", "small"]

    run_virtual(main())


def test_a_queue_for_one_account_does_not_delay_another():
    async def main():
        ledger = Ledger()
        await ledger.reserve(claims(1), usd(1))
        waiting = asyncio.create_task(ledger.reserve(claims(1), usd(1)))
        await asyncio.sleep(1)
        other = [Claim(Account("user", "ann"), usd(1))]

        assert isinstance(await ledger.reserve(lambda: other, usd(1)), Hold)
        assert not waiting.done()

    run_virtual(main())


def test_an_impossible_reservation_is_refused_at_once_even_behind_a_queue():
    async def main():
        ledger = Ledger()
        await ledger.reserve(claims(10), usd(9))
        waiting = asyncio.create_task(ledger.reserve(claims(10), usd(5)))
        await asyncio.sleep(1)

        assert isinstance(await ledger.reserve(claims(10), usd(11)), Refusal)
        assert not waiting.done()

    run_virtual(main())


def test_a_waiter_is_refused_once_the_money_is_spent():
    async def main():
        ledger = Ledger()
        first = await ledger.reserve(claims(10), usd(9))
        waiting = asyncio.create_task(ledger.reserve(claims(10), usd(5)))
        await asyncio.sleep(1)
        ledger.settle(first, usd(9))
        outcome = await waiting

        assert isinstance(outcome, Refusal)
        assert outcome.balance.settled == 9

    run_virtual(main())


def test_a_cancelled_waiter_lets_the_next_one_through():
    async def main():
        ledger = Ledger()
        await ledger.reserve(claims(10), usd(6))
        big = asyncio.create_task(ledger.reserve(claims(10), usd(9)))
        await asyncio.sleep(0)
        small = asyncio.create_task(ledger.reserve(claims(10), usd(4)))
        await asyncio.sleep(1)
        assert not small.done()

        big.cancel()

        assert isinstance(await small, Hold)
        assert ledger.waiting() == 0

    run_virtual(main())


def test_a_grant_and_a_cancellation_in_the_same_moment_lose_no_money():
    async def main():
        ledger = Ledger()
        first = await ledger.reserve(claims(10), usd(9))
        waiting = asyncio.create_task(ledger.reserve(claims(10), usd(5)))
        await asyncio.sleep(1)
        ledger.settle(first, usd(0))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

        assert ledger.balance(SESSION) == Balance(usd(0), usd(0))

    run_virtual(main())


def test_a_raised_limit_and_a_reset_wake_waiters():
    async def main():
        ledger, limit = Ledger(), [usd(10)]
        await ledger.reserve(claims(10), usd(9))

        def asked():
            return [Claim(SESSION, limit[0])]

        raised = asyncio.create_task(ledger.reserve(asked, usd(9)))
        await asyncio.sleep(1)
        limit[0] = usd(20)
        ledger.wake()
        hold = await raised
        ledger.settle(hold, usd(15))
        again = asyncio.create_task(ledger.reserve(asked, usd(5)))
        await asyncio.sleep(1)
        assert not again.done()
        ledger.reset(SESSION)

        assert isinstance(await again, Hold)

    run_virtual(main())


def test_loops_on_several_threads_share_one_ledger():
    ledger, spent, lock = Ledger(), [], threading.Lock()

    async def work():
        for _ in range(50):
            hold = await ledger.reserve(claims(6), usd("0.05"))
            if isinstance(hold, Refusal):
                return
            await asyncio.sleep(0)
            ledger.settle(hold, usd("0.04"))
            with lock:
                spent.append(1)

    async def many():
        await asyncio.wait_for(asyncio.gather(*(work() for _ in range(8))), 60)

    def run():
        loop = asyncio.new_event_loop()
        loop.run_until_complete(many())
        loop.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    balance = ledger.balance(SESSION)
    assert balance == Balance(usd("0.04") * len(spent), usd(0))
    assert balance.settled <= 6
    assert balance.settled > usd("5.9")
    assert ledger.waiting() == 0


def test_a_waiter_whose_loop_is_gone_takes_nothing():
    ledger = Ledger()
    loop = asyncio.new_event_loop()
    first = loop.run_until_complete(ledger.reserve(claims(10), usd(9)))
    waiting = loop.create_task(ledger.reserve(claims(10), usd(9)))
    loop.run_until_complete(asyncio.sleep(0))
    coroutine = waiting.get_coro()
    loop.close()

    ledger.settle(first, usd(0))

    assert ledger.balance(SESSION) == Balance(usd(0), usd(0))
    assert ledger.waiting() == 0
    waiting._log_destroy_pending = False
    coroutine.close()


@given(
    asks=st.lists(
        st.tuples(
            st.sampled_from([0, 0.1, 1, 3]),
            st.integers(1, 40),
            st.integers(0, 100),
            st.sampled_from([0, 0.5, 4]),
            st.sampled_from([None, None, 0, 0.1, 1, 2]),
        ),
        min_size=1,
        max_size=25,
    )
)
@settings(deadline=None, max_examples=150)
def test_no_schedule_exceeds_the_limit_or_leaves_a_waiter(asks):
    async def main():
        ledger, limit, spent = Ledger(), usd(100), []

        async def one(amount, percent, hold_seconds):
            hold = await ledger.reserve(claims(100), usd(amount))
            if isinstance(hold, Refusal):
                assert hold.balance.settled + amount > limit
                return
            cost = usd(0)
            try:
                await asyncio.sleep(hold_seconds)
                cost = usd(amount) * percent / 100
            finally:
                ledger.settle(hold, cost)
                spent.append(cost)
            balance = ledger.balance(SESSION)
            assert balance.settled + balance.reserved <= limit

        loop, tasks = asyncio.get_running_loop(), []
        for gap, amount, percent, hold_seconds, cancel_after in asks:
            await asyncio.sleep(gap)
            tasks.append(loop.create_task(one(amount, percent, hold_seconds)))
            if cancel_after is not None:
                loop.call_later(cancel_after, tasks[-1].cancel)
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 600)
        assert all(item is None or isinstance(item, asyncio.CancelledError) for item in results), results
        assert ledger.balance(SESSION) == Balance(sum(spent, usd(0)), usd(0))
        assert ledger.waiting() == 0

    run_virtual(main())


def test_a_book_lists_and_forgets_its_accounts():
    book = MemoryBook()
    for name in ("zoe", "ann"):
        book.spend(Account("user", name), usd(1))
    book.spend(SESSION, usd(1))
    book.forget(SESSION)

    assert [account.name for account in book.accounts("user")] == ["ann", "zoe"]
    assert book.accounts("session") == []


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_is_not_held_up_by_reservations_of_its_parents_calls():
    ledger = Ledger()
    ledger.settle(None, usd(2), also=[SESSION])
    assert ledger.hold_job("job", [(claims(10)()[0], True)], usd(3)) is Verdict.GRANTED
    hold = ledger.try_reserve(claims(10), usd(5))
    assert hold is not None

    def work():
        assert ledger.balance(SESSION) == Balance(usd(2), usd(3))

    assert in_child(work) == 0
    assert ledger.balance(SESSION) == Balance(usd(2), usd(8))
