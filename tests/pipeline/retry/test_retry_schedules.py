"""Tests of retry under scripted and random schedules, cost of an outage, and mutants to detect."""

from __future__ import annotations

import asyncio
import math
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ainb.errors import CallRejectedError, CircuitOpenError, ProviderError, TransientProviderError
from ainb.messages import Reply
from tests.attempts import (
    REAL,
    HighRandom,
    LowRandom,
    Scripted,
    broken,
    compose,
    fault,
    is_killed,
    make_call,
    run_virtual,
    virtual_clock,
)
from tests.mutation import Mutant

CORE, STAGE, ALONE = (
    "ainb.pipeline.retry.policy",
    "ainb.pipeline.retry.stage",
    "ainb.pipeline.retry.standalone",
)


def ask(m, outcomes, *, calls=None, rng=None, **options):
    """Run calls in sequence through one stage; returns their outcomes and the times of the attempts."""

    async def main():
        provider = Scripted(outcomes)
        stage = m.RetryStage(m.Retry(**options), clock=virtual_clock(), rng=rng or LowRandom())
        handler = compose([stage], provider)
        ends = [
            (await asyncio.gather(handler(call), return_exceptions=True))[0]
            for call in calls or [make_call()]
        ]
        return ends, provider.asked_at

    return run_virtual(main())


def waits_double_to_their_limit(m):
    _, asked_at = ask(m, [fault(503)], attempts=9, jitter=False)
    assert asked_at == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 51.5, 71.5]


def jitter_is_full(m):
    assert ask(m, [fault(503)], rng=LowRandom())[1] == [0, 0, 0, 0]
    assert ask(m, [fault(503)], rng=HighRandom())[1] == pytest.approx([0, 0.5, 1.5, 3.5], abs=0.001)


def retry_after_is_kept_to_up_to_its_limit(m):
    outcomes = [fault(429, retry_after=120), fault(429, retry_after=0), fault(429, retry_after=121)]
    assert ask(m, outcomes)[1] == [0, 120, 120]
    assert ask(m, outcomes, rng=HighRandom())[1] == pytest.approx([0, 120.5, 121], abs=0.001)


def a_retry_after_that_makes_no_sense_is_ignored(m):
    for value in (-1, math.nan, -math.inf):
        assert ask(m, [fault(429, retry_after=value), "yes"], jitter=False)[1] == [0, 0.5]


def the_providers_word_goes_before_the_code_and_the_code_before_the_status(m):
    for error, asked in [
        (fault(503, should_retry=False), 1),
        (fault(400, should_retry=True), 2),
        (fault(429, code="insufficient_quota", should_retry=True), 2),
        (TransientProviderError("x", status_code=429, code="insufficient_quota"), 1),
        (TransientProviderError("x", status_code=429, code="tokens-per-day"), 1),
        (fault(429), 2),
        (fault(400), 1),
    ]:
        assert len(ask(m, [error, "yes"])[1]) == asked, error


def no_more_attempts_than_allowed(m):
    for attempts in (1, 2, 5):
        assert len(ask(m, [fault(503)], attempts=attempts)[1]) == attempts


def no_wait_passes_the_deadline(m):
    for deadline, asked in [(9.0, 1), (10.0, 1), (10.5, 2), (None, 2)]:
        outcomes = [fault(503, retry_after=10), fault(401)]
        assert len(ask(m, outcomes, calls=[make_call(deadline=deadline)])[1]) == asked


def nothing_follows_a_shown_text(m):
    asked = []

    async def provider(call):
        asked.append(call)
        call.emit("a", 0.0)
        raise fault(None)

    async def main():
        handler = compose([m.RetryStage(m.Retry(), clock=virtual_clock())], provider)
        with pytest.raises(TransientProviderError):
            await handler(make_call(on_text=[].append))

    run_virtual(main())
    assert len(asked) == 1


def rejections_are_not_tried_again_and_carry_the_last_fault(m):
    ends, asked_at = ask(m, [CircuitOpenError("open"), "yes"], retry_on=Exception)
    assert isinstance(ends[0], CircuitOpenError)
    assert len(asked_at) == 1
    ends, asked_at = ask(m, [fault(503), CircuitOpenError("open"), "yes"])
    assert isinstance(ends[0], CircuitOpenError)
    assert ends[0].__cause__.status_code == 503
    assert len(asked_at) == 2


