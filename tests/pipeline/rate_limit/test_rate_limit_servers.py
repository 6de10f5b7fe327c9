"""Tests of the rate limiter against simulated servers: token bucket, sliding window, half the limit."""

from __future__ import annotations

import asyncio
from collections import deque
from random import Random

import pytest

from ainb.errors import TransientProviderError
from ainb.messages import Call, Reply, Request, Usage
from ainb.pipeline.rate_limit.options import RateLimit
from ainb.pipeline.rate_limit.stage import RateLimitStage
from ainb.providers.scripted import ScriptedProvider
from ainb.testing import FakeClock, run_virtual


class BucketServer:
    def __init__(self, clock, per_minute, capacity):
        self.clock, self.rate, self.capacity = clock, per_minute / 60, capacity
        self.level, self.at, self.refused, self.served = capacity, 0.0, 0, 0

    def admits(self):
        now = self.clock.monotonic()
        self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1 - 1e-9:
            return False
        self.level -= 1
        return True


class SlidingServer:
    def __init__(self, clock, per_minute):
        self.clock, self.limit = clock, per_minute
        self.seen, self.refused, self.served = deque(), 0, 0

    def admits(self):
        now = self.clock.monotonic()
        while self.seen and self.seen[0] <= now - 60:
            self.seen.popleft()
        if len(self.seen) >= self.limit:
            return False
        self.seen.append(now)
        return True


def run_calls(options, make_server, *, calls, jitter=0.0, retry_after=None, gap=0.0):
    """Run calls that are repeated until served; returns the number of 429s and the duration."""

    async def main():
        clock = FakeClock(loop=asyncio.get_running_loop())
        rng = Random(5)
        server = make_server(clock)
        provider = ScriptedProvider(clock=clock)
        stage = RateLimitStage(options, clock, estimate=lambda _: (0, 0), read_headers=lambda _: [])

        async def send(_):
            await asyncio.sleep(0.2 + jitter * rng.random())
            if not server.admits():
                server.refused += 1
                raise TransientProviderError("too many", status_code=429, retry_after=retry_after)
            server.served += 1
            await asyncio.sleep(0.8 + jitter * rng.random())
            return Reply(text="ok", usage=Usage())

        async def ask():
            call = Call(request=Request(provider="p", model="m", messages=()), provider=provider)
            while True:
                try:
                    return await stage(call, send)
                except TransientProviderError:
                    await asyncio.sleep(rng.random())

        async with asyncio.TaskGroup() as group:
            for _ in range(calls):
                group.create_task(ask())
                await asyncio.sleep(gap)
        assert server.served == calls
        return server.refused, clock.monotonic()

    return run_virtual(main())


def test_fifteen_hundred_calls_meet_no_429_from_a_bucket_of_the_same_size_and_rate():
    refused, seconds = run_calls(
        RateLimit(requests_per_minute=600), lambda clock: BucketServer(clock, 600, 100), calls=1500
    )

    assert refused == 0
    assert seconds == pytest.approx(140 + 1, abs=1.5)


@pytest.mark.parametrize("limit", [1, 7, 60, 500])
def test_strict_meets_no_429_from_a_sliding_window_however_late_calls_arrive(limit):
    refused, _ = run_calls(
        RateLimit(requests_per_minute=limit, strict=True, concurrency=None),
        lambda clock: SlidingServer(clock, limit),
        calls=limit * 4 + 3,
        jitter=9.0,
    )

    assert refused == 0


@pytest.mark.parametrize("retry_after", [None, 1.5])
@pytest.mark.parametrize(
    ("per_minute", "calls", "concurrency"), [(60, 1500, 64), (600, 1500, 64), (6000, 8000, 200)]
)
def test_a_limit_set_twice_too_high_meets_few_429s(per_minute, calls, concurrency, retry_after):
    refused, seconds = run_calls(
        RateLimit(requests_per_minute=2 * per_minute, concurrency=concurrency),
        lambda clock: BucketServer(clock, per_minute, max(1, per_minute / 6)),
        calls=calls,
        retry_after=retry_after,
    )

    assert refused <= 0.05 * (calls + refused)
    assert calls / seconds >= 0.9 * per_minute / 60
