"""Tests of the budget stage: no overshoot of a hard limit, high utilisation, no lost reservations."""

from __future__ import annotations

import asyncio
import pickle
import threading
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.errors import (
    BudgetExceededError,
    ConfigError,
    DeadlineExceededError,
    PermanentProviderError,
    RateLimitError,
    TransientProviderError,
)
from ainb.pipeline.budget.accounts import Account, Balance
from ainb.pipeline.budget.options import Budget, parse_budget
from ainb.pricing.quotes import Quote
from ainb.testing import FakeClock, run_virtual
from tests.pipeline.budget.budget_lab import Free, answering, failing, make_call, real_lab, usd

LAB = real_lab()
SESSION = Account("session")
BILLED = TransientProviderError("the connection was cut", billed=True)
UNBILLED = TransientProviderError("429", status_code=429)


def ask(stage, call=None, proceed=None):
    return run_virtual(stage(call or make_call(), proceed or answering()))


def spent(stage):
    (item,) = stage.status()
    return item.spent_usd


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5/day", Budget(usd=5, per="day")),
        ("2.50", Budget(usd="2.5", per="session")),
        ("$10 / session", Budget(usd=10)),
        ("1/user", Budget(usd=1, per="user")),
        ("0.10/Batch", Budget(usd="0.1", per="batch")),
    ],
)
def test_a_budget_is_read_as_people_write_it(text, expected):
    assert parse_budget(text) == expected


@pytest.mark.parametrize(
    "text", ["", "abc", "-1/day", "nan", "5/week", "5/", "/day", "inf", "1/day/user", "2000000"]
)
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(ConfigError, match=r"a budget"):
        parse_budget(text)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"usd": -1}, "usd"),
        ({"usd": float("nan")}, "usd"),
        ({"usd": True}, "usd"),
        ({"usd": None}, "usd"),
        ({"usd": 10**7}, "usd"),
        ({"usd": 1, "per": "week"}, "per"),
        ({"usd": 1, "hard": "yes"}, "hard"),
        ({"usd": 1, "warn_at": 0}, "warn_at"),
        ({"usd": 1, "warn_at": 1.1}, "warn_at"),
        ({"usd": 1, "warn_at": None}, "warn_at"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_name(options, name):
    with pytest.raises(ConfigError, match=rf"^{name} must be"):
        Budget(**options)


def test_a_float_is_kept_as_it_is_written():
    assert Budget(usd=0.1).usd == Decimal("0.1")


def test_a_call_is_booked_at_what_it_cost():
    stage = LAB.stage(Budget(usd=10), estimate=5)

    ask(stage, proceed=answering("0.30"))

    (item,) = stage.status()
    assert (item.scope, item.limit_usd, item.spent_usd) == ("session", 10, usd("0.30"))
    assert (item.reserved_usd, item.left_usd) == (0, usd("9.70"))


def test_the_estimate_is_set_aside_while_the_call_is_under_way():
    stage = LAB.stage(Budget(usd=10), estimate=4)

    async def proceed(call):
        (item,) = stage.status()
        assert (item.spent_usd, item.reserved_usd, item.left_usd) == (0, 4, 6)
        return await answering()(call)

    ask(stage, proceed=proceed)


def test_an_unknown_cost_is_booked_at_the_estimate():
    stage = LAB.stage(Budget(usd=10), estimate=4)

    ask(stage, proceed=answering(None))

    assert spent(stage) == 4


def test_a_spent_budget_refuses_with_the_way_out():
    clock = FakeClock(unix=datetime(2026, 5, 4, 18, tzinfo=UTC).timestamp())
    stage = LAB.stage(Budget(usd=5, per="day"), estimate=2, clock=clock, zone=UTC)
    for _ in range(2):
        ask(stage, proceed=answering("1.75"))

    with pytest.raises(BudgetExceededError) as caught:
        ask(stage)

    assert str(caught.value) == (
        "the budget of $5.00 a day is spent; nothing was sent. Raise it with %ai budget 8/day or wait "
        "until midnight."
    )
    assert (caught.value.spent_usd, caught.value.left_usd) == (usd("3.5"), usd("1.5"))
    assert caught.value.retry_after == 6 * 3600
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - errors are pickled between processes
    assert copy.left_usd == usd("1.5")


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (
            Budget(usd=2),
            "the budget of $2.00 a session is spent; nothing was sent. Raise it with %ai budget 3/session.",
        ),
        (
            Budget(usd="1.5", per="user"),
            "the budget of $1.50 a user is spent; nothing was sent. Raise it with %ai budget 3/user.",
        ),
    ],
)
def test_a_refusal_names_its_scope(budget, text):
    stage = LAB.stage(budget, estimate="1.5")
    ask(stage, proceed=answering("1.5"))

    with pytest.raises(BudgetExceededError) as caught:
        ask(stage)

    assert str(caught.value) == text


