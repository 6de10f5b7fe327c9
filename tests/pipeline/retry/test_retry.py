"""Tests of retry: options, classification, waits, budget, stage, standalone decorator."""

from __future__ import annotations

import asyncio
import doctest
import inspect
import pickle
from random import Random

import pytest

from ainb.errors import (
    CircuitOpenError,
    ConfigError,
    DeadlineExceededError,
    InvalidReplyError,
    PermanentProviderError,
    ProviderError,
    RateLimitError,
    TransientProviderError,
)
from ainb.pipeline import compose
from ainb.pipeline.retry import standalone as retry
from ainb.pipeline.retry.policy import Retry, RetryBudget, backoff_seconds, is_retryable, next_wait
from ainb.pipeline.retry.stage import RetryStage
from ainb.pipeline.retry.standalone import retrying
from ainb.testing import FakeClock, run_virtual
from tests.attempts import HighRandom, LowRandom, Scripted, fault, make_call, virtual_clock

NAN = float("nan")
INF = float("inf")


def ask(outcomes, *, call=None, rng=None, **options):
    """Run one call through the stage; returns the reply or error, the call, and the times of the attempts."""

    async def main():
        provider, this = Scripted(outcomes), call or make_call()
        stage = RetryStage(Retry(**options), clock=virtual_clock(), rng=rng or LowRandom())
        end = (await asyncio.gather(compose([stage], provider)(this), return_exceptions=True))[0]
        return end, this, provider.asked_at

    return run_virtual(main())


class TestOptions:
    @pytest.mark.parametrize(
        ("field", "value", "range_text"),
        [
            ("attempts", 0, "a whole number at least 1"),
            ("attempts", 2.0, "a whole number at least 1"),
            ("attempts", True, "a whole number at least 1"),
            ("base_seconds", -1, "a number at least 0"),
            ("base_seconds", NAN, "a number at least 0"),
            ("max_seconds", INF, "a number at least 0"),
            ("multiplier", 0.5, "a number at least 1"),
            ("jitter", 1, "True or False"),
            ("max_retry_after_seconds", "x", "a number at least 0"),
        ],
    )
    def test_an_option_out_of_range_is_refused_with_name_range_and_value(self, field, value, range_text):
        with pytest.raises(ConfigError, match=f"^Retry.{field} must be {range_text}; it is {value!r}$"):
            Retry(**{field: value})

    @pytest.mark.parametrize("kinds", ["x", (ValueError, 5), KeyboardInterrupt, [asyncio.CancelledError]])
    def test_retry_on_takes_exception_types(self, kinds):
        with pytest.raises(ConfigError, match=r"Retry\.retry_on takes subclasses of Exception"):
            Retry(retry_on=kinds)

    def test_retry_on_may_be_one_type_or_a_list(self):
        assert Retry(retry_on=ValueError).retry_on == (ValueError,)
        assert Retry(retry_on=[ValueError, KeyError]).retry_on == (ValueError, KeyError)

    def test_the_defaults_are_those_of_the_contract(self):
        assert Retry() == Retry(
            attempts=4,
            base_seconds=0.5,
            max_seconds=20,
            multiplier=2,
            jitter=True,
            retry_on=(TransientProviderError, ConnectionError, TimeoutError),
            max_retry_after_seconds=120,
        )