def every_error_is_kept(m):
    call, errors = make_call(), [fault(503), fault(500), fault(429), fault(529)]
    ends, _ = ask(m, errors, calls=[call])
    assert call.errors == errors
    assert ends == [errors[-1]]
    assert [note.split(":")[0] for note in errors[-1].__notes__] == [
        "not tried again",
        "earlier attempt 1",
        "earlier attempt 2",
        "earlier attempt 3",
    ]


def an_outage_costs_a_tenth_more_and_no_more(m):
    """1,000 calls: ten initial retries, and one more for every ten calls."""
    _, asked_at = ask(m, [fault(503)], calls=[make_call() for _ in range(1000)])
    assert len(asked_at) == 1000 + 10 + 100


def successes_earn_retries_up_to_the_cap(m):
    outcomes = ["yes"] * 500 + [fault(503)]
    _, asked_at = ask(m, outcomes, calls=[make_call() for _ in range(700)])
    # The first of the 200 finds the budget full, so that only 199 of them earn.
    assert len(asked_at) == 500 + 200 + 100 + 19


def a_place_that_is_down_costs_another_place_nothing(m):
    calls = [make_call() for _ in range(50)] + [make_call(endpoint="https://two.test")]
    _, asked_at = ask(m, [fault(503)], calls=calls)
    assert len(asked_at) == 50 + 10 + 5 + 4


def alone_it_behaves_the_same(m):
    async def main():
        clock, asked_at = virtual_clock(), []
        options = m.Retry(attempts=3, jitter=False)

        async def waiting():
            asked_at.append(clock.monotonic())
            raise ConnectionError

        def plain():
            asked_at.append(clock.monotonic())
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await m.retrying(options, clock=clock)(waiting)()
        with pytest.raises(ConnectionError):
            m.retrying(options, clock=clock)(plain)()
        assert asked_at == [0, 0.5, 1.5, 1.5, 2, 3]
        down = m.retrying(options, clock=clock)(plain)
        asked_at.clear()
        for _ in range(20):
            with pytest.raises(ConnectionError):
                down()
        assert len(asked_at) == 20 + 10 + 2
        answers = [ConnectionError()] * 300
        answers[1::2] = ["yes"] * 150

        def every_other():
            answer = answers.pop(0)
            if answer == "yes":
                return answer
            raise answer

        often = m.retrying(options, clock=clock)(every_other)
        assert [often() for _ in range(150)] == ["yes"] * 150

    run_virtual(main())


SCENARIOS = [
    waits_double_to_their_limit,
    jitter_is_full,
    retry_after_is_kept_to_up_to_its_limit,
    a_retry_after_that_makes_no_sense_is_ignored,
    the_providers_word_goes_before_the_code_and_the_code_before_the_status,
    no_more_attempts_than_allowed,
    no_wait_passes_the_deadline,
    nothing_follows_a_shown_text,
    rejections_are_not_tried_again_and_carry_the_last_fault,
    every_error_is_kept,
    an_outage_costs_a_tenth_more_and_no_more,
    successes_earn_retries_up_to_the_cap,
    a_place_that_is_down_costs_another_place_nothing,
    alone_it_behaves_the_same,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_scenario(scenario):
    scenario(REAL)


def full_core(m, clock, provider, *, rng=None, line_seconds=0.0, **retry_options):
    """Retry, gate, a queue, permit: the order of the pipeline."""
    breakers = m.Breakers(m.Circuit(), clock=clock, rng=rng or Random(1))

    async def line(call, proceed):
        await asyncio.sleep(line_seconds)
        return await proceed(call)

    retry = m.RetryStage(m.Retry(**retry_options), clock=clock, rng=rng or Random(2))
    return compose([retry, m.GateStage(breakers), line, m.PermitStage(breakers)], provider)


async def workers(handler, calls, count):
    """Run `calls` calls on `count` workers; returns their outcomes."""
    left, ends = iter(range(calls)), []

    async def work():
        for _ in left:
            ends.extend(await asyncio.gather(handler(make_call()), return_exceptions=True))
            await asyncio.sleep(0.05)

    await asyncio.gather(*(work() for _ in range(count)))
    return ends


class Flaky:
    """A provider that fails three times in ten."""

    def __init__(self, rng):
        self.rng, self.asked = rng, 0

    async def __call__(self, call):
        self.asked += 1
        await asyncio.sleep(0.2)
        if self.rng.random() < 0.3:
            raise fault(503)
        return Reply(text="yes")


class Dead:
    """A provider that fails after 0.2 s, so that other calls are in flight when the circuit opens."""

    def __init__(self):
        self.asked_at = []

    async def __call__(self, call):
        self.asked_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.2)
        raise fault(503)