def test_a_call_above_the_whole_budget_is_refused_with_that_reason():
    with pytest.raises(BudgetExceededError) as caught:
        ask(LAB.stage(Budget(usd="0.05"), estimate="0.2"))

    assert str(caught.value) == (
        "this call may cost $0.20, more than the budget of $0.05 a session; nothing was sent. "
        "Lower --max-tokens or raise it with %ai budget 0.08/session."
    )


def test_a_limit_of_the_call_holds_for_this_call_alone():
    stage = LAB.stage(None, estimate="0.2")
    for _ in range(3):
        ask(stage, make_call(budget_usd=usd("0.25")), answering("0.2"))

    with pytest.raises(BudgetExceededError, match=r"the budget of \$0.10 for this call; nothing was sent"):
        ask(stage, make_call(budget_usd=usd("0.10")))
    assert stage.status() == []


def test_a_limit_of_a_run_holds_for_all_its_calls():
    stage = LAB.stage(Budget(usd=100), estimate="0.2")
    for _ in range(2):
        ask(stage, make_call(budget_usd=usd("0.5"), batch_id="r1"), answering("0.2"))

    with pytest.raises(BudgetExceededError) as caught:
        ask(stage, make_call(budget_usd=usd("0.5"), batch_id="r1"))
    ask(stage, make_call(budget_usd=usd("0.5"), batch_id="r2"), answering("0.2"))

    assert (
        str(caught.value)
        == "the budget of $0.50 for this run is spent; nothing was sent. Raise --budget (budget_usd)."
    )
    assert caught.value.retry_after is None
    assert spent(stage) == usd("0.6")


def test_a_limit_of_the_call_that_is_no_money_is_refused():
    with pytest.raises(ConfigError, match=r"budget_usd must be"):
        ask(LAB.stage(None), make_call(budget_usd=usd(-1)))


def test_each_user_has_a_budget_of_their_own():
    stage = LAB.stage(Budget(usd=1, per="user"), estimate=1)
    ask(stage, make_call(user="ann"))

    with pytest.raises(BudgetExceededError):
        ask(stage, make_call(user="ann"))
    ask(stage, make_call(user="bob"), answering("0.5"))

    assert [(item.name, item.spent_usd) for item in stage.status()] == [("ann", 1), ("bob", usd("0.5"))]


def test_each_batch_has_a_budget_of_its_own_and_a_single_call_is_a_batch():
    stage = LAB.stage(Budget(usd=1, per="batch"), estimate=1)
    for batch in ("b1", "b2", None, None):
        ask(stage, make_call(batch_id=batch))

    with pytest.raises(BudgetExceededError):
        ask(stage, make_call(batch_id="b1"))
    assert [item.name for item in stage.status()] == ["b1", "b2"]


