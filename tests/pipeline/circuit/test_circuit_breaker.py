"""Tests of the circuit breaker: options, classification of errors, decorator, stages, status."""

from __future__ import annotations

import asyncio
import concurrent.futures
import doctest
import functools
import inspect
import threading
from random import Random

import pytest

from ainb.errors import (
    CircuitOpenError,
    ConfigError,
    DeadlineExceededError,
    InvalidReplyError,
    PermanentProviderError,
    RateLimitError,
    TransientProviderError,
)
from ainb.pipeline import compose
from ainb.pipeline.circuit import standalone as circuit_breaker
from ainb.pipeline.circuit import state_machine as circuit_core
from ainb.pipeline.circuit.stage import Breakers, GateStage, PermitStage
from ainb.pipeline.circuit.standalone import CircuitBreaker
from ainb.pipeline.circuit.state_machine import Circuit, is_failure
from ainb.testing import FakeClock, run_virtual
from tests.attempts import HighRandom, LowRandom, Scripted, fault, make_call, virtual_clock


def make_breaker(clock, rng=None, **options):
    return CircuitBreaker(Circuit(**options), name="made-up:tea", clock=clock, rng=rng or LowRandom())


def fail(breaker, times=1, error=None):
    for _ in range(times):
        breaker.end(breaker.begin(), error or fault(503))


def succeed(breaker, times=1):
    for _ in range(times):
        breaker.end(breaker.begin(), None)


@pytest.fixture
def clock():
    return FakeClock()


class TestOptions:
    @pytest.mark.parametrize(
        ("field", "value", "range_text"),
        [
            ("failure_rate", 0, "a number above 0 and at most 1"),
            ("failure_rate", 1.01, "a number above 0 and at most 1"),
            ("failure_rate", True, "a number above 0 and at most 1"),
            ("minimum_calls", 0, "a whole number at least 1"),
            ("minimum_calls", 2.5, "a whole number at least 1"),
            ("window_seconds", 0, "a number above 0"),
            ("window_seconds", float("nan"), "a number above 0"),
            ("open_seconds", float("inf"), "a number above 0"),
            ("max_open_seconds", 29, "a number at least 30"),
            ("probes", 0, "a whole number at least 1"),
        ],
    )
    def test_an_option_out_of_range_is_refused_with_name_range_and_value(self, field, value, range_text):
        with pytest.raises(ConfigError, match=f"^Circuit.{field} must be {range_text}; it is {value!r}$"):
            Circuit(**{field: value})

    @pytest.mark.parametrize("rule", [KeyboardInterrupt, (ValueError, asyncio.CancelledError), 5, "x"])
    def test_failure_on_takes_exception_types_or_a_function(self, rule):
        with pytest.raises(ConfigError, match=r"Circuit\.failure_on takes subclasses of Exception"):
            Circuit(failure_on=rule)

    def test_the_defaults_are_those_of_the_contract(self):
        assert Circuit() == Circuit(
            failure_rate=0.5,
            minimum_calls=10,
            window_seconds=60,
            open_seconds=30,
            max_open_seconds=300,
            probes=2,
            failure_on=None,
        )

    def test_options_are_keyword_only_and_frozen(self):
        with pytest.raises(TypeError):
            Circuit(0.5)
        with pytest.raises(AttributeError):
            Circuit().probes = 3


