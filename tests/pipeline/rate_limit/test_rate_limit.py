"""Tests of the rate limiter: buckets, FIFO queue, stage."""

from __future__ import annotations

import asyncio
import math
import threading

import pytest

from ainb.clock import SYSTEM_CLOCK
from ainb.errors import (
    CircuitOpenError,
    ConfigError,
    PermanentProviderError,
    RateLimitError,
    TransientProviderError,
)
from ainb.messages import Call, CallOptions, Message, Reply, Request, Usage
from ainb.pipeline.rate_limit.buckets import ONE_REQUEST, Bucket, call_cost
from ainb.pipeline.rate_limit.local import LocalLimiter
from ainb.pipeline.rate_limit.options import RateLimit
from ainb.pipeline.rate_limit.permits import Waiter
from ainb.pipeline.rate_limit.queue import LimiterCore
from ainb.pipeline.rate_limit.stage import RateLimitStage, RecentOutputs
from ainb.providers.scripted import ScriptedProvider
from ainb.testing import FakeClock, run_virtual
from tests.forks import end_of, in_child, start_child

TEN_A_SECOND = RateLimit(requests_per_minute=600)


def make_call(clock, *, model="m", user=None, deadline=None, **parameters):
    return Call(
        request=Request(
            provider="p", model=model, messages=(Message("user", "hello"),), parameters=parameters
        ),
        provider=ScriptedProvider(clock=clock),
        options=CallOptions(user=user),
        deadline=deadline,
    )


def make_stage(options, clock, *, estimate=(100, 50), readings=(), **more):
    return RateLimitStage(
        options, clock, estimate=lambda _: estimate, read_headers=lambda _: list(readings), **more
    )


def answer(*, usage=None, headers=None, error=None):
    async def send(call):
        call.attempts += 1
        if error is not None:
            raise error
        return Reply(text="ok", usage=usage or Usage(), headers=headers or {})

    return send


def on_virtual_time(scenario):
    async def main():
        clock = FakeClock(loop=asyncio.get_running_loop())
        await scenario(clock)

    run_virtual(main())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"requests_per_minute": 0}, "RateLimit.requests_per_minute must be a number above 0; it is 0"),
        ({"tokens_per_minute": math.nan}, "RateLimit.tokens_per_minute must be a number above 0; it is nan"),
        ({"input_tokens_per_minute": True}, "RateLimit.input_tokens_per_minute must be a number above 0"),
        ({"output_tokens_per_minute": "9"}, "RateLimit.output_tokens_per_minute must be a number above 0"),
        ({"concurrency": 0}, "RateLimit.concurrency must be a whole number at least 1; it is 0"),
        ({"concurrency": 1.5}, "RateLimit.concurrency must be a whole number at least 1; it is 1.5"),
        ({"strict": 1}, "RateLimit.strict must be True or False; it is 1"),
        ({"on_full": "drop"}, 'RateLimit.on_full must be "wait" or "raise"; it is \'drop\''),
    ],
)
def test_an_option_out_of_range_is_refused_with_its_name_range_and_value(options, text):
    with pytest.raises(ConfigError) as caught:
        RateLimit(**options)

    assert text in str(caught.value)


def test_a_full_bucket_holds_a_sixth_of_a_minute_and_at_least_one():
    assert [Bucket(limit, 0.0).capacity for limit in (1, 6, 60, 600)] == [1, 1, 10, 100]


def test_a_large_request_waits_for_a_full_bucket_and_owes_the_rest():
    bucket = Bucket(600, 0.0)
    bucket.take(40)

    assert bucket.wait(250, 0.0) == pytest.approx(4.0)
    bucket.refill(4.0)
    bucket.take(250)
    assert bucket.level == -150
    assert bucket.wait(1, 4.0) == pytest.approx(15.1)


def test_a_large_request_at_the_head_waits_no_longer_than_it_must():
    async def scenario(clock):
        limiter = LocalLimiter(RateLimit(tokens_per_minute=600), clock)
        await limiter.acquire(call_cost(100, 0))
        small = []

        async def later():
            await asyncio.sleep(1)
            await limiter.acquire(call_cost(1, 0))
            small.append(clock.monotonic())

        task = asyncio.ensure_future(later())
        await limiter.acquire(call_cost(500, 0))

        assert 10 <= clock.monotonic() <= 10 * 1.05
        await task
        assert small[0] >= 10 + 40  # a debt of 400 at 10 per second: no call passes the large one

    on_virtual_time(scenario)