@pytest.mark.parametrize(
    "error",
    [
        RateLimitError("the wait is too long"),
        ConfigError("no key"),
        PermanentProviderError("401", status_code=401),
        UNBILLED,
        DeadlineExceededError("late"),
    ],
)
@pytest.mark.parametrize("noted", [True, False])
def test_what_was_not_billed_gives_its_money_back(error, noted):
    stage = LAB.stage(Budget(usd=10), estimate=4)

    with pytest.raises(type(error)):
        ask(stage, proceed=failing(error, cost=None, noted=noted))

    assert stage.status()[0].left_usd == 10


@pytest.mark.parametrize(
    "error", [BILLED, DeadlineExceededError("late", billed=True), ValueError("not ours")]
)
@pytest.mark.parametrize("noted", [True, False])
def test_what_may_have_been_billed_keeps_its_estimate(error, noted):
    stage = LAB.stage(Budget(usd=10), estimate=4)

    with pytest.raises(type(error)):
        ask(stage, proceed=failing(error, cost=None, noted=noted))

    assert (spent(stage), stage.status()[0].reserved_usd) == (4, 0)


def test_a_rejection_after_a_billed_attempt_keeps_that_attempts_estimate():
    stage = LAB.stage(Budget(usd=10), estimate=4)

    async def proceed(call):
        call.attempts += 1
        call.errors.append(BILLED)
        raise RateLimitError("the wait is too long")

    with pytest.raises(RateLimitError):
        ask(stage, proceed=proceed)
    assert spent(stage) == 4


def test_billed_attempts_before_the_answer_are_booked_too():
    stage = LAB.stage(Budget(usd=100), estimate=4)

    ask(stage, proceed=failing(BILLED, UNBILLED, BILLED, cost=1))

    assert spent(stage) == 2 * 4 + 1


def test_only_the_attempts_of_this_pass_count():
    stage, call = LAB.stage(Budget(usd=100), estimate=4), make_call()

    ask(stage, call, failing(BILLED, cost=1))
    ask(stage, call, answering(1))

    assert spent(stage) == 4 + 1 + 1


def cancel_in(stage, proceed, *, after=1.0):
    async def main():
        task = asyncio.create_task(stage(make_call(), proceed))
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())


def test_a_call_cancelled_after_sending_keeps_its_estimate():
    stage = LAB.stage(Budget(usd=10), estimate=4)

    cancel_in(stage, answering(delay=100))

    assert (spent(stage), stage.status()[0].reserved_usd) == (4, 0)


def test_a_call_cancelled_in_a_queue_costs_nothing():
    stage = LAB.stage(Budget(usd=10), estimate=4)

    async def queue(call):
        await asyncio.sleep(100)

    cancel_in(stage, queue)

    assert stage.status()[0].left_usd == 10


@pytest.mark.parametrize(("error", "kept"), [(UNBILLED, 0), (BILLED, 4)])
def test_a_call_cancelled_between_attempts_keeps_what_was_billed(error, kept):
    stage = LAB.stage(Budget(usd=10), estimate=4)

    async def backoff(call):
        call.attempts += 1
        call.errors.append(error)
        await asyncio.sleep(100)

    cancel_in(stage, backoff)

    assert (spent(stage), stage.status()[0].reserved_usd) == (kept, 0)


def retrying(stage, outcomes):
    """Retry as in the pipeline: each attempt passes `before_attempt` and `before_sending`."""

    async def attempt(call):
        call.attempts += 1
        outcome = outcomes.pop(0)
        await asyncio.sleep(1)
        if isinstance(outcome, Exception):
            raise outcome
        return await answering(outcome)(call)

    async def send(call):
        return await stage.before_sending(call, attempt)

    async def proceed(call):
        while True:
            try:
                return await stage.before_attempt(call, send)
            except TransientProviderError as error:
                call.errors.append(error)
                call.attempts = len(call.errors)

    return proceed


def test_the_attempt_after_a_billed_one_sets_its_own_money_aside():
    stage = LAB.stage(Budget(usd=10), estimate=4)

    ask(stage, proceed=retrying(stage, [BILLED, UNBILLED, "0.5"]))

    assert (spent(stage), stage.status()[0].reserved_usd) == (usd("4.5"), 0)