class TestWhatIsRetried:
    @pytest.mark.parametrize(
        "error",
        [
            *(fault(status) for status in (None, 200, 408, 409, 425, 429, 500, 502, 503, 504, 529)),
            ConnectionResetError(),
            TimeoutError(),
            fault(429, code="rate_limit_exceeded"),
            fault(503, code=""),
            fault(400, should_retry=True),
            fault(429, code="insufficient_quota", should_retry=True),
        ],
        ids=repr,
    )
    def test_these_errors_are_retried(self, error):
        assert is_retryable(Retry(), error)

    @pytest.mark.parametrize(
        "error",
        [
            *(fault(status) for status in (400, 401, 402, 403, 404, 413, 422)),
            fault(503, should_retry=False),
            ValueError("x"),
            KeyError("x"),
            InvalidReplyError("x"),
            DeadlineExceededError("x"),
            CircuitOpenError("x"),
            RateLimitError("x"),
            ConfigError("x"),
        ],
        ids=repr,
    )
    def test_these_errors_are_not_retried(self, error):
        assert not is_retryable(Retry(), error)

    @pytest.mark.parametrize(
        "code",
        [
            "insufficient_quota",
            "INSUFFICIENT_QUOTA",
            "insufficient-credits",
            "Insufficient Balance",
            "insufficient_funds",
            "credit_balance_too_low",
            "exceeded_current_quota_error",
            "billing_hard_limit_reached",
            "billing_not_active",
            "spend_limit_exceeded",
            "spending limit reached",
            "tokens_per_day",
            "requests-per-day",
            "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
            "daily_limit_reached",
            "monthly_quota",
        ],
    )
    def test_spent_money_and_used_up_days_are_final_although_the_status_is_429(self, code):
        assert not is_retryable(Retry(), TransientProviderError("x", status_code=429, code=code))

    @pytest.mark.parametrize(
        "code", ["rate_limit_exceeded", "tokens", "requests_per_minute", "overloaded_error", "server_error"]
    )
    def test_other_codes_leave_it_to_the_status(self, code):
        assert is_retryable(Retry(), TransientProviderError("x", status_code=429, code=code))

    def test_a_rejection_is_never_tried_again_whatever_retry_on_says(self):
        error = CircuitOpenError("x")
        end, _, asked_at = ask([error, "yes"], retry_on=Exception)

        assert end is error
        assert asked_at == [0]

    def test_a_should_retry_that_is_not_a_bool_is_ignored(self):
        error = ConnectionError()
        error.should_retry = "no"
        error.code = 5

        assert is_retryable(Retry(), error)


class TestBackoff:
    def test_the_bound_doubles_up_to_the_limit(self):
        waits = [backoff_seconds(Retry(jitter=False), n, None, Random(1)) for n in range(1, 9)]

        assert waits == [0.5, 1, 2, 4, 8, 16, 20, 20]

    def test_jitter_spreads_over_the_whole_of_it(self):
        rng = Random(5)
        waits = [backoff_seconds(Retry(), 4, None, rng) for _ in range(2000)]

        assert 0 <= min(waits) < 0.1
        assert 3.9 < max(waits) < 4
        assert sum(waits) / len(waits) == pytest.approx(2, abs=0.1)

    def test_multiplier_and_base_are_used(self):
        options = Retry(base_seconds=2, multiplier=3, max_seconds=100, jitter=False)

        assert [backoff_seconds(options, n, None, Random(1)) for n in (1, 2, 3, 9)] == [2, 6, 18, 100]

    def test_many_attempts_overflow_into_the_limit(self):
        assert backoff_seconds(Retry(jitter=False), 100_000, None, Random(1)) == 20
        assert backoff_seconds(Retry(jitter=False, base_seconds=0), 100_000, None, Random(1)) == 0

    @pytest.mark.parametrize("asked", [0, 0.2, 7, 119.5])
    def test_retry_after_is_kept_to_with_a_little_jitter_on_top(self, asked):
        assert backoff_seconds(Retry(), 3, asked, LowRandom()) == asked
        assert backoff_seconds(Retry(), 3, asked, HighRandom()) == pytest.approx(asked + 0.5, abs=0.001)
        assert backoff_seconds(Retry(jitter=False), 3, asked, HighRandom()) == asked

    @pytest.mark.parametrize("asked", [None, -1, -0.001, NAN, -INF, "5", True])
    def test_a_retry_after_that_makes_no_sense_is_ignored(self, asked):
        assert backoff_seconds(Retry(jitter=False), 1, asked, LowRandom()) == 0.5