class TestWhatCounts:
    @pytest.mark.parametrize("status", [None, 200, 408, 500, 502, 503, 504, 529, 599])
    def test_a_transient_fault_of_the_provider_is_a_failure(self, status):
        assert is_failure(TransientProviderError("x", status_code=status))

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 422, 425, 429])
    def test_a_client_error_is_neutral(self, status):
        assert not is_failure(TransientProviderError("x", status_code=status))
        assert not is_failure(PermanentProviderError("x", status_code=status))

    @pytest.mark.parametrize(
        "error",
        [
            PermanentProviderError("x"),
            InvalidReplyError("x"),
            DeadlineExceededError("x"),
            ConfigError("x"),
        ],
    )
    def test_an_error_of_ours_that_says_nothing_of_the_provider_is_neutral(self, error):
        assert not is_failure(error)

    @pytest.mark.parametrize("error", [ConnectionError(), TimeoutError(), ValueError("x"), KeyError("x")])
    def test_an_exception_of_a_user_function_is_a_failure(self, error):
        assert is_failure(error)

    @pytest.mark.parametrize(("status", "failed"), [(400, False), (429, False), (408, True), (502, True)])
    @pytest.mark.parametrize("field", ["status_code", "status"])
    def test_the_status_on_another_librarys_exception_is_read(self, status, failed, field):
        error = Exception("from an SDK")
        setattr(error, field, status)

        assert is_failure(error) is failed

    @pytest.mark.parametrize(
        "error",
        [
            fault(400),
            fault(401),
            fault(404),
            fault(422),
            fault(429),
            fault(409),
            asyncio.CancelledError(),
            KeyboardInterrupt(),
            SystemExit(),
            GeneratorExit(),
            concurrent.futures.CancelledError(),
            CircuitOpenError("x"),
            RateLimitError("x"),
        ],
        ids=repr,
    )
    def test_a_thousand_neutral_outcomes_leave_the_circuit_closed(self, clock, error):
        breaker = make_breaker(clock)

        fail(breaker, 1000, error)

        assert breaker.state == "closed"
        assert breaker.status().calls == 0

    def test_failure_on_types_replace_the_rule(self, clock):
        breaker = make_breaker(clock, minimum_calls=2, failure_on=[ValueError])

        fail(breaker, 50, fault(503))
        assert breaker.state == "closed"

        fail(breaker, 2, ValueError("x"))
        assert breaker.state == "open"

    def test_failure_on_may_be_one_type(self, clock):
        breaker = make_breaker(clock, minimum_calls=1, failure_on=ValueError)

        fail(breaker, 1, ValueError("x"))

        assert breaker.state == "open"

    def test_failure_on_may_be_a_function_of_the_exception(self, clock):
        breaker = make_breaker(clock, minimum_calls=2, failure_on=lambda error: "down" in str(error))

        fail(breaker, 50, ValueError("up"))
        assert breaker.state == "closed"

        fail(breaker, 2, ValueError("down"))
        assert breaker.state == "open"

    @pytest.mark.parametrize("error", [CircuitOpenError("x"), asyncio.CancelledError(), KeyboardInterrupt()])
    def test_rejections_and_cancellation_are_neutral_whatever_failure_on_says(self, clock, error):
        breaker = make_breaker(clock, minimum_calls=1, failure_on=lambda _error: True)

        fail(breaker, 20, error)

        assert breaker.state == "closed"

    def test_a_failure_on_that_raises_keeps_no_permit(self, clock):
        def rule(error):
            raise LookupError("a bug in the rule")

        breaker = make_breaker(clock, minimum_calls=1, probes=1, failure_on=rule)
        breaker._core._open(clock.monotonic())
        clock.advance(31)
        with pytest.raises(LookupError), breaker.permit():
            raise ValueError

        succeed(breaker)

        assert breaker.state == "closed"


class TestForcedStates:
    def test_forced_open_refuses_until_reset(self, clock):
        breaker = make_breaker(clock)
        breaker.force_open()
        clock.advance(10_000)

        assert breaker.state == "forced-open"
        assert breaker.retry_after is None
        for ask in (breaker.check, breaker.begin):
            with pytest.raises(CircuitOpenError, match="is switched off") as caught:
                ask()
            assert caught.value.retry_after is None

        breaker.reset()
        assert breaker.state == "closed"
        succeed(breaker)

    def test_disabled_lets_everything_through_and_counts_nothing(self, clock):
        breaker = make_breaker(clock)
        breaker.disable()

        fail(breaker, 100)

        assert breaker.state == "disabled"
        assert breaker.retry_after == 0
        assert breaker.status().calls == 0

    def test_disabling_an_open_circuit_lets_calls_through(self, clock):
        breaker = make_breaker(clock, minimum_calls=1)
        fail(breaker)
        breaker.disable()

        breaker.check()
        succeed(breaker)

    def test_a_result_from_before_a_reset_does_not_count(self, clock):
        breaker = make_breaker(clock, minimum_calls=1)
        late = breaker.begin()
        breaker.reset()

        breaker.end(late, fault(503))

        assert breaker.state == "closed"
        assert breaker.status().calls == 0

    def test_reset_starts_with_the_first_open_time_again(self, clock):
        breaker = make_breaker(clock, minimum_calls=1)
        for _ in range(3):
            fail(breaker)
            clock.advance(400)
        breaker.reset()

        fail(breaker)

        assert breaker.retry_after == pytest.approx(30)


