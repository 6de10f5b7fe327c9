"""Tests of the ramp of calls in flight: growth, shrinking, idle reset, and calls to an endpoint that is
down."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ainb.errors import CircuitOpenError, TransientProviderError
from ainb.messages import Call, Reply, Request, Usage
from ainb.pipeline import compose
from ainb.pipeline.circuit import Breakers, Circuit, GateStage, PermitStage
from ainb.pipeline.rate_limit import START, Ramp, RateLimit, RateLimitStage
from ainb.pipeline.retry import Retry, RetryStage
from ainb.providers.scripted import ScriptedProvider
from ainb.testing import FakeClock, run_virtual

LATENCY = 0.5


class Place:
    """A provider with latency that counts calls; its plan maps the number of a call to a status or None."""

    def __init__(self, plan=lambda _number: None):
        self.plan, self.sent, self.in_flight, self.peak = plan, 0, 0, 0

    async def __call__(self, call):
        call.attempts += 1
        self.sent += 1
        number = self.sent
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        await asyncio.sleep(LATENCY)
        self.in_flight -= 1
        status = self.plan(number)
        if status is not None:
            raise TransientProviderError("no", status_code=status)
        return Reply(text="ok", usage=Usage())


def pipeline(place, clock, *, options=None, retry=None, readings=()):
    limits = RateLimitStage(
        options or RateLimit(), clock, estimate=lambda _: (0, 0), read_headers=lambda _: list(readings)
    )
    breakers = Breakers(Circuit(), clock=clock, rng=Random(1))
    stages = [GateStage(breakers), limits, PermitStage(breakers)]
    if retry is not None:
        stages.insert(0, RetryStage(retry, clock=clock, rng=Random(2)))
    return compose(stages, place), limits


async def ask_all(handle, clock, count):
    provider = ScriptedProvider(clock=clock)

    def ask():
        return handle(Call(request=Request(provider="p", model="m", messages=()), provider=provider))

    return await asyncio.gather(*(ask() for _ in range(count)), return_exceptions=True)


def on_virtual_time(scenario):
    async def main():
        return await scenario(FakeClock(loop=asyncio.get_running_loop()))

    return run_virtual(main())


@pytest.mark.parametrize("retry", [None, Retry(base_seconds=0.1)])
@pytest.mark.parametrize("cap", [16, 64, 256, 1024, None])
@pytest.mark.parametrize("status", [500, 503, None])
def test_of_1000_calls_to_an_endpoint_that_is_down_at_most_16_are_sent(retry, cap, status):
    async def scenario(clock):
        place = Place(lambda _number: status or 502)
        handle, _ = pipeline(place, clock, options=RateLimit(concurrency=cap), retry=retry)
        ended = await ask_all(handle, clock, 1000)
        assert all(isinstance(error, TransientProviderError | CircuitOpenError) for error in ended)
        return place.sent

    assert on_virtual_time(scenario) <= 16


@pytest.mark.parametrize("cap", [17, 40, 64, 256, 1024])
def test_a_healthy_place_is_slowed_by_no_more_than_two_round_trips(cap):
    async def scenario(clock):
        place = Place()
        handle, _ = pipeline(place, clock, options=RateLimit(concurrency=cap))
        await ask_all(handle, clock, 8 * cap)
        assert place.peak == cap
        return clock.monotonic()

    assert on_virtual_time(scenario) <= (8 + 2) * LATENCY + 0.001


@pytest.mark.parametrize("cap", [64, 256, None])
def test_what_the_server_says_is_left_ends_the_slow_start(cap):
    async def scenario(clock):
        place = Place()
        answer = ("requests", None, 2000.0, None)

        async def with_headers(call):
            reply = await place(call)
            reply.headers = {"x": "y"}
            return reply

        handle, _ = pipeline(with_headers, clock, options=RateLimit(concurrency=cap), readings=[answer])
        await ask_all(handle, clock, 1000)
        return place.peak, clock.monotonic()

    peak, seconds = on_virtual_time(scenario)
    at_once = min(cap or 500, 500)
    assert at_once <= peak <= (cap or 1000)
    assert seconds <= (1 + -(-1000 // at_once)) * LATENCY + 0.001


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_all_calls_are_answered_after_many_429s(seed, share):
    async def scenario(clock):
        rng = Random(seed)
        place = Place(lambda number: 429 if number <= 400 and rng.random() < share else None)
        retry = Retry(attempts=50, base_seconds=0.1)
        handle, limits = pipeline(place, clock, retry=retry)
        during = await ask_all(handle, clock, 300)
        after = await ask_all(handle, clock, 300)
        (row,) = limits.status()
        return during, after, row, place.peak

    during, after, row, peak = on_virtual_time(scenario)
    # If nearly all calls are refused, the retry budget ends some of them; that is not due to the ramp.
    assert share > 0.5 or {type(reply) for reply in during} == {Reply}
    assert {type(reply) for reply in after} == {Reply}
    assert (row["in_flight"], row["waiting"]) == (0, 0)
    assert peak <= 64


def test_many_429s_shrink_the_limit_at_most_once_per_round_trip():
    ramp = Ramp(64, start=64)
    for _ in range(10):
        ramp.overloaded(started_at=0.0, now=1.0)
    assert ramp.limit == 44
    ramp.overloaded(started_at=0.9, now=1.5)
    assert ramp.limit == 44
    ramp.overloaded(started_at=1.0, now=2.0)
    assert ramp.limit == 31


def test_after_an_overload_it_grows_by_one_a_round():
    ramp = Ramp(64, start=32)
    ramp.overloaded(started_at=0.0, now=1.0)
    before = ramp.limit
    for _ in range(before + 1):
        ramp.succeeded(in_flight=before, now=2.0)
    assert ramp.limit == before + 1
    ramp.hint(10_000)
    assert ramp.limit == before + 1


def test_it_does_not_grow_while_fewer_are_in_flight():
    ramp = Ramp(64)
    for _ in range(100):
        ramp.succeeded(in_flight=START - 1, now=0.0)
    assert ramp.limit == START


@pytest.mark.parametrize(("idle", "limit"), [(9.0, 64), (11.0, START)])
def test_after_ten_idle_seconds_it_starts_again(idle, limit):
    ramp = Ramp(64)
    ramp.raise_to(64, now=100.0)
    ramp.succeeded(in_flight=64, now=100.0)
    ramp.idle(now=100.0 + idle)
    assert ramp.limit == limit


def test_a_failure_takes_a_slot_only_until_the_first_success():
    ramp = Ramp(64)
    for _ in range(5):
        ramp.failed(now=0.0)
    assert ramp.limit == START - 5
    ramp.succeeded(in_flight=START - 5, now=0.0)
    for _ in range(50):
        ramp.failed(now=0.0)
    assert ramp.limit == START - 4
    down = Ramp(64)
    for _ in range(50):
        down.failed(now=0.0)
    assert down.limit == 1


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("succeeded"), st.integers(0, 200)),
        st.tuples(st.just("failed"), st.just(0)),
        st.tuples(st.just("overloaded"), st.floats(0, 5)),
        st.tuples(st.just("hint"), st.floats(0, 1e9)),
        st.tuples(st.just("raise_to"), st.floats(0, 1e9)),
        st.tuples(st.just("idle"), st.just(0)),
        st.tuples(st.just("most"), st.integers(1, 100)),
    ),
    max_size=80,
)


@given(events=EVENTS, most=st.one_of(st.integers(1, 300), st.just(float("inf"))), step=st.floats(0, 20))
def test_it_stays_between_one_and_the_cap_whatever_happens(events, most, step):
    ramp, now = Ramp(most), 0.0
    for name, value in events:
        now += step
        if name == "succeeded":
            ramp.succeeded(in_flight=value, now=now)
        elif name == "overloaded":
            ramp.overloaded(started_at=now - value, now=now)
        elif name == "hint":
            ramp.hint(value)
        elif name == "raise_to":
            ramp.raise_to(value, now=now)
        elif name == "most":
            ramp.cap_at(float(value))
        else:
            getattr(ramp, name)(now=now)
        assert 1 <= ramp.limit <= ramp.most


@pytest.mark.parametrize("options", [RateLimit(on_full="raise"), RateLimit(concurrency=8)])
def test_where_callers_do_not_wait_the_cap_holds_from_the_first_call_on(options):
    async def scenario(clock):
        place = Place()
        handle, _ = pipeline(place, clock, options=options)
        await ask_all(handle, clock, 100)
        return place.peak

    assert on_virtual_time(scenario) == options.concurrency