def test_no_attempt_is_made_for_which_no_money_is_left():
    stage = LAB.stage(Budget(usd=10), estimate=4)
    outcomes = [BILLED, BILLED, "0.5"]

    with pytest.raises(BudgetExceededError) as caught:
        ask(stage, proceed=retrying(stage, outcomes))

    assert str(caught.value).startswith(
        "the budget of $10.00 a session is spent; no further attempt was made. Raise"
    )
    assert outcomes == ["0.5"]
    assert (spent(stage), stage.status()[0].reserved_usd) == (8, 0)


def test_two_calls_that_both_need_more_do_not_block_each_other():
    stage = LAB.stage(Budget(usd=10), estimate=5)

    async def main():
        works = [stage(make_call(), retrying(stage, [BILLED, "1"])) for _ in range(2)]
        return await asyncio.wait_for(asyncio.gather(*works, return_exceptions=True), 60)

    results = run_virtual(main())

    assert [type(item) for item in results] == [BudgetExceededError, BudgetExceededError]
    assert spent(stage) == 10


def test_a_free_call_passes_with_the_budget_spent():
    stage = LAB.stage(Budget(usd=0), estimate=0)

    ask(stage, make_call(provider=Free()), answering(0))

    assert spent(stage) == 0
    with pytest.raises(BudgetExceededError, match="this call may cost"):
        ask(LAB.stage(Budget(usd=0), estimate="0.01"))


def test_a_call_that_was_thought_free_and_was_not_is_booked():
    stage = LAB.stage(Budget(usd=1), estimate=0)

    ask(stage, proceed=answering("0.25"))

    assert spent(stage) == usd("0.25")


def test_a_model_without_a_price_is_refused_under_a_hard_budget():
    stage = LAB.stage(Budget(usd=10), estimate=None)

    with pytest.raises(
        BudgetExceededError, match=r"no price is known for openai:my-model.*Give one: prices = .*hard=False"
    ):
        ask(stage, make_call(model="my-model"))


def test_a_model_without_a_price_passes_a_soft_budget():
    stage = LAB.stage(Budget(usd=10, hard=False), estimate=None)

    ask(stage, proceed=answering(None))

    assert spent(stage) == 0


def test_a_soft_budget_lets_everything_through_and_says_so_once():
    said = []
    stage = LAB.stage(Budget(usd=10, hard=False), estimate=4, sink=said.append)

    for _ in range(6):
        ask(stage, proceed=answering(4))

    assert spent(stage) == 24
    assert [notice.text for notice in said] == [
        "80% of the budget of $10.00 a session is spent; %ai budget shows the rest",
        "the budget of $10.00 a session is spent; calls continue, because it is soft (hard=False)",
    ]


def test_a_soft_budget_counts_nothing_before_sending():
    def quote(call):
        raise AssertionError("a soft budget needs no quote for an answer with a cost")

    ask(LAB.stage(Budget(usd=10, hard=False), quote=quote), proceed=answering(4))


def test_a_hard_limit_of_the_call_holds_under_a_soft_budget():
    stage = LAB.stage(Budget(usd=10, hard=False), estimate=4)
    ask(stage, make_call(budget_usd=usd(5)), answering(3))

    with pytest.raises(BudgetExceededError):
        ask(stage, make_call(budget_usd=usd(3)))
    assert spent(stage) == 3


def test_one_warning_is_given_when_most_is_spent():
    said = []
    stage = LAB.stage(Budget(usd=10), estimate=1, sink=said.append)

    for _ in range(7):
        ask(stage)
    assert said == []
    for _ in range(2):
        ask(stage)

    assert [(notice.kind, notice.text) for notice in said] == [
        ("budget", "80% of the budget of $10.00 a session is spent; %ai budget shows the rest")
    ]


