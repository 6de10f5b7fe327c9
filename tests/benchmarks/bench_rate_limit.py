"""Cost of a permit, with an empty queue and with a full one."""

from __future__ import annotations

import asyncio
import time

from ainb.clock import SYSTEM_CLOCK
from ainb.messages import Call, Message, Reply, Request, Usage
from ainb.pipeline.rate_limit.buckets import call_cost
from ainb.pipeline.rate_limit.local import LocalLimiter
from ainb.pipeline.rate_limit.options import RateLimit
from ainb.pipeline.rate_limit.stage import RateLimitStage
from ainb.providers.scripted import ScriptedProvider

ROUNDS = 60  # many short ones, so that the best is hardly disturbed by other load
CALLS = 400
ROOMY = {"requests_per_minute": 6e7, "tokens_per_minute": 6e10}


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    return asyncio.new_event_loop().run_until_complete(_rows())


async def _rows():
    semaphore = f"asyncio.Semaphore {await _best(_semaphore):.2f} us"
    found = []
    for what, options in [
        ("permit, slots only", RateLimit()),
        ("permit, requests + tokens", RateLimit(**ROOMY)),
        ("permit, requests + tokens, strict", RateLimit(**ROOMY, strict=True)),
    ]:
        limiter = LocalLimiter(options, SYSTEM_CLOCK)
        found.append(
            (what, f"{await _best(lambda limiter=limiter: _permits(limiter)):.2f} us", semaphore, "<= 3 us")
        )
    stage = RateLimitStage(
        RateLimit(**ROOMY), SYSTEM_CLOCK, estimate=lambda _: (300, 200), read_headers=lambda _: []
    )
    found.append(
        ("rate limit stage, per call", f"{await _best(lambda: _stage(stage)):.2f} us", "-", "<= 10 us")
    )
    line = f"asyncio.Semaphore {await _best(_semaphore_line):.1f} us"
    found.append(("300 tasks in line for one slot, per task", f"{await _best(_line):.1f} us", line, "<= 5 x"))
    return found


async def _best(work):
    """Microseconds per call in the best of several rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        count = await work()
        best = min(best, (time.perf_counter() - started) / count)
    return best * 1e6


async def _permits(limiter):
    reserved, actual = call_cost(300, 200), call_cost(480, 150)
    for _ in range(CALLS):
        limiter.settle(await limiter.acquire(reserved), actual)
    return CALLS


async def _semaphore():
    semaphore = asyncio.Semaphore(64)
    for _ in range(CALLS):
        async with semaphore:
            pass
    return CALLS


async def _stage(stage):
    request = Request(provider="p", model="m", messages=(Message("user", "hello"),))
    call = Call(request=request, provider=ScriptedProvider(clock=SYSTEM_CLOCK))
    reply = Reply(text="ok", usage=Usage(input_tokens=480, output_tokens=150))

    async def proceed(_):
        return reply

    for _ in range(CALLS):
        await stage(call, proceed)
    return CALLS


async def _line():
    limiter = LocalLimiter(RateLimit(**ROOMY, concurrency=1), SYSTEM_CLOCK)

    async def one():
        permit = await limiter.acquire(call_cost(1, 1))
        await asyncio.sleep(0)
        limiter.settle(permit)

    await asyncio.gather(*(one() for _ in range(300)))
    return 300


async def _semaphore_line():
    semaphore = asyncio.Semaphore(1)

    async def one():
        async with semaphore:
            await asyncio.sleep(0)

    await asyncio.gather(*(one() for _ in range(300)))
    return 300