def test_steps_of_the_wall_clock_make_no_wait_and_no_burst():
    async def scenario(clock):
        limiter = LocalLimiter(TEN_A_SECOND, clock)
        times = []
        for number in range(150):
            if number in {50, 120}:
                clock.step_wall_clock(3600 if number == 50 else -7200)
            limiter.settle(await limiter.acquire(ONE_REQUEST))
            times.append(clock.monotonic())

        assert times[99] == 0
        assert times[149] == pytest.approx(5.0)

    on_virtual_time(scenario)


def test_a_wait_that_must_pass_the_deadline_is_refused_at_once():
    async def scenario(clock):
        stage = make_stage(RateLimit(requests_per_minute=6), clock)
        await stage(make_call(clock), answer())

        with pytest.raises(RateLimitError) as caught:
            await stage(make_call(clock, deadline=9.0), answer())

        assert clock.monotonic() == 0
        assert caught.value.retry_after == pytest.approx(10.0)
        assert str(caught.value) == (
            "p:m is limited to 6 requests a minute, and the wait is longer than this call may take; "
            "raise --timeout (timeout_seconds) or the limit, or send less"
        )
        await stage(make_call(clock, deadline=11.0), answer())
        assert clock.monotonic() == pytest.approx(10.0)

    on_virtual_time(scenario)


def test_calls_in_line_count_towards_the_wait_that_is_refused():
    async def scenario(clock):
        limiter = LocalLimiter(RateLimit(requests_per_minute=6), clock)
        await limiter.acquire(ONE_REQUEST)
        ahead = [asyncio.ensure_future(limiter.acquire(ONE_REQUEST)) for _ in range(3)]
        await asyncio.sleep(0)

        with pytest.raises(RateLimitError):
            await limiter.acquire(ONE_REQUEST, deadline=39.0)
        await limiter.acquire(ONE_REQUEST, deadline=41.0)

        assert all(task.done() for task in ahead)

    on_virtual_time(scenario)


def test_a_wait_for_a_call_in_flight_is_not_refused():
    async def scenario(clock):
        limiter = LocalLimiter(RateLimit(concurrency=1), clock)
        held = await limiter.acquire(ONE_REQUEST)
        asyncio.get_running_loop().call_later(0.5, limiter.settle, held)

        await limiter.acquire(ONE_REQUEST, deadline=0.1)

        assert clock.monotonic() == 0.5

    on_virtual_time(scenario)


def test_a_pause_longer_than_a_call_in_line_may_take_refuses_it_at_once():
    async def scenario(clock):
        stage = make_stage(RateLimit(requests_per_minute=6), clock)
        await stage(make_call(clock), answer())
        waiting = asyncio.ensure_future(stage(make_call(clock, deadline=60.0), answer()))
        patient = asyncio.ensure_future(stage(make_call(clock, deadline=400.0), answer()))
        await asyncio.sleep(1)

        stage.limiter(make_call(clock)).pause(200)
        await asyncio.sleep(0)

        with pytest.raises(
            RateLimitError, match="paused for 200 s, because the provider asked for a pause, and the"
        ) as caught:
            await waiting
        assert caught.value.retry_after == pytest.approx(200)
        assert str(caught.value).endswith("; raise --timeout (timeout_seconds)")
        assert clock.monotonic() == 1
        await patient
        assert clock.monotonic() == pytest.approx(201)

    on_virtual_time(scenario)


def test_on_full_raise_says_when_to_come_back():
    async def scenario(clock):
        stage = make_stage(RateLimit(requests_per_minute=6, on_full="raise"), clock)
        await stage(make_call(clock), answer())

        with pytest.raises(
            RateLimitError, match="limited to 6 requests a minute, and no permit is free"
        ) as caught:
            await stage(make_call(clock), answer())
        assert caught.value.retry_after == pytest.approx(10.0)

        slots = LocalLimiter(RateLimit(concurrency=1, on_full="raise"), clock)
        await slots.acquire(ONE_REQUEST)
        with pytest.raises(RateLimitError, match="limited to a concurrency of 1") as caught:
            await slots.acquire(ONE_REQUEST)
        assert caught.value.retry_after is None

    on_virtual_time(scenario)