class TestOutage:
    @pytest.mark.parametrize("count", [1, 8, 32])
    def test_with_the_circuit_a_thousand_calls_reach_a_dead_provider_fifty_times_at_most(self, count):
        async def main():
            provider = Dead()
            ends = await workers(full_core(REAL, virtual_clock(), provider), 1000, count)
            return ends, len(provider.asked_at)

        ends, asked = run_virtual(main())
        assert all(isinstance(end, ProviderError | CircuitOpenError) for end in ends)
        assert len(ends) == 1000
        assert asked <= 50

    def test_an_outage_of_an_hour_at_a_call_a_second_stays_under_a_twentieth(self):
        async def main():
            provider = Dead()
            handler = full_core(REAL, virtual_clock(), provider)
            tasks = []
            for _ in range(3600):
                tasks.append(asyncio.ensure_future(handler(make_call())))
                await asyncio.sleep(1)
            await asyncio.gather(*tasks, return_exceptions=True)
            return len(provider.asked_at)

        assert run_virtual(main()) <= 0.05 * 3600

    def test_a_dead_server_with_eight_workers_is_hit_eighteen_times_at_most_and_then_left_alone(self):
        async def main():
            provider = Dead()
            handler = full_core(REAL, virtual_clock(), provider, line_seconds=0.02)
            await asyncio.wait_for(workers(handler, 2000, 8), 1000)
            return provider.asked_at

        asked_at = [moment for moment in run_virtual(main()) if moment < 27]
        assert 10 <= len(asked_at) <= 18

    def test_thirty_percent_of_failures_lose_nothing_in_eight_attempts(self):
        async def main():
            provider = Flaky(Random(11))
            retry = REAL.RetryStage(REAL.Retry(attempts=8), clock=virtual_clock(), rng=Random(2))
            return await workers(compose([retry], provider), 300, 16), provider.asked

        ends, asked = run_virtual(main())
        assert [end.text for end in ends] == ["yes"] * 300
        assert asked <= 1.6 * 300

    @pytest.mark.parametrize("luck", range(8))
    def test_with_the_circuit_no_reply_is_lost_for_callers_that_wait_while_it_is_open(self, luck):
        """In about one run in five, five of the first ten calls fail by chance, so that the circuit opens."""

        async def main():
            provider = Flaky(Random(luck))
            core = full_core(REAL, virtual_clock(), provider, attempts=12)

            async def patient(call):
                while True:
                    try:
                        return await core(call)
                    except CircuitOpenError as refusal:
                        await asyncio.sleep(refusal.retry_after)

            return await asyncio.wait_for(workers(patient, 300, 16), 3600)

        assert [end.text for end in run_virtual(main())] == ["yes"] * 300

    def test_a_provider_that_comes_back_is_used_again(self):
        async def main():
            clock = virtual_clock()

            async def provider(call):
                if clock.monotonic() < 100:
                    raise fault(503)
                return Reply(text="yes")

            handler = full_core(REAL, clock, provider)
            await workers(handler, 40, 4)
            await asyncio.sleep(400)
            return await workers(handler, 20, 1)

        assert all(isinstance(end, Reply) for end in run_virtual(main()))

    def test_the_error_says_that_the_circuit_opened_and_what_failed_before(self):
        async def main():
            provider = Scripted([fault(503)])
            ends = await workers(full_core(REAL, virtual_clock(), provider), 20, 8)
            return [end for end in ends if isinstance(end, CircuitOpenError) and end.__cause__]

        errors = run_virtual(main())
        assert errors
        assert all(error.__cause__.status_code == 503 for error in errors)


OUTCOMES = st.one_of(
    st.just("yes"),
    st.builds(
        fault,
        st.sampled_from([None, 200, 400, 408, 429, 500, 503, 529]),
        retry_after=st.sampled_from([None, None, None, -1, math.nan, 0, 0.3, 5, 60, 121, math.inf]),
        should_retry=st.sampled_from([None, None, None, None, True, False]),
        code=st.sampled_from([None, None, None, "insufficient_quota", "rate_limit_exceeded"]),
    ),
    st.builds(CircuitOpenError, st.just("open"), retry_after=st.just(1.0)),
)
CALLS = st.lists(
    st.tuples(
        st.sampled_from([0, 0.1, 5]),  # gap before the call
        st.lists(OUTCOMES, min_size=1, max_size=8),
        st.sampled_from([None, None, 0.5, 3, 61]),  # time limit
        st.sampled_from([None, None, None, 0, 0.2, 4]),  # cancelled after
        st.sampled_from([None, None, None, 1, 2]),  # attempt that shows text before it fails
    ),
    min_size=1,
    max_size=25,
)


