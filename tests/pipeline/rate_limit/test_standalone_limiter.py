"""Tests of the standalone rate limiter: decorator, context manager, try_acquire."""

from __future__ import annotations

import asyncio
import doctest

import pytest

from ainb.errors import ConfigError, RateLimitError
from ainb.pipeline.rate_limit import standalone as rate_limiter
from ainb.pipeline.rate_limit.options import RateLimit
from ainb.pipeline.rate_limit.standalone import RateLimiter
from ainb.testing import FakeClock, run_virtual


def test_the_docstring_runs():
    assert doctest.testmod(rate_limiter).failed == 0


def test_the_decorator_takes_user_out_and_keeps_name_arguments_and_result():
    limiter = RateLimiter(RateLimit(requests_per_minute=60), clock=FakeClock())

    @limiter
    def ask(prompt, *, loud=False):
        """Ask."""
        return prompt.upper() if loud else prompt

    @limiter
    async def ask_later(prompt):
        return prompt

    assert ask("a", loud=True, user="ann") == "A"
    assert (ask.__name__, ask.__doc__) == ("ask", "Ask.")
    assert run_virtual(ask_later("b", user="ann")) == "b"
    assert limiter.status(user="ann")["requests_level"] == 8


def test_plain_calls_beyond_the_bucket_wait_for_their_turn():
    clock = FakeClock()
    limiter = RateLimiter(RateLimit(requests_per_minute=60), clock=clock)
    ask = limiter(clock.monotonic)

    times = [ask() for _ in range(12)]

    assert times[:10] == [0.0] * 10
    assert times[10:] == pytest.approx([1.0, 2.0], abs=1e-3)


def test_async_calls_beyond_the_bucket_wait_on_a_clock_without_a_loop_too():
    clock = FakeClock()
    limiter = RateLimiter(RateLimit(requests_per_minute=60), clock=clock)

    @limiter
    async def ask():
        return clock.monotonic()

    async def main():
        return [await ask() for _ in range(12)]

    assert run_virtual(main())[10:] == pytest.approx([1.0, 2.0], abs=1e-3)


def test_each_user_has_the_limits_to_itself_and_all_share_those_given_as_shared():
    limiter = RateLimiter(
        RateLimit(requests_per_minute=12), shared=RateLimit(requests_per_minute=18), clock=FakeClock()
    )

    assert [limiter.try_acquire(user="ann") for _ in range(3)] == [True, True, False]
    assert [limiter.try_acquire(user="bob") for _ in range(2)] == [True, False]


def test_try_acquire_takes_from_the_buckets_and_holds_no_slot():
    clock = FakeClock()
    limiter = RateLimiter(RateLimit(tokens_per_minute=600, concurrency=1), clock=clock)

    assert limiter.try_acquire(tokens=60)
    assert limiter.try_acquire(tokens=40)
    assert not limiter.try_acquire(tokens=1)
    clock.advance(0.1)
    assert limiter.try_acquire(tokens=1)
    assert limiter.status()["in_flight"] == 0


def test_a_scope_holds_a_slot_and_settles_what_was_used():
    limiter = RateLimiter(RateLimit(tokens_per_minute=6000, concurrency=1), clock=FakeClock())

    with limiter.permit(tokens=500) as permit:
        assert not limiter.try_acquire()
        permit.settle(tokens=100)

    assert limiter.status()["tokens_level"] == 900


def test_a_scope_gives_its_slot_back_on_any_exit():
    limiter = RateLimiter(RateLimit(concurrency=1, on_full="raise"), clock=FakeClock())

    async def main():
        async with limiter.permit(user="ann"):
            with pytest.raises(RateLimitError, match="a concurrency of 1 for each user"):
                limiter.permit(user="ann").__enter__()
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_virtual(main())
    with pytest.raises(KeyboardInterrupt), limiter.permit(user="ann"):
        raise KeyboardInterrupt

    assert limiter.status(user="ann")["in_flight"] == 0


def test_a_pause_stops_all_users():
    clock = FakeClock()
    limiter = RateLimiter(RateLimit(), clock=clock)
    limiter.pause(5)

    assert not limiter.try_acquire(user="ann")
    with limiter.permit(user="bob"):
        assert clock.monotonic() == pytest.approx(5.0)


def test_a_generator_function_is_refused():
    limiter = RateLimiter(RateLimit())

    async def stream():
        yield 1

    with pytest.raises(ConfigError, match="generator function"):
        limiter(stream)