def test_a_429_drains_the_bucket_pauses_all_calls_and_slows_down():
    async def scenario(clock):
        stage = make_stage(TEN_A_SECOND, clock)
        refusal = TransientProviderError("slow", status_code=429, retry_after=7.0)

        with pytest.raises(TransientProviderError):
            await stage(make_call(clock), answer(error=refusal))

        (row,) = stage.status()
        assert row["requests_level"] == 0
        assert row["requests_limit"] == pytest.approx(420)
        assert row["paused_s"] == 7
        await stage(make_call(clock), answer())
        assert clock.monotonic() == pytest.approx(7.0)

    on_virtual_time(scenario)


def test_429s_slow_down_at_most_once_a_second_and_not_for_calls_sent_before():
    core = LimiterCore(TEN_A_SECOND, None, 0.0)
    early = [core.try_take(ONE_REQUEST, None, 0.0) for _ in range(3)]

    core.slow_down(early[0], 5.0)
    core.slow_down(early[1], 5.5)
    core.slow_down(early[2], 9.0)
    assert core.share == pytest.approx(0.7)
    late = core.try_take(ONE_REQUEST, None, 9.9)
    core.slow_down(late, 10.0)
    assert core.share == pytest.approx(0.49)
    again = core.try_take(ONE_REQUEST, None, 10.5)
    core.slow_down(again, 10.9)

    assert core.share == pytest.approx(0.49)


def test_the_share_grows_back_slowly_up_to_the_whole():
    core = LimiterCore(TEN_A_SECOND, None, 0.0)
    core.slow_down(core.try_take(ONE_REQUEST, None, 0.0), 0.0)

    for second in range(1, 31):
        core.settle(core.try_take(ONE_REQUEST, None, second), ONE_REQUEST, second)
    assert core.share == pytest.approx(0.85)
    for second in range(31, 100):
        core.settle(core.try_take(ONE_REQUEST, None, second), ONE_REQUEST, second)

    assert core.share == 1.0
    assert core.shared.buckets[0][1].limit == 600


@pytest.mark.parametrize(
    "error",
    [
        PermanentProviderError("no quota", status_code=429, retry_after=50),
        TransientProviderError("busy", status_code=503),
        TransientProviderError("odd", status_code=503, retry_after=math.nan),
        TransientProviderError("odd", status_code=503, retry_after=-1),
    ],
)
def test_other_failures_do_not_slow_down(error):
    async def scenario(clock):
        stage = make_stage(TEN_A_SECOND, clock)

        with pytest.raises(type(error)):
            await stage(make_call(clock), answer(error=error))

        (row,) = stage.status()
        assert (row["share"], row["paused_s"], row["in_flight"]) == (1.0, 0.0, 0)

    on_virtual_time(scenario)


def test_a_503_with_retry_after_pauses_the_line_without_slowing_down():
    async def scenario(clock):
        stage = make_stage(TEN_A_SECOND, clock)

        with pytest.raises(TransientProviderError):
            await stage(
                make_call(clock),
                answer(error=TransientProviderError("busy", status_code=503, retry_after=3)),
            )

        (row,) = stage.status()
        assert (row["share"], row["paused_s"]) == (1.0, 3.0)

    on_virtual_time(scenario)


def test_a_permit_is_settled_to_the_tokens_that_were_used():
    async def scenario(clock):
        stage = make_stage(RateLimit(tokens_per_minute=6000), clock, estimate=(400, 500))

        await stage(make_call(clock), answer(usage=Usage(input_tokens=390, output_tokens=10)))
        assert stage.status()[0]["tokens_level"] == 600
        await stage(make_call(clock), answer(usage=Usage()))

        assert clock.monotonic() == pytest.approx(3.0)
        assert stage.status()[0]["tokens_level"] == pytest.approx(0, abs=1e-3)

    on_virtual_time(scenario)


@pytest.mark.parametrize(
    ("error", "requests", "tokens"),
    [
        (TransientProviderError("refused", status_code=503), 99, 1000),
        (TransientProviderError("lost after sending", billed=True), 99, 850),
        (TimeoutError(), 99, 850),
        (asyncio.CancelledError(), 99, 850),
        (KeyboardInterrupt(), 99, 850),
    ],
)
def test_a_failed_call_keeps_its_tokens_only_if_they_may_count(error, requests, tokens):
    async def scenario(clock):
        stage = make_stage(RateLimit(requests_per_minute=600, tokens_per_minute=6000), clock)

        with pytest.raises(type(error)):
            await stage(make_call(clock), answer(error=error))

        (row,) = stage.status()
        assert (row["requests_level"], row["tokens_level"], row["in_flight"]) == (requests, tokens, 0)

    on_virtual_time(scenario)