class TestBudget:
    def test_it_starts_with_ten(self):
        budget = RetryBudget()

        assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]

    def test_a_success_earns_one_and_ten_first_attempts_do_too(self):
        budget = RetryBudget()
        while budget.spend():
            pass
        budget.success()
        assert (budget.spend(), budget.spend()) == (True, False)

        for _ in range(9):
            budget.first_attempt()
        assert not budget.spend()
        budget.first_attempt()
        assert (budget.spend(), budget.spend()) == (True, False)

    def test_it_never_holds_more_than_a_hundred(self):
        budget = RetryBudget()
        for _ in range(500):
            budget.success()

        assert budget.retries == 100

    def test_a_refused_retry_costs_nothing(self):
        budget = RetryBudget()
        while budget.spend():
            pass
        for _ in range(5):
            budget.first_attempt()
        budget.spend()

        assert budget.retries == 0.5

    def test_each_place_has_its_own(self):
        stage = RetryStage(Retry())

        assert stage.budget("https://one.test") is stage.budget("https://one.test")
        assert stage.budget("https://one.test") is not stage.budget("https://two.test")


class TestNotes:
    def test_the_last_error_says_why_it_was_final_and_what_went_before(self):
        end, call, _ = ask([fault(503), ConnectionError("reset"), fault(500)], attempts=3)

        assert end is call.errors[-1]
        assert end.__notes__ == [
            "not tried again: that was attempt 3 of 3",
            "earlier attempt 1: TransientProviderError: made-up answered 503",
            "earlier attempt 2: ConnectionError: reset",
        ]

    def test_an_error_that_is_final_by_itself_carries_no_note(self):
        end, _, _ = ask([fault(401)])

        assert not hasattr(end, "__notes__")

    def test_a_final_error_after_a_transient_one_lists_that_one(self):
        end, _, _ = ask([fault(503), fault(401)])

        assert end.__notes__[0] == "not tried again: this error is final"
        assert "503" in end.__notes__[1]

    def test_one_object_raised_for_ever_gathers_no_notes_for_ever(self):
        error = fault(503)
        error.add_note("the function's own")
        for _ in range(20):
            ask([error], attempts=2)

        assert len(error.__notes__) == 3
        assert error.__notes__[0] == "the function's own"

    def test_notes_survive_pickling(self):
        end, _, _ = ask([fault(503)], attempts=1)

        assert pickle.loads(pickle.dumps(end)).__notes__ == end.__notes__  # noqa: S301 - our own object