class OneCall:
    """One call with its own outcomes, and the checks at its end."""

    def __init__(self, outcomes, limit, shows_at, clock):
        self.outcomes, self.limit, self.shows_at, self.clock = outcomes, limit, shows_at, clock
        self.asked_at = []
        self.raised = []
        self.call = make_call(on_text=[].append)

    async def provider(self, call):
        self.asked_at.append(self.clock.monotonic())
        outcome = self.outcomes[min(len(self.asked_at), len(self.outcomes)) - 1]
        if len(self.asked_at) == self.shows_at:
            call.emit("text", self.clock.monotonic())
        if outcome == "yes":
            return Reply(text=outcome)
        error = self.copy(outcome)
        self.raised.append(error)
        raise error

    @staticmethod
    def copy(error):
        """A new error object, as in every real attempt."""
        if isinstance(error, CircuitOpenError):
            return CircuitOpenError("open", retry_after=1.0)
        details = ("status_code", "code", "retry_after", "should_retry")
        return type(error)("x", **{name: getattr(error, name) for name in details})

    async def run(self, m, stage):
        start = self.clock.monotonic()
        self.call.deadline = None if self.limit is None else start + self.limit
        end = (await asyncio.gather(compose([stage], self.provider)(self.call), return_exceptions=True))[0]
        self.check(m, end)

    def check(self, m, end):
        assert 1 <= len(self.asked_at) <= 4
        faults = [error for error in self.raised if isinstance(error, ProviderError)]
        assert self.call.errors == faults
        assert isinstance(end, Reply) or end is self.raised[-1]
        if isinstance(end, CallRejectedError):
            assert end.__cause__ is (faults[-1] if faults else None)
        if self.shows_at is not None:
            assert len(self.asked_at) <= self.shows_at
        for error, before, after in zip(self.raised, self.asked_at, self.asked_at[1:], strict=False):
            assert not isinstance(error, CallRejectedError)
            assert error.should_retry is not False
            assert error.should_retry or error.code != "insufficient_quota"
            assert error.should_retry or isinstance(error, TransientProviderError)
            self.check_wait(error.retry_after, after - before, len(self.raised))
            assert self.call.deadline is None or after < self.call.deadline

    @staticmethod
    def check_wait(asked, waited, attempts):
        if asked is None or math.isnan(asked) or asked < 0:
            assert -1e-9 <= waited <= 0.5 * 2 ** (attempts - 1) + 1e-9
        else:
            assert asked <= 120
            assert asked - 1e-9 <= waited <= asked + 0.5 + 1e-9


def any_schedule(m, operations):
    """Check that no schedule violates a rule of a call, or spends more retries than were earned."""

    async def main():
        clock, loop = virtual_clock(), asyncio.get_running_loop()
        stage = m.RetryStage(m.Retry(), clock=clock, rng=Random(9))
        calls, tasks = [], []
        for gap, outcomes, limit, cancel_after, shows_at in operations:
            await asyncio.sleep(gap)
            calls.append(OneCall(outcomes, limit, shows_at, clock))
            tasks.append(loop.create_task(calls[-1].run(m, stage)))
            if cancel_after is not None:
                loop.call_later(cancel_after, tasks[-1].cancel)
        for end in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError):
                raise end
        retries = sum(max(0, len(one.asked_at) - 1) for one in calls)
        successes = sum(len(one.asked_at) > len(one.raised) for one in calls)
        left = stage.budget("https://one.test").retries
        assert 0 <= left <= 100
        assert retries <= 10 + 0.1 * len(calls) + successes - left + 1e-9

    run_virtual(main())


def run_schedules(m, examples):
    @seed(21)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(CALLS)
    def check(operations):
        any_schedule(m, operations)

    check()


def test_no_random_schedule_breaks_a_rule():
    run_schedules(REAL, 500)


@pytest.mark.slow
def test_no_random_schedule_of_ten_thousand_breaks_a_rule():
    run_schedules(REAL, 10_000)