def test_a_call_that_a_further_stage_refused_gives_everything_back():
    async def scenario(clock):
        stage = make_stage(RateLimit(requests_per_minute=600, tokens_per_minute=6000), clock)

        async def refuse(_):
            raise CircuitOpenError("open")

        with pytest.raises(CircuitOpenError):
            await stage(make_call(clock), refuse)

        (row,) = stage.status()
        assert (row["requests_level"], row["tokens_level"], row["in_flight"]) == (100, 1000, 0)

    on_virtual_time(scenario)


def test_headers_cap_our_limits_and_only_lower_our_levels():
    core = LimiterCore(TEN_A_SECOND, None, 0.0)

    core.learn([("requests", 6000.0, 5999.0, 1.0)], 0.0)
    assert (core.shared.buckets[0][1].limit, core.shared.buckets[0][1].level) == (600, 100)
    core.learn([("requests", 60.0, 3.0, None)], 0.0)
    assert (core.shared.buckets[0][1].limit, core.shared.buckets[0][1].level) == (60, 3)
    core.learn([("requests", 0.0, -1.0, None), ("requests", -1.0, None, None)], 0.0)
    core.learn([("requests", math.nan, math.nan, None), ("requests", math.inf, math.inf, None)], 0.0)
    assert (core.shared.buckets[0][1].limit, core.shared.buckets[0][1].level) == (60, 3)
    core.learn([("requests", 900.0, None, None)], 0.0)

    assert core.shared.buckets[0][1].limit == 600


def test_a_limit_that_was_not_configured_is_learnt_and_then_kept():
    async def scenario(clock):
        readings = [("tokens", 6000.0, 0.0, 10.0)]
        stage = make_stage(RateLimit(), clock, estimate=(60, 40), readings=readings)
        limiter = stage.limiter(make_call(clock))
        assert not limiter.counts_tokens

        await stage(make_call(clock), answer(headers={"x-ratelimit-limit-tokens": "6000"}))
        assert limiter.counts_tokens
        await stage(make_call(clock), answer())

        assert clock.monotonic() == pytest.approx(1.0)

    on_virtual_time(scenario)


def test_tokens_are_not_estimated_while_no_token_dimension_is_on():
    async def scenario(clock):
        stage = RateLimitStage(
            TEN_A_SECOND, clock, estimate=lambda _: pytest.fail("asked"), read_headers=lambda _: []
        )

        assert (await stage(make_call(clock), answer())).text == "ok"

    on_virtual_time(scenario)


def test_without_a_maximum_the_95th_percentile_of_past_outputs_is_reserved():
    async def scenario(clock):
        stage = make_stage(RateLimit(output_tokens_per_minute=60_000), clock, estimate=(10, 5000))
        for number in range(1, 41):
            await stage(make_call(clock), answer(usage=Usage(input_tokens=1, output_tokens=number)))
        levels = []

        async def look(call):
            levels.append(stage.status()[0]["output_tokens_level"])
            return Reply(text="ok")

        await asyncio.sleep(60)
        await stage(make_call(clock), look)
        await asyncio.sleep(60)
        await stage(make_call(clock, max_tokens=5000), look)

        assert levels == [10_000 - 38, 10_000 - 5000]

    on_virtual_time(scenario)


def test_recent_outputs_forget_the_oldest():
    outputs = RecentOutputs()
    for _ in range(100):
        outputs.add(1000)
    for _ in range(100):
        outputs.add(3)

    assert outputs.guess() == 3
    assert RecentOutputs().guess() is None


def test_the_limits_of_a_user_delay_no_other_user():
    async def scenario(clock):
        stage = make_stage(TEN_A_SECOND, clock, per_user=RateLimit(requests_per_minute=6))
        order = []

        async def ask(user, name):
            await stage(make_call(clock, user=user), answer())
            order.append((name, round(clock.monotonic())))

        async with asyncio.TaskGroup() as group:
            for user, name in [("ann", "a1"), ("ann", "a2"), ("bob", "b1"), (None, "c1"), ("ann", "a3")]:
                group.create_task(ask(user, name))

        assert order == [("a1", 0), ("b1", 0), ("c1", 0), ("a2", 10), ("a3", 20)]

    on_virtual_time(scenario)