def test_an_output_limit_goes_out_with_a_request_that_has_none():
    stage = LAB.stage(Budget(usd=10), quote=lambda _call: Quote(usd=usd(1), output_limit=4_096))
    call = make_call(parameters={"temperature": 1})

    ask(stage, call, answering(finish_reason="length"))

    assert call.request.parameters == {"temperature": 1, "max_tokens": 4_096}
    assert call.notes == [
        (
            "cut at 4,096 output tokens, the limit that a hard budget sets when a call names none; give "
            "--max-tokens for more"
        )
    ]


def test_an_answer_that_was_not_cut_gets_no_note():
    stage = LAB.stage(Budget(usd=10), quote=lambda _call: Quote(usd=usd(1), output_limit=4_096))
    call = make_call()

    ask(stage, call)

    assert call.notes == []


def test_what_loads_slowly_is_loaded_once_and_on_another_thread():
    seen = []
    stage = LAB.stage(Budget(usd=10), prepare=lambda: seen.append(threading.current_thread()))

    ask(stage, make_call(provider=Free()))
    assert seen == []
    ask(stage)
    ask(stage)

    assert len(seen) == 1
    assert seen[0] is not threading.main_thread()


def test_a_long_prompt_is_counted_on_another_thread():
    seen = []

    def quote(call):
        seen.append(threading.current_thread() is threading.main_thread())
        return Quote(usd=usd(1))

    stage = LAB.stage(Budget(usd=10), quote=quote)
    ask(stage, make_call(text="x" * 60_000))
    ask(stage)

    assert seen == [False, True]


def test_a_day_ends_at_local_midnight():
    zone = ZoneInfo("Europe/Berlin")
    clock = FakeClock(unix=datetime(2026, 5, 4, 23, 59, 30, tzinfo=zone).timestamp())
    stage = LAB.stage(Budget(usd=1, per="day"), estimate=1, clock=clock, zone=zone)
    ask(stage)
    with pytest.raises(BudgetExceededError) as caught:
        ask(stage)

    clock.advance(caught.value.retry_after)
    ask(stage)

    assert caught.value.retry_after == 30
    assert stage.status()[0].name == "2026-05-05"


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_a_day_of_a_clock_change_is_as_long_as_it_is(day, hours):
    zone = ZoneInfo("Europe/Berlin")
    clock = FakeClock(unix=datetime.fromisoformat(day).replace(tzinfo=zone).timestamp())
    stage = LAB.stage(Budget(usd=1, per="day"), clock=clock, zone=zone)

    assert stage._seconds_to_midnight() == hours * 3600
    clock.advance(hours * 3600 - 1)
    assert stage.status()[0].name == day
    clock.advance(1)
    assert stage.status()[0].name != day


def test_a_call_over_midnight_is_booked_on_the_day_it_began():
    clock = FakeClock(unix=datetime(2026, 5, 4, 23, 59, tzinfo=UTC).timestamp())
    ledger = LAB.ledger.Ledger()
    stage = LAB.stage(Budget(usd=10, per="day"), clock=clock, zone=UTC, ledger=ledger)

    async def proceed(call):
        clock.advance(120)
        return await answering(1)(call)

    ask(stage, proceed=proceed)

    assert ledger.balance(Account("day", "2026-05-04")) == Balance(usd(1), usd(0))
    assert spent(stage) == 0


def test_a_wall_clock_that_steps_back_gives_no_second_budget():
    clock = FakeClock(unix=datetime(2026, 5, 5, 0, 30, tzinfo=UTC).timestamp())
    stage = LAB.stage(Budget(usd=1, per="day"), clock=clock, zone=UTC)
    ask(stage)
    clock.step_wall_clock(-3600)
    ask(stage)
    clock.step_wall_clock(3600)

    with pytest.raises(BudgetExceededError):
        ask(stage)


def test_a_reset_forgets_what_is_spent():
    stage = LAB.stage(Budget(usd=1))
    ask(stage)
    stage.reset()
    ask(stage)

    assert spent(stage) == 1