MUTANTS = [
    Mutant(CORE, "share = rng.random() if options.jitter else 1.0", "share = 1.0", "no jitter"),
    Mutant(CORE, "return share * bound", "return (0.5 + share / 2) * bound", "half of the jitter"),
    Mutant(CORE, "** (attempt - 1))", "** attempt)", "waits begin twice as long"),
    Mutant(
        CORE,
        "min(options.max_seconds, options.base_seconds",
        "max(0.0, options.base_seconds",
        "waits without a limit",
    ),
    Mutant(
        CORE,
        "    if asked is not None:\n        return asked +",
        "    if False:\n        return asked +",
        "Retry-After ignored",
    ),
    Mutant(
        CORE,
        "(share * options.base_seconds if options.jitter else 0.0)",
        "0.0",
        "no jitter after Retry-After",
    ),
    Mutant(
        CORE,
        "None if math.isnan(retry_after) or retry_after < 0 else",
        "None if math.isnan(retry_after) else",
        "a negative Retry-After counts",
    ),
    Mutant(
        CORE,
        "asked > options.max_retry_after_seconds",
        "asked >= options.max_retry_after_seconds",
        ">= for > at the longest Retry-After",
    ),
    Mutant(
        CORE,
        "if asked is not None and asked > options",
        "if asked is not None and asked < 0 > options",
        "any Retry-After is waited for",
    ),
    Mutant(
        CORE,
        "    if isinstance(should_retry, bool):\n        return should_retry\n",
        "",
        "x-should-retry ignored",
    ),
    Mutant(
        CORE,
        "FINAL_CODE.search(code.lower()",
        "not FINAL_CODE.search(code.lower()",
        "retryable and final codes swapped",
    ),
    Mutant(CORE, '.replace("-", "_")', "", "a per-day quota is tried again"),
    Mutant(
        CORE,
        "    if isinstance(error, CallRejectedError):",
        "    if False:",
        "rejections are tried again",
    ),
    Mutant(CORE, "attempt >= options.attempts", "attempt > options.attempts", "one attempt too many"),
    Mutant(CORE, "wait >= left_seconds", "wait > left_seconds", "a wait up to the deadline itself"),
    Mutant(CORE, "left_seconds is not None and wait", "left_seconds is None and wait", "deadline ignored"),
    Mutant(CORE, "    if shown:\n", "    if False:\n", "tried again after text was shown"),
    Mutant(CORE, "            self._tenths -= 10\n", "", "budget never spent"),
    Mutant(CORE, "if self._tenths < 10:", "if self._tenths <= 10:", "<= for < in the budget"),
    Mutant(
        CORE, "min(10 * self.CAP, self._tenths + tenths)", "self._tenths + tenths", "budget without a cap"
    ),
    Mutant(CORE, "        self._earn(1)\n", "        pass\n", "first attempts earn nothing"),
    Mutant(CORE, "        self._earn(10)\n", "        pass\n", "successes earn nothing"),
    Mutant(CORE, "if reason is None and budget.spend():", "if reason is None:", "budget never asked"),
    Mutant(
        CORE,
        "if reason is None and budget.spend():",
        "if budget.spend() and reason is None:",
        "budget spent on retries that do not happen",
    ),
    Mutant(CORE, "    last.__notes__ = [", "    _ = [", "no notes"),
    Mutant(STAGE, "        call.errors.append(failures[-1])\n", "", "errors not recorded"),
    Mutant(
        STAGE,
        "call.deadline - self._clock.monotonic()",
        "call.deadline - self._clock.unix()",
        "wall clock for the deadline",
    ),
    Mutant(STAGE, "shown=call.shown", "shown=False", "stage does not say that text was shown"),
    Mutant(
        CORE,
        "            error.__cause__ = failures[-1]",
        "            pass",
        "a rejection loses the fault before it",
    ),
    Mutant(
        STAGE,
        "self._budgets.setdefault(endpoint, RetryBudget())",
        'self._budgets.setdefault("", RetryBudget())',
        "one budget for all endpoints",
    ),
    Mutant(STAGE, "            await self._clock.sleep(wait)\n", "", "the stage does not wait"),
    Mutant(ALONE, "            await clock.sleep(wait)\n", "", "an async function does not wait"),
    Mutant(ALONE, "            clock.block(wait)\n", "", "a plain function does not wait"),
]


def test_an_unbroken_copy_is_not_killed():
    with broken(Mutant(CORE, "import math", "import math", "nothing")) as m:
        assert not is_killed(m, SCENARIOS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.label)
def test_a_mutant_is_killed(mutant):
    with broken(mutant) as m:
        assert is_killed(m, SCENARIOS), f"survived: {mutant.label}"