class TestText:
    def test_the_refusal_names_the_model_the_limits_and_the_way_out_on_one_line(self, clock):
        breaker = make_breaker(clock)
        fail(breaker, 10)
        clock.advance(3.25)

        with pytest.raises(CircuitOpenError) as caught:
            breaker.begin()

        assert str(caught.value) == (
            "made-up:tea failed too often just now (50 % of at least 10 calls within 60 s); nothing was "
            "sent; "
            "try another model or wait"
        )
        assert caught.value.retry_after == pytest.approx(26.75)

    def test_the_text_is_the_same_while_probes_are_under_way(self, clock):
        breaker = make_breaker(clock, minimum_calls=1)
        fail(breaker)
        with pytest.raises(CircuitOpenError) as first:
            breaker.begin()
        clock.advance(31)
        breaker.begin()
        breaker.begin()
        with pytest.raises(CircuitOpenError) as second:
            breaker.begin()

        assert str(first.value) == str(second.value)
        assert second.value.retry_after == 1.0

    def test_repr_shows_name_and_state(self, clock):
        assert repr(make_breaker(clock)) == "<CircuitBreaker made-up:tea: closed>"


class TestAlone:
    def test_a_decorated_async_function_stays_async_and_keeps_its_signature(self):
        async def ask(prompt: str, *, size: int = 3) -> str:
            """Ask."""
            return prompt * size

        guarded = CircuitBreaker()(ask)

        assert inspect.iscoroutinefunction(guarded)
        assert guarded.__name__ == "ask"
        assert guarded.__doc__ == "Ask."
        assert inspect.signature(guarded) == inspect.signature(ask)
        assert run_virtual(guarded("a", size=2)) == "aa"

    def test_a_decorated_plain_function_stays_plain(self):
        @CircuitBreaker()
        def ask(prompt):
            return prompt.upper()

        assert not inspect.iscoroutinefunction(ask)
        assert ask("a") == "A"

    def test_a_decorated_method_gets_its_instance(self):
        breaker = CircuitBreaker()

        class Client:
            word = "tea"

            @breaker
            def plain(self):
                return self.word

            @breaker
            async def waiting(self):
                return self.word

        assert Client().plain() == "tea"
        assert run_virtual(Client().waiting()) == "tea"

    def test_partials_and_objects_with_an_async_call_are_awaited(self, clock):
        breaker = make_breaker(clock, minimum_calls=1)

        class Client:
            async def __call__(self, text):
                raise ConnectionError(text)

        guarded = functools.wraps(Client.__call__)(breaker(functools.partial(Client(), "a")))
        wrapped = breaker(Client())

        with pytest.raises(ConnectionError):
            run_virtual(wrapped("a"))
        assert breaker.state == "open"
        assert callable(guarded)

    def test_a_generator_function_is_refused(self):
        def stream():
            yield 1

        async def astream():
            yield 1

        for function in (stream, astream):
            with pytest.raises(ConfigError, match="is a generator function"):
                CircuitBreaker()(function)

    def test_call_takes_async_and_plain_functions_and_lambdas_that_make_a_coroutine(self):
        async def ask(prompt, *, size):
            return prompt * size

        async def main():
            breaker = CircuitBreaker()
            return [
                await breaker.call(ask, "a", size=2),
                await breaker.call(str.upper, "b"),
                await breaker.call(lambda: ask("c", size=1)),
            ]

        assert run_virtual(main()) == ["aa", "B", "c"]

    def test_failures_of_a_plain_function_open_the_circuit(self, clock):
        breaker = make_breaker(clock, minimum_calls=3)
        calls = []

        @breaker
        def ask():
            calls.append(1)
            raise OSError("down")

        for _ in range(3):
            with pytest.raises(OSError, match="down"):
                ask()
        for _ in range(50):
            with pytest.raises(CircuitOpenError):
                ask()

        assert len(calls) == 3

    def test_an_interrupt_in_a_probe_gives_the_permit_back(self, clock):
        breaker = make_breaker(clock, minimum_calls=1)
        fail(breaker)
        clock.advance(31)
        for _ in range(10):
            with pytest.raises(KeyboardInterrupt), breaker.permit():
                raise KeyboardInterrupt

        succeed(breaker, 2)

        assert breaker.state == "closed"

    def test_the_examples_in_the_docstrings_hold(self):
        for module in (circuit_breaker, circuit_core):
            assert doctest.testmod(module).failed == 0