def test_another_budget_counts_from_what_is_spent():
    stage = LAB.stage(Budget(usd=1))
    ask(stage)
    stage.change(Budget(usd=2))
    ask(stage)

    assert (spent(stage), stage.options) == (2, Budget(usd=2))
    stage.change(None)
    assert stage.status() == []
    ask(stage)


def test_a_waiter_leaves_the_queue_at_its_deadline():
    stage = LAB.stage(Budget(usd=1))

    async def main():
        first = asyncio.create_task(stage(make_call(), answering(delay=1_000)))
        await asyncio.sleep(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await stage(make_call(), answering())
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

    run_virtual(main())

    assert stage._ledger.waiting() == 0


def test_the_stage_forgets_each_call():
    stage = LAB.stage(Budget(usd=100), estimate=1)
    for _ in range(5):
        ask(stage, make_call(budget_usd=usd(2)))

    assert stage._spendings == {}
    assert set(stage._ledger._memory._settled) == {SESSION}


def crowd(lab, costs, *, workers=32, limit=10, estimate="0.2", hold_seconds=(1.0, 3.0, 0.5)):
    """Run many workers on one budget until it refuses; returns the total that the provider charged."""
    stage, charged = lab.stage(lab.budget.Budget(usd=limit), estimate=estimate), []

    async def work(queue):
        while queue:
            cost = queue.pop()

            async def proceed(call, cost=cost):
                call.attempts += 1
                await asyncio.sleep(hold_seconds[len(queue) % len(hold_seconds)])
                charged.append(cost)
                (item,) = stage.status()
                assert item.spent_usd + item.reserved_usd <= limit
                return await answering(cost)(call)

            try:
                await stage(make_call(), proceed)
            except BudgetExceededError:
                return

    async def main():
        queue = list(costs)
        await asyncio.wait_for(asyncio.gather(*(work(queue) for _ in range(workers))), 10_000)

    run_virtual(main())
    assert stage._ledger.waiting() == 0
    (item,) = stage.status()
    assert (item.spent_usd, item.reserved_usd) == (sum(charged, usd(0)), 0)
    return item.spent_usd


@given(
    shares=st.lists(st.integers(0, 100), min_size=1, max_size=20),
    hold_seconds=st.lists(st.sampled_from([0.0, 0.1, 1.0, 7.0]), min_size=1, max_size=5),
)
@settings(deadline=None, max_examples=40)
def test_32_workers_never_overshoot_and_use_nearly_all_of_it(shares, hold_seconds):
    costs = [usd("0.2") * shares[at % len(shares)] / 100 for at in range(400)]

    spent_in_all = crowd(LAB, costs, hold_seconds=hold_seconds)

    assert spent_in_all <= 10
    assert spent_in_all == sum(costs) or spent_in_all >= usd("9.5")


def test_no_money_is_lost_when_a_call_is_cancelled_at_any_await():
    outcomes = set()
    for step in range(60):
        ledger = LAB.ledger.Ledger()
        stage = LAB.stage(Budget(usd=11), estimate=6, ledger=ledger, prepare=lambda: None)
        small = LAB.stage(Budget(usd=11), estimate=1, ledger=ledger)

        async def main(stage=stage, small=small, step=step):
            first = asyncio.create_task(stage(make_call(), answering(3, delay=2)))
            await asyncio.sleep(0.5)
            other = asyncio.create_task(stage(make_call(), retrying(stage, [UNBILLED, "1"])))
            for _ in range(step):
                await asyncio.sleep(0 if step % 2 else 0.1)
            other.cancel()
            await asyncio.gather(first, other, return_exceptions=True)
            await asyncio.wait_for(small(make_call(), answering(1)), 60)

        run_virtual(main())
        assert ledger.waiting() == 0
        assert stage._spendings == {}
        assert stage.status()[0].reserved_usd == 0
        outcomes.add(spent(stage) - 4)
    assert outcomes == {0, 1, 6}  # queued, answered, in flight
