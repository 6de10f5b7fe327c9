"""Tests of the circuit breaker under scripted and random schedules, and mutants that these must detect."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ainb.errors import CircuitOpenError
from ainb.testing import FakeClock
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

CORE, STAGES, ALONE = (
    "ainb.pipeline.circuit.state_machine",
    "ainb.pipeline.circuit.stage",
    "ainb.pipeline.circuit.standalone",
)
PROBES = 2
OPTIONS = {"minimum_calls": 4, "open_seconds": 30, "max_open_seconds": 60, "probes": PROBES}


def make(m, *, clock=None, rng=None, **options):
    clock = clock or FakeClock()
    return m.CircuitBreaker(m.Circuit(**options), clock=clock, rng=rng or LowRandom()), clock


def play(breaker, outcomes):
    """Run one call per letter: "x" fails, "." succeeds, "n" is neutral."""
    errors = {"x": fault(503), ".": None, "n": fault(429)}
    for letter in outcomes:
        breaker.end(breaker.begin(), errors[letter])


def is_refused(breaker):
    try:
        breaker.begin()
    except CircuitOpenError:
        return True
    return False


def half_open(m, **options):
    breaker, clock = make(m, minimum_calls=1, **options)
    play(breaker, "x")
    clock.advance(30)
    return breaker, clock


def opens_at_the_rate_and_not_below_it(m):
    for outcomes, state in {
        "....xxxx.x": "open",
        ".....xxxxx": "open",
        "......xxxx": "closed",
        "xxxxxxxxx": "closed",
        "xxxxxxxxxx": "open",
        "....." + 20 * "n" + "xxxx": "closed",
        ("." + "xxxx") * 2: "open",
    }.items():
        breaker, _ = make(m)
        play(breaker, outcomes)
        assert breaker.state == state, outcomes


def neutral_outcomes_count_on_neither_side(m):
    breaker, _ = make(m)
    play(breaker, "n" * 1000)
    assert breaker.state == "closed"
    play(breaker, "xxxxxxxxxx")
    assert breaker.state == "open"


def outcomes_leave_the_window(m):
    breaker, clock = make(m)
    play(breaker, "xxxxxxxxx")
    clock.advance(61)
    play(breaker, "x")
    assert breaker.state == "closed"
    assert breaker.status().calls == 1
    clock.advance(53)
    play(breaker, "xxxxxxxx")
    assert breaker.state == "closed"
    play(breaker, "x")
    assert breaker.state == "open"


def a_window_of_steady_calls_holds_its_length(m):
    breaker, clock = make(m, failure_rate=1)
    for _ in range(300):
        play(breaker, ".")
        clock.advance(1)
    assert 54 <= breaker.status().calls <= 60


def an_open_circuit_refuses_until_its_time(m):
    breaker, clock = make(m, minimum_calls=1)
    play(breaker, "x")
    for _ in range(29):
        assert is_refused(breaker)
        clock.advance(1)
    assert breaker.retry_after == pytest.approx(1)
    clock.advance(1)
    assert breaker.retry_after == 0
    assert not is_refused(breaker)
    assert breaker.state == "half-open"


def open_times_double_to_their_limit_and_start_anew_after_a_close(m):
    breaker, clock = make(m, minimum_calls=1)
    waits = []
    for _ in range(6):
        play(breaker, "x")
        waits.append(breaker.retry_after)
        clock.advance(breaker.retry_after)
    assert waits == pytest.approx([30, 60, 120, 240, 300, 300])
    play(breaker, "..")
    assert breaker.state == "closed"
    assert breaker.status().calls == 0
    play(breaker, "x")
    assert breaker.retry_after == pytest.approx(30)


def jitter_sets_clients_apart(m):
    waits = []
    for rng in (LowRandom(), HighRandom()):
        breaker, _ = make(m, minimum_calls=1, rng=rng)
        play(breaker, "x")
        waits.append(breaker.retry_after)
    assert waits == pytest.approx([30, 27], abs=0.01)


def both_probes_must_succeed(m):
    breaker, _ = half_open(m)
    play(breaker, ".")
    assert breaker.state == "half-open"
    play(breaker, ".")
    assert breaker.state == "closed"


def one_failed_probe_opens_again(m):
    breaker, clock = half_open(m)
    play(breaker, ".x")
    assert breaker.state == "open"
    assert breaker.retry_after == pytest.approx(60)
    clock.advance(60)
    play(breaker, ".")
    assert breaker.state == "half-open", "a success from before the last failure must not count"


def a_closed_circuit_starts_with_an_empty_window(m):
    breaker, clock = make(m)
    play(breaker, "x" * 10)
    clock.advance(30)
    play(breaker, "..")
    assert breaker.status().calls == 0
    play(breaker, "x")
    assert breaker.state == "closed"


def a_neutral_probe_gives_its_slot_back(m):
    breaker, _ = half_open(m)
    play(breaker, "nnnnnn..")
    assert breaker.state == "closed"


def a_third_probe_is_refused(m):
    breaker, _ = half_open(m)
    breaker.begin()
    breaker.check()
    breaker.begin()
    assert is_refused(breaker)
    with pytest.raises(CircuitOpenError):
        breaker.check()
    assert breaker.retry_after == 1.0


def a_second_probe_after_a_success_takes_the_last_slot(m):
    breaker, _ = half_open(m)
    play(breaker, ".")
    breaker.begin()
    assert is_refused(breaker)


def lost_probes_are_replaced_after_the_round(m):
    breaker, clock = half_open(m)
    breaker.begin()
    breaker.begin()
    clock.advance(29.75)
    assert is_refused(breaker)
    assert breaker.retry_after == 0.25
    clock.advance(0.25)
    assert breaker.retry_after == 0
    breaker.begin()
    breaker.begin()
    assert is_refused(breaker)
    clock.advance(30)
    play(breaker, "..")
    assert breaker.state == "closed"


def a_late_neutral_probe_frees_no_slot_of_the_next_round(m):
    breaker, clock = half_open(m)
    late = breaker.begin()
    breaker.begin()
    clock.advance(30)
    breaker.begin()
    breaker.begin()
    breaker.end(late, fault(429))
    assert is_refused(breaker)


def a_provider_slower_than_a_round_gets_back_in(m):
    breaker, clock = half_open(m)
    slow = [breaker.begin(), breaker.begin()]
    clock.advance(30)
    breaker.begin()
    for generation in slow:
        breaker.end(generation, None)
    assert breaker.state == "closed"


def late_results_of_an_older_state_are_dropped(m):
    breaker, clock = make(m, minimum_calls=1)
    late = [breaker.begin() for _ in range(6)]
    play(breaker, "x")
    breaker.end(late[0], fault(503))
    breaker.end(late[1], None)
    assert (breaker.state, breaker.retry_after) == ("open", pytest.approx(30))
    clock.advance(30)
    breaker.begin()
    breaker.end(late[2], None)
    breaker.end(late[3], None)
    assert breaker.state == "half-open"
    breaker.end(late[4], fault(503))
    assert breaker.state == "half-open"
    play(breaker, ".")
    assert breaker.state == "half-open"
    breaker.reset()
    breaker.end(late[5], fault(503))
    assert breaker.state == "closed"


def a_late_probe_does_not_count_once_closed(m):
    breaker, clock = half_open(m)
    late = breaker.begin()
    clock.advance(30)
    play(breaker, "..")
    assert breaker.state == "closed"
    breaker.end(late, fault(503))
    assert breaker.state == "closed"


def wall_clock_steps_change_nothing(m):
    breaker, clock = make(m, minimum_calls=1)
    play(breaker, "x")
    for step in (3600, -7200, 3600):
        clock.step_wall_clock(step)
        assert is_refused(breaker)
        assert breaker.retry_after == pytest.approx(30)
    clock.step_wall_clock(-7200)
    clock.advance(30)
    play(breaker, "..")
    assert breaker.state == "closed"


def stages_report_failures_and_refuse_before_the_line(m):
    async def main():
        breakers = m.Breakers(m.Circuit(minimum_calls=3), clock=virtual_clock(), rng=LowRandom())
        provider, lined_up = Scripted([fault(503)]), []

        async def line(call, proceed):
            lined_up.append(call)
            return await proceed(call)

        handler = compose([m.GateStage(breakers), line, m.PermitStage(breakers)], provider)
        await asyncio.gather(*(handler(make_call()) for _ in range(3)), return_exceptions=True)
        assert breakers.status()[0].state == "open"
        assert breakers.of(make_call(model="coffee")).state == "closed"
        for _ in range(5):
            with pytest.raises(CircuitOpenError):
                await handler(make_call())
        assert (len(lined_up), len(provider.asked_at)) == (3, 3)

    run_virtual(main())


def a_cancelled_probe_gives_its_permit_back(m):
    async def main():
        breakers = m.Breakers(m.Circuit(minimum_calls=1), clock=virtual_clock(), rng=LowRandom())

        async def hang(call):
            await asyncio.sleep(1000)

        handler = compose([m.GateStage(breakers), m.PermitStage(breakers)], hang)
        breaker = breakers.of(make_call())
        play(breaker, "x")
        await asyncio.sleep(30)
        for _ in range(5):
            task = asyncio.ensure_future(handler(make_call()))
            await asyncio.sleep(1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert breaker.state == "half-open"
        play(breaker, "..")
        assert breaker.state == "closed"

    run_virtual(main())


def a_disabled_circuit_counts_nothing_and_a_forced_one_stays_open(m):
    breaker, clock = make(m, minimum_calls=1)
    breaker.disable()
    play(breaker, "xxx")
    assert breaker.state == "disabled"
    breaker.force_open()
    clock.advance(10_000)
    assert is_refused(breaker)
    assert breaker.retry_after is None
    breaker.reset()
    play(breaker, ".")


SCENARIOS = [
    opens_at_the_rate_and_not_below_it,
    neutral_outcomes_count_on_neither_side,
    outcomes_leave_the_window,
    a_window_of_steady_calls_holds_its_length,
    an_open_circuit_refuses_until_its_time,
    open_times_double_to_their_limit_and_start_anew_after_a_close,
    jitter_sets_clients_apart,
    both_probes_must_succeed,
    one_failed_probe_opens_again,
    a_closed_circuit_starts_with_an_empty_window,
    a_neutral_probe_gives_its_slot_back,
    a_third_probe_is_refused,
    a_second_probe_after_a_success_takes_the_last_slot,
    lost_probes_are_replaced_after_the_round,
    a_late_neutral_probe_frees_no_slot_of_the_next_round,
    a_provider_slower_than_a_round_gets_back_in,
    late_results_of_an_older_state_are_dropped,
    a_late_probe_does_not_count_once_closed,
    wall_clock_steps_change_nothing,
    stages_report_failures_and_refuse_before_the_line,
    a_cancelled_probe_gives_its_permit_back,
    a_disabled_circuit_counts_nothing_and_a_forced_one_stays_open,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_scenario(scenario):
    scenario(REAL)


class Schedule:
    """Calls of random duration and outcome on one breaker, and its invariants at every step."""

    def __init__(self, m, clock):
        self.breaker = m.CircuitBreaker(m.Circuit(**OPTIONS), clock=clock, rng=Random(3))
        self.clock = clock
        self.counted = []
        self.under_way = {}
        self.won = 0
        self.probed_since = 0
        self.open_seconds = OPTIONS["open_seconds"]

    @property
    def core(self):
        return self.breaker._core

    def enter(self):
        """Take a permit and check that calls are refused exactly when they must be."""
        now, before, until = self.clock.monotonic(), self.core.state, self.core._until
        taken = self.under_way.get(self.core.generation, 0)
        try:
            generation = self.breaker.begin()
        except CircuitOpenError as refusal:
            self._check_refusal(refusal.retry_after, before, full=taken + self.won >= PROBES)
            assert now < until
            return None
        assert before != "open" or now >= until, (
            "a call passed an open circuit before the end of its open time"
        )
        if before == "open":
            self.won, self.probed_since = 0, generation
        if before == "half-open" and generation not in self.under_way:
            assert now >= until, "a new round of probes began before the old one expired"
        if self.core.state == "half-open":
            self.under_way[generation] = self.under_way.get(generation, 0) + 1
            assert self.under_way[generation] + self.won <= PROBES, "too many probes while half-open"
        return generation

    @staticmethod
    def _check_refusal(retry_after, state, *, full):
        assert state != "closed"
        assert state == "open" or full, "refused although a slot is free"
        assert 0 < retry_after <= OPTIONS["max_open_seconds"]

    def leave(self, generation, error):
        """Report an outcome and check that it changes only the state in which its call began."""
        before, calls = (self.core.state, self.core.generation), self.core.window.calls
        failed = None if isinstance(error, asyncio.CancelledError) else {"x": True, ".": False}.get(error)
        sent = {"x": fault(503), ".": None, "n": fault(429)}.get(error, error)
        self.breaker.end(generation, sent)
        after = (self.core.state, self.core.generation)
        if before[0] == "half-open" and generation >= self.probed_since:
            self.under_way[generation] -= 1
            self.won += failed is False
            expected = "open" if failed else "closed" if self.won >= PROBES else "half-open"
            assert after[0] == expected
        elif generation != before[1]:
            assert after == before, "a late result changed a newer state"
            assert self.core.window.calls == calls, "a late result was counted"
        elif before[0] == "closed":
            self._left_closed(generation, after[0], failed=failed)
        if after[0] == "closed" != before[0]:
            self.counted.clear()
            self.open_seconds = OPTIONS["open_seconds"]
            assert self.core.window.calls == 0
        if after[0] == "open" != before[0]:
            assert 0.9 * self.open_seconds <= self.breaker.retry_after <= self.open_seconds + 1e-6
            self.open_seconds = min(OPTIONS["max_open_seconds"], 2 * self.open_seconds)

    def _left_closed(self, generation, state, *, failed):
        bucket = int(self.clock.monotonic() // 6)
        if failed is not None:
            self.counted.append((bucket, failed))
        recent = [bad for at, bad in self.counted if at > bucket - 10]
        should_open = (
            bool(failed) and len(recent) >= OPTIONS["minimum_calls"] and 2 * sum(recent) >= len(recent)
        )
        assert (state == "open") == should_open, f"{state} with {recent}"


async def one_call(schedule, outcome, seconds):
    generation = schedule.enter()
    if generation is None:
        return
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError as cancelled:
        schedule.leave(generation, cancelled)
        raise
    if outcome != "lost":
        schedule.leave(generation, outcome)


def any_schedule(m, operations):
    """Check that no schedule violates an invariant, and that the circuit closes after recovery."""

    async def main():
        schedule = Schedule(m, virtual_clock())
        loop = asyncio.get_running_loop()
        tasks = []
        for gap, outcome, seconds, cancel_after in operations:
            await asyncio.sleep(gap)
            task = loop.create_task(one_call(schedule, outcome, seconds))
            if cancel_after is not None:
                loop.call_later(cancel_after, task.cancel)
            tasks.append(task)
        for end in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError):
                raise end
        for _ in range(8):
            await asyncio.sleep(61)
            for _ in range(PROBES):
                await one_call(schedule, ".", 0)
        assert schedule.breaker.state == "closed", "the circuit did not close"

    run_virtual(main())


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0.5, 5, 31, 61]),
        st.sampled_from(["x", "x", "x", ".", ".", ".", "n", "lost"]),
        st.sampled_from([0, 1, 20, 45, 100]),
        st.sampled_from([None, None, None, 0, 0.5, 20, 50]),
    ),
    min_size=8,
    max_size=50,
)


def run_schedules(m, examples, *, shrink=True):
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @seed(20)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    @given(OPERATIONS)
    def check(operations):
        any_schedule(m, operations)

    check()


def test_no_random_schedule_breaks_an_invariant():
    run_schedules(REAL, 500)


@pytest.mark.slow
def test_no_random_schedule_of_ten_thousand_breaks_an_invariant():
    run_schedules(REAL, 10_000)


MUTANTS = [
    Mutant(
        ALONE,
        "self._core.end(generation, failed=failed, now=self._clock.monotonic())",
        "self._core.end(generation, failed=failed, now=self._clock.unix())",
        "wall clock for outcomes",
    ),
    Mutant(
        ALONE,
        "            now = self._clock.monotonic()\n            taken",
        "            now = self._clock.unix()\n            taken",
        "wall clock for permits",
    ),
    Mutant(
        ALONE, "        self._breaker.end(self._generation, error)", "        pass", "permit never returned"
    ),
    Mutant(
        ALONE,
        "        self._breaker.end(self._generation, error)",
        "        if error is None or isinstance(error, Exception):\n            "
        "self._breaker.end(self._generation, error)",
        "permit not returned on cancel",
    ),
    Mutant(
        ALONE,
        "failed = error is not None and verdict(self._options, error)",
        "failed = error is not None",
        "every error is a failure",
    ),
    Mutant(
        STAGES,
        "        self._breakers.of(call).check()\n",
        "",
        "the gate passes calls into the queue",
    ),
    Mutant(
        STAGES,
        "key = (call.resolve_endpoint(), request.model)",
        'key = (call.resolve_endpoint(), "")',
        "one circuit for all models of an endpoint",
    ),
    Mutant(
        CORE,
        "    return True if failed else None\n",
        "    return bool(failed)\n",
        "neutral counts as success",
    ),
    Mutant(
        CORE,
        "if not isinstance(error, Exception) or isinstance(error, _NEUTRAL):\n        return None",
        "if not isinstance(error, Exception) or isinstance(error, _NEUTRAL):\n        return True",
        "cancellation is a failure",
    ),
    Mutant(
        CORE,
        "return status == REQUEST_TIMEOUT or status >= 500",
        "return status >= 400",
        "client errors are failures",
    ),
    Mutant(
        CORE, "return now >= self._until", "return now > self._until", "> for >= at the end of the open time"
    ),
    Mutant(
        CORE, "return self._has_slot() or now >= self._until", "return True", "half-open passes all calls"
    ),
    Mutant(
        CORE,
        "return self._has_slot() or now >= self._until",
        "return self._has_slot()",
        "lost probes are never replaced",
    ),
    Mutant(CORE, "            self._in_flight += 1\n", "            pass\n", "probes are not counted"),
    Mutant(
        CORE,
        "< self._options.probes\n",
        "<= self._options.probes\n",
        "one probe too many",
    ),
    Mutant(
        CORE,
        'elif self.state == "closed" and generation == self.generation and failed',
        'elif self.state == "closed" and failed',
        "late results count in the closed state",
    ),
    Mutant(
        CORE,
        "        if generation < self._probing_since:\n            return\n",
        "",
        "late results count as probes",
    ),
    Mutant(
        CORE,
        "        if generation < self._probing_since:\n",
        "        if generation != self.generation:\n",
        "probes slower than a round never close the circuit",
    ),
    Mutant(
        CORE,
        "        if generation == self.generation:\n            self._in_flight -= 1\n",
        "        self._in_flight -= 1\n",
        "a late probe frees a slot of the next round",
    ),
    Mutant(
        CORE,
        "            self._in_flight -= 1\n",
        "            self._in_flight -= failed is not None\n",
        "a neutral probe keeps its slot",
    ),
    Mutant(
        CORE,
        "self._successes >= self._options.probes",
        "self._successes >= 1",
        "one probe closes the circuit",
    ),
    Mutant(
        CORE,
        "        self._successes = 0\n        self._in_flight = 0\n        self._until",
        "        self._in_flight = 0\n        self._until",
        "successes of an earlier probing count",
    ),
    Mutant(
        CORE,
        "        self.generation += 1\n        self._in_flight = 0\n",
        "        self._in_flight = 0\n",
        "a new round keeps the generation",
    ),
    Mutant(
        CORE,
        "        self.state = state\n        self.generation += 1",
        "        self.state = state",
        "no generations",
    ),
    Mutant(
        CORE, "calls >= self._options.minimum_calls", "calls > self._options.minimum_calls", "> for >= calls"
    ),
    Mutant(
        CORE,
        "self.window.failures >= self._options.failure_rate * calls",
        "self.window.failures > self._options.failure_rate * calls",
        "> for >= at the rate",
    ),
    Mutant(CORE, " * (1 - OPEN_JITTER * self._rng.random())", "", "no jitter"),
    Mutant(
        CORE,
        "min(self._options.max_open_seconds, 2 * self._next_open_seconds)",
        "self._next_open_seconds",
        "no doubling",
    ),
    Mutant(
        CORE,
        "min(self._options.max_open_seconds, 2 * self._next_open_seconds)",
        "2 * self._next_open_seconds",
        "doubling without a limit",
    ),
    Mutant(
        CORE,
        "        self._next_open_seconds = self._options.open_seconds\n\n    def _enter",
        "\n    def _enter",
        "the open time is not reset",
    ),
    Mutant(CORE, "        self.window.clear()\n", "", "the window is not cleared on opening"),
    Mutant(
        CORE,
        "        if now >= self._bucket_ends:\n            self.roll(now)\n",
        "",
        "the window never rolls",
    ),
    Mutant(
        CORE,
        "min(index - self._index, BUCKETS) + 1)",
        "min(index - self._index, BUCKETS))",
        "the newest bucket keeps old outcomes",
    ),
    Mutant(
        CORE, "min(left, PROBE_CHECK_SECONDS)", "left", "retry_after of a half-open circuit is not capped"
    ),
]


def test_an_unbroken_copy_is_not_killed():
    with broken(Mutant(CORE, "BUCKETS = 10", "BUCKETS = 10", "nothing")) as m:
        assert not is_killed(m, SCENARIOS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.label)
def test_a_mutant_is_killed(mutant):
    with broken(mutant) as m:
        assert is_killed(m, SCENARIOS), f"survived: {mutant.label}"