class TestThreads:
    def test_counts_are_exact_under_many_threads(self, clock):
        breaker = make_breaker(clock, failure_rate=1)
        start = threading.Barrier(8)

        def work():
            start.wait(10)
            for number in range(500):
                breaker.end(breaker.begin(), fault(503) if number % 2 else None)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        assert breaker.status().calls == 4000
        assert breaker.status().failure_rate == 0.5

    def test_of_fifty_threads_two_are_probes(self, clock):
        breaker = make_breaker(clock, minimum_calls=1)
        fail(breaker)
        clock.advance(31)
        start = threading.Barrier(50)
        through = []

        def work():
            start.wait(10)
            try:
                through.append(breaker.begin())
            except CircuitOpenError:
                return

        threads = [threading.Thread(target=work) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        assert len(through) == 2


class TestRegistry:
    def test_a_circuit_belongs_to_one_model_at_one_place(self, clock):
        breakers = Breakers(clock=clock)
        one = breakers.of(make_call())

        assert breakers.of(make_call()) is one
        assert breakers.of(make_call(model="coffee")) is not one
        assert breakers.of(make_call(endpoint="https://two.test")) is not one
        assert len(breakers.find("made-up:tea")) == 2
        assert breakers.find("made-up:milk") == []

    def test_status_has_a_row_for_each_circuit(self, clock):
        breakers = Breakers(Circuit(minimum_calls=4), clock=clock, rng=LowRandom())
        fail(breakers.of(make_call()), 4)
        succeed(breakers.of(make_call(model="coffee")), 3)
        breakers.of(make_call(model="milk"))
        clock.advance(10)

        rows = [
            (row.name, row.state, row.probe_in_s, row.failure_rate, row.calls) for row in breakers.status()
        ]

        assert rows == [
            ("made-up:tea", "open", 20.0, 1.0, 4),
            ("made-up:coffee", "closed", None, 0.0, 3),
            ("made-up:milk", "closed", None, None, 0),
        ]
        assert {row.endpoint for row in breakers.status()} == {"https://one.test"}

    def test_status_drops_what_has_left_the_window(self, clock):
        breaker = make_breaker(clock)
        succeed(breaker, 3)
        clock.advance(61)

        assert breaker.status().calls == 0

    def test_reset_closes_all_of_them(self, clock):
        breakers = Breakers(Circuit(minimum_calls=1), clock=clock)
        for model in ("tea", "coffee"):
            fail(breakers.of(make_call(model=model)))
        breakers.reset()

        assert {row.state for row in breakers.status()} == {"closed"}


class Line:
    """A stage that delays every call, like the queue of the rate limiter."""

    def __init__(self, seconds=5.0):
        self.seconds = seconds
        self.entered = 0

    async def __call__(self, call, proceed):
        self.entered += 1
        await asyncio.sleep(self.seconds)
        return await proceed(call)


class TestStages:
    def test_an_open_circuit_refuses_before_the_queue(self):
        async def main():
            breakers = Breakers(Circuit(minimum_calls=1), clock=virtual_clock(), rng=LowRandom())
            line, provider = Line(), Scripted()
            handler = compose([GateStage(breakers), line, PermitStage(breakers)], provider)
            fail(breakers.of(make_call()))
            with pytest.raises(CircuitOpenError) as caught:
                await handler(make_call())
            return line.entered, provider.asked_at, caught.value.retry_after

        assert run_virtual(main()) == (0, [], 30.0)

    def test_a_half_open_circuit_without_a_free_slot_refuses_before_the_queue(self):
        async def main():
            breakers = Breakers(Circuit(minimum_calls=1), clock=virtual_clock(), rng=LowRandom())
            line = Line()
            handler = compose([GateStage(breakers), line, PermitStage(breakers)], Scripted([10.0, "yes"]))
            breaker = breakers.of(make_call())
            fail(breaker)
            await asyncio.sleep(30)
            breaker.begin()
            breaker.begin()
            with pytest.raises(CircuitOpenError):
                await handler(make_call())
            return line.entered

        assert run_virtual(main()) == 0

    def test_of_fifty_callers_at_once_two_reach_a_half_open_provider(self):
        async def main():
            breakers = Breakers(Circuit(minimum_calls=1), clock=virtual_clock(), rng=LowRandom())
            provider = Scripted([1.0, "yes", 1.0, "yes"])
            handler = compose([GateStage(breakers), Line(), PermitStage(breakers)], provider)
            fail(breakers.of(make_call()))
            await asyncio.sleep(30)
            ends = await asyncio.gather(*(handler(make_call()) for _ in range(50)), return_exceptions=True)
            return len(provider.asked_at), sum(isinstance(end, CircuitOpenError) for end in ends), breakers

        asked, refused, breakers = run_virtual(main())
        assert (asked, refused) == (2, 48)
        assert breakers.status()[0].state == "closed"

    def test_a_dead_server_with_eight_workers_is_hit_at_most_eighteen_times(self):
        async def main():
            breakers = Breakers(clock=virtual_clock(), rng=Random(7))
            provider = Scripted([fault(503)])
            handler = compose([GateStage(breakers), Line(0.05), PermitStage(breakers)], provider)

            async def worker():
                while asyncio.get_running_loop().time() < 20:
                    try:
                        await handler(make_call())
                    except (TransientProviderError, CircuitOpenError):
                        await asyncio.sleep(0.01)

            await asyncio.gather(*(worker() for _ in range(8)))
            return provider.asked_at

        asked_at = run_virtual(main())
        assert 10 <= len(asked_at) <= 18
        assert max(asked_at) < 1

    def test_steps_of_the_wall_clock_change_nothing(self):
        def story(step):
            clock = FakeClock()
            breaker = make_breaker(clock, minimum_calls=2)
            states = []
            for number in range(20):
                clock.step_wall_clock(step if number % 2 else -step)
                try:
                    fail(breaker) if number < 6 else succeed(breaker)
                except CircuitOpenError as error:
                    states.append(error.retry_after)
                states.append(breaker.state)
                clock.advance(7)
            return states

        assert story(0) == story(3600) == story(-3600)
        assert "open" in story(0)
        assert story(0)[-1] == "closed"

    @pytest.mark.parametrize("state", ["closed", "half-open"])
    def test_cancellation_at_every_await_leaks_no_permit(self, state):
        async def cancelled_after(steps):
            breakers = Breakers(Circuit(minimum_calls=1), clock=virtual_clock(), rng=LowRandom())
            breaker = breakers.of(make_call())
            if state == "half-open":
                fail(breaker)
                await asyncio.sleep(30)

            async def provider(call):
                for _ in range(5):
                    await asyncio.sleep(0)
                raise fault(503)

            async def line(call, proceed):
                for _ in range(3):
                    await asyncio.sleep(0)
                return await proceed(call)

            handler = compose([GateStage(breakers), line, PermitStage(breakers)], provider)
            tasks = [asyncio.ensure_future(handler(make_call())) for _ in range(2)]
            for _ in range(steps):
                await asyncio.sleep(0)
            was_done = [task.done() for task in tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert breaker.state == "open" or breaker._core._in_flight == 0
            if not any(was_done):
                assert breaker.retry_after == 0
                succeed(breaker, 2)
                assert breaker.state == "closed"
            return all(was_done)

        steps = 0
        while not run_virtual(cancelled_after(steps)):
            steps += 1
            assert steps < 30
        assert steps > 5

    def test_a_gate_and_a_permit_of_a_closed_circuit_pass_the_reply_on(self):
        async def main():
            breakers = Breakers(clock=virtual_clock())
            handler = compose([GateStage(breakers), PermitStage(breakers)], Scripted(["yes"]))
            return (await handler(make_call())).text, breakers.status()[0].calls

        assert run_virtual(main()) == ("yes", 1)


class TestJitter:
    def test_jitter_only_shortens_the_open_time_and_by_a_tenth_at_most(self, clock):
        longest, shortest = (make_breaker(clock, rng(), minimum_calls=1) for rng in (LowRandom, HighRandom))
        fail(longest)
        fail(shortest)

        assert longest.retry_after == pytest.approx(30)
        assert shortest.retry_after == pytest.approx(27, abs=0.01)