class TestStage:
    def test_a_reply_passes_at_once(self):
        end, call, asked_at = ask(["yes"])

        assert end.text == "yes"
        assert (call.errors, asked_at) == ([], [0.0])

    def test_every_attempts_error_is_kept_on_the_call(self):
        errors = [fault(503), fault(429), TimeoutError()]
        end, call, asked_at = ask([*errors, "yes"])

        assert end.text == "yes"
        assert call.errors == errors
        assert len(asked_at) == 4

    @pytest.mark.parametrize("error", [fault(401), fault(429, code="insufficient_quota"), ValueError("bug")])
    def test_a_final_error_is_raised_at_once(self, error):
        end, call, asked_at = ask([error, "yes"])

        assert end is error
        assert call.errors == [error]
        assert asked_at == [0.0]

    def test_the_wait_follows_retry_after(self):
        _, _, asked_at = ask([fault(429, retry_after=7), fault(429, retry_after=0.0), "yes"])

        assert asked_at == [0, 7, 7]

    def test_a_longer_retry_after_than_allowed_fails_at_once_and_says_how_long(self):
        end, _, asked_at = ask([fault(429, retry_after=120.5), "yes"])

        assert end.retry_after == 120.5
        assert asked_at == [0]
        assert end.__notes__ == [
            "not tried again: the provider asks for a longer wait than max_retry_after_seconds=120"
        ]

    def test_an_endless_retry_after_fails_at_once(self):
        assert ask([fault(429, retry_after=INF), "yes"])[2] == [0]

    @pytest.mark.parametrize("error", [CircuitOpenError("open", retry_after=1.0), RateLimitError("full")])
    def test_a_rejection_at_the_first_attempt_is_raised_as_it_is(self, error):
        end, call, asked_at = ask([error, "yes"])

        assert end is error
        assert end.__cause__ is None
        assert (call.errors, asked_at) == ([], [0])

    def test_a_circuit_that_opens_between_attempts_is_raised_from_the_last_fault(self):
        rejection = CircuitOpenError("open", retry_after=1.0)
        end, call, _ = ask([fault(500), fault(503), rejection, "yes"])

        assert end is rejection
        assert end.__cause__ is call.errors[-1]
        assert [error.status_code for error in call.errors] == [500, 503]

    def test_nothing_is_sent_again_once_text_was_shown(self):
        shown = []

        async def main():
            async def provider(call):
                call.emit("a", 0.0)
                raise fault(None)

            call = make_call(on_text=shown.append)
            handler = compose([RetryStage(Retry(), clock=virtual_clock())], provider)
            with pytest.raises(TransientProviderError) as caught:
                await handler(call)
            return caught.value.__notes__

        assert run_virtual(main()) == ["not tried again: part of the reply was already shown"]
        assert shown == ["a"]

    def test_a_stream_that_fails_before_its_first_text_is_tried_again(self):
        end, _, asked_at = ask([fault(529), "yes"], call=make_call(on_text=print))

        assert end.text == "yes"
        assert len(asked_at) == 2

    @pytest.mark.parametrize(("deadline", "asked"), [(10.0, 1), (10.01, 2), (5.0, 1), (None, 2)])
    def test_no_wait_passes_the_deadline(self, deadline, asked):
        end, _, asked_at = ask(
            [fault(503, retry_after=10), fault(503, retry_after=500)], call=make_call(deadline=deadline)
        )

        assert len(asked_at) == asked
        assert end.status_code == 503

    def test_a_deadline_that_was_moved_meanwhile_counts(self):
        async def main():
            call = make_call(deadline=1.0)
            provider = Scripted([fault(503, retry_after=10), "yes"])
            loop = asyncio.get_running_loop()

            async def slow(this):
                await asyncio.sleep(0.5)
                return await provider(this)

            loop.call_later(0.25, setattr, call, "deadline", 60.0)
            handler = compose([RetryStage(Retry(), clock=virtual_clock(), rng=LowRandom())], slow)
            return (await handler(call)).text

        assert run_virtual(main()) == "yes"

    def test_a_cancelled_wait_ends_at_once(self):
        async def main():
            handler = compose(
                [RetryStage(Retry(), clock=virtual_clock())], Scripted([fault(503, retry_after=60)])
            )
            call = make_call()
            task = asyncio.ensure_future(handler(call))
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return asyncio.get_running_loop().time(), len(call.errors)

        assert run_virtual(main()) == (1, 1)

    def test_a_used_up_budget_raises_the_last_error_with_a_note(self):
        async def main():
            stage = RetryStage(Retry(), clock=virtual_clock(), rng=LowRandom())
            provider = Scripted([fault(503)])
            handler = compose([stage], provider)
            for _ in range(20):
                with pytest.raises(TransientProviderError) as caught:
                    await handler(make_call())
            why = caught.value.__notes__[0]
            with pytest.raises(TransientProviderError) as elsewhere:
                await handler(make_call(endpoint="https://two.test"))
            return why, len(provider.asked_at), elsewhere.value.__notes__[0]

        assert run_virtual(main()) == (
            "not tried again: calls to this provider fail too often just now (its retry budget is used up)",
            20 + 10 + 2 + 4,
            "not tried again: that was attempt 4 of 4",
        )

    def test_a_second_round_of_one_call_starts_with_all_its_attempts(self):
        async def main():
            provider = Scripted([fault(503), fault(503), "yes", fault(503), fault(503), "yes"])
            handler = compose([RetryStage(Retry(attempts=3), clock=virtual_clock())], provider)
            call = make_call()
            return (await handler(call)).text, (await handler(call)).text, len(call.errors)

        assert run_virtual(main()) == ("yes", "yes", 4)