def test_a_users_calls_count_towards_the_limits_that_all_share():
    async def scenario(clock):
        limiter = LocalLimiter(
            RateLimit(requests_per_minute=12), clock, per_user=RateLimit(requests_per_minute=600)
        )

        assert limiter.try_acquire(ONE_REQUEST, user="ann")
        assert limiter.try_acquire(ONE_REQUEST, user="bob")
        assert limiter.try_acquire(ONE_REQUEST, user="ann") is None

    on_virtual_time(scenario)


def test_idle_users_are_removed():
    core = LimiterCore(RateLimit(concurrency=None), RateLimit(requests_per_minute=600), 0.0)
    for number in range(5000):
        core.settle(core.try_take(ONE_REQUEST, f"user {number}", float(number)), ONE_REQUEST, float(number))

    assert len(core._users) <= 1001


def test_waiting_is_added_to_the_calls_queue_wait():
    async def scenario(clock):
        stage = make_stage(RateLimit(requests_per_minute=6), clock)
        first, second = make_call(clock), make_call(clock)
        await stage(first, answer())
        await stage(second, answer())

        assert first.queue_wait_s == 0
        assert second.queue_wait_s == pytest.approx(10.0)

    on_virtual_time(scenario)


def test_models_and_accounts_have_limits_of_their_own_and_rows_of_their_own():
    async def scenario(clock):
        stage = make_stage(RateLimit(requests_per_minute=6), clock)
        await stage(make_call(clock, model="one"), answer())
        await stage(make_call(clock, model="two"), answer())

        assert clock.monotonic() == 0
        assert stage.status()[0] == {
            "provider": "p",
            "model": "one",
            "endpoint": "scripted",
            "waiting": 0,
            "in_flight": 0,
            "concurrency": 64,
            "paused_s": 0.0,
            "share": 1.0,
            "requests_level": 0.0,
            "requests_capacity": 1.0,
            "requests_limit": 6,
        }
        assert [row["model"] for row in stage.status()] == ["one", "two"]

    on_virtual_time(scenario)


def test_a_provider_with_few_slots_caps_the_calls_in_flight():
    async def scenario(clock):
        class Local(ScriptedProvider):
            slots = 2

        stage = make_stage(RateLimit(), clock)
        call = make_call(clock)
        call.provider = Local(clock=clock)
        await stage(call, answer())

        assert stage.status()[0]["concurrency"] == 2

    on_virtual_time(scenario)


def test_another_limiter_can_take_the_local_ones_place():
    async def scenario(clock):
        seen = []

        class Elsewhere:
            counts_tokens = True

            async def acquire(self, cost, *, user=None, deadline=None):
                seen.append(("acquire", cost, user, deadline))
                return "permit"

            def settle(self, permit, actual=None, *, answered=None):
                seen.append(("settle", permit, actual))

        stage = make_stage(RateLimit(), clock, make_limiter=lambda *_: Elsewhere())
        await stage(
            make_call(clock, user="ann", deadline=5.0), answer(usage=Usage(input_tokens=1, output_tokens=2))
        )

        assert seen == [("acquire", (1, 150, 100, 50), "ann", 5.0), ("settle", "permit", (1, 3, 1, 2))]

    on_virtual_time(scenario)


@pytest.mark.parametrize("steps", range(12))
def test_cancelled_at_any_step_a_call_leaves_nothing_behind(steps):
    async def scenario(clock):
        stage = make_stage(RateLimit(requests_per_minute=60, concurrency=1), clock)

        async def slow(call):
            await asyncio.sleep(1)
            return Reply(text="ok")

        tasks = [asyncio.ensure_future(stage(make_call(clock), slow)) for _ in range(4)]
        for step in range(steps):
            await asyncio.sleep(0 if step % 2 else 0.5)
        for task in tasks[:3]:
            task.cancel()

        await asyncio.wait_for(tasks[3], 30)
        (row,) = stage.status()
        assert (row["in_flight"], row["waiting"]) == (0, 0)

    on_virtual_time(scenario)


def test_a_waiter_whose_loop_was_closed_passes_the_permit_on():
    limiter = LocalLimiter(RateLimit(concurrency=1), SYSTEM_CLOCK)
    held = limiter.try_acquire(ONE_REQUEST)
    loop = asyncio.new_event_loop()

    def stand_in_line():
        task = loop.create_task(limiter.acquire(ONE_REQUEST))
        loop.run_until_complete(asyncio.sleep(0.01))
        return task

    left_behind = []
    thread = threading.Thread(target=lambda: left_behind.append(stand_in_line()))
    thread.start()
    thread.join(10)
    loop.close()
    limiter.settle(held)

    assert limiter.status()["waiting"] == 0
    assert limiter.try_acquire(ONE_REQUEST) is not None
    left_behind[0]._log_destroy_pending = False  # it stays pending, and asyncio would report that