class TestAlone:
    def test_a_decorated_async_function_stays_async_and_keeps_its_signature(self):
        async def search(text: str, *, size: int = 3) -> str:
            """Search."""
            return text * size

        retried = retrying()(search)

        assert inspect.iscoroutinefunction(retried)
        assert (retried.__name__, retried.__doc__) == ("search", "Search.")
        assert inspect.signature(retried) == inspect.signature(search)
        assert run_virtual(retried("a", size=2)) == "aa"

    def test_a_decorated_plain_function_stays_plain_and_waits_on_the_clock(self):
        clock = FakeClock()
        asked_at = []

        @retrying(Retry(attempts=4, jitter=False), clock=clock)
        def search(text):
            asked_at.append(clock.monotonic())
            if len(asked_at) < 4:
                raise ConnectionError("reset")
            return text

        assert not inspect.iscoroutinefunction(search)
        assert search("tea") == "tea"
        assert asked_at == [0, 0.5, 1.5, 3.5]

    def test_an_async_function_waits_on_the_loop(self):
        async def main():
            clock, asked_at = virtual_clock(), []

            @retrying(Retry(attempts=3, jitter=False, retry_on=KeyError), clock=clock)
            async def search():
                asked_at.append(clock.monotonic())
                raise KeyError("tea")

            with pytest.raises(KeyError) as caught:
                await search()
            return asked_at, caught.value.__notes__[0]

        assert run_virtual(main()) == ([0, 0.5, 1.5], "not tried again: that was attempt 3 of 3")

    def test_an_error_that_is_not_listed_is_raised_at_once(self):
        calls = []

        @retrying(Retry(retry_on=KeyError), clock=FakeClock())
        def search():
            calls.append(1)
            raise ValueError("bug")

        with pytest.raises(ValueError, match="bug"):
            search()
        assert len(calls) == 1

    def test_an_interrupt_is_never_tried_again(self):
        calls = []

        @retrying(Retry(retry_on=Exception), clock=FakeClock())
        def search():
            calls.append(1)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            search()
        assert len(calls) == 1

    def test_a_rejection_after_a_fault_is_raised_from_it(self):
        outcomes = [ConnectionError("reset"), CircuitOpenError("open")]

        @retrying(clock=FakeClock())
        def search():
            raise outcomes.pop(0)

        with pytest.raises(CircuitOpenError) as caught:
            search()
        assert isinstance(caught.value.__cause__, ConnectionError)

    def test_each_decorated_function_has_its_own_budget(self):
        decorate = retrying(Retry(jitter=False), clock=FakeClock())
        calls = {"a": 0, "b": 0}

        def down(name):
            calls[name] += 1
            raise ConnectionError(name)

        a, b = decorate(lambda: down("a")), decorate(lambda: down("b"))
        for _ in range(20):
            with pytest.raises(ConnectionError):
                a()
        with pytest.raises(ConnectionError):
            b()

        assert calls == {"a": 20 + 12, "b": 4}

    def test_a_function_that_succeeds_earns_its_retries(self):
        rng, clock = Random(4), FakeClock()
        lost = 0

        @retrying(Retry(attempts=8), clock=clock, rng=Random(5))
        def search():
            if rng.random() < 0.3:
                raise TimeoutError
            return "yes"

        for _ in range(300):
            lost += search() != "yes"
        assert lost == 0

    def test_a_generator_function_is_refused(self):
        def stream():
            yield 1

        with pytest.raises(ConfigError, match="stream is a generator function"):
            retrying()(stream)

    def test_the_examples_in_the_docstrings_hold(self):
        assert doctest.testmod(retry) == (0, 4)


def test_the_decision_needs_no_loop_and_no_clock():
    error = PermanentProviderError("x", status_code=401)

    assert isinstance(error, ProviderError)
    assert next_wait(Retry(), [error], budget=RetryBudget(), rng=LowRandom()) is None
    assert next_wait(Retry(), [fault(503)], budget=RetryBudget(), rng=LowRandom()) == 0