def test_an_interrupt_in_a_waiting_thread_gives_the_place_back():
    class Interrupted(FakeClock):
        def wait(self, event, seconds):
            raise KeyboardInterrupt

    limiter = LocalLimiter(RateLimit(requests_per_minute=6), Interrupted())
    limiter.settle(limiter.try_acquire(ONE_REQUEST))

    with pytest.raises(KeyboardInterrupt):
        limiter.acquire_blocking(ONE_REQUEST)

    assert limiter.status()["waiting"] == 0


def test_two_loops_and_plain_threads_share_one_line():
    limiter = LocalLimiter(RateLimit(requests_per_minute=6000, concurrency=3), SYSTEM_CLOCK)
    lock, live, peak, done = threading.Lock(), [0], [0], []

    def enter():
        with lock:
            live[0] += 1
            peak[0] = max(peak[0], live[0])

    def leave(permit):
        with lock:
            live[0] -= 1
            done.append(permit.granted_at)
        limiter.settle(permit)

    async def tasks(count):
        async def one(number):
            permit = await limiter.acquire(ONE_REQUEST)
            enter()
            try:
                await asyncio.sleep(0.0002 * (number % 3))
            finally:
                leave(permit)

        running = [asyncio.ensure_future(one(number)) for number in range(count)]
        for task in running[::7]:
            asyncio.get_running_loop().call_later(0.05, task.cancel)
        await asyncio.gather(*running, return_exceptions=True)

    def on_a_loop():
        loop = asyncio.new_event_loop()
        loop.run_until_complete(asyncio.wait_for(tasks(400), 60))
        loop.close()

    def in_a_thread():
        for _ in range(120):
            permit = limiter.acquire_blocking(ONE_REQUEST)
            enter()
            leave(permit)

    threads = [
        threading.Thread(target=work, daemon=True)
        for work in (on_a_loop, on_a_loop, in_a_thread, in_a_thread)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert not any(thread.is_alive() for thread in threads)
    assert peak[0] <= 3
    assert len(done) >= 240 + 2 * 340
    assert limiter.status()["in_flight"] == limiter.status()["waiting"] == 0
    times = sorted(done)
    assert all(
        last - first + 1 <= 1000 + 100 * (times[last] - times[first]) + 1e-3
        for first in range(0, len(times), 50)
        for last in range(first, len(times), 10)
    )


def test_leaving_twice_removes_a_waiter_once():
    core = LimiterCore(RateLimit(concurrency=1), None, 0.0)
    held = core.try_take(ONE_REQUEST, None, 0.0)
    waiter = Waiter(ONE_REQUEST, None, None, lambda: None)
    core.join(waiter, 0.0)
    core.leave(waiter)
    core.leave(waiter)

    core.settle(held, ONE_REQUEST, 0.0)
    core.settle(held, ONE_REQUEST, 0.0)

    assert core.shared.in_flight == 0
    assert core.pump(0.0) == []


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_is_not_held_up_by_calls_in_flight_of_its_parent():
    limiter = LocalLimiter(RateLimit(concurrency=1), SYSTEM_CLOCK)
    permit = limiter.try_acquire(ONE_REQUEST)
    assert permit is not None
    assert limiter.try_acquire(ONE_REQUEST) is None

    def work():
        assert limiter.try_acquire(ONE_REQUEST) is not None

    with limiter._lock:  # as when another thread changes the limiter at the moment of the fork
        child = start_child(work)
    assert end_of(child) == 0
    assert limiter.try_acquire(ONE_REQUEST) is None


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_permit_that_is_returned_in_a_forked_child_adds_no_slot_there():
    limiter = LocalLimiter(RateLimit(concurrency=1), SYSTEM_CLOCK)
    permit = limiter.try_acquire(ONE_REQUEST)
    assert permit is not None

    def work():
        limiter.settle(permit, ONE_REQUEST)
        assert [limiter.try_acquire(ONE_REQUEST) is not None for _ in range(3)] == [True, False, False]

    assert in_child(work) == 0
    limiter.settle(permit, ONE_REQUEST)
    assert limiter.try_acquire(ONE_REQUEST) is not None
