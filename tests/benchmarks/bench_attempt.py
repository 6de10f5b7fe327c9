"""Cost of retry, circuit gate and circuit permit per successful call, compared with tenacity."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from random import Random

import tenacity

from ainb.clock import SYSTEM_CLOCK
from ainb.messages import Call, Handler, Message, Reply, Request, Stage
from ainb.pipeline import compose
from ainb.pipeline.circuit.stage import Breakers, GateStage, PermitStage
from ainb.pipeline.circuit.standalone import CircuitBreaker
from ainb.pipeline.retry.policy import Retry
from ainb.pipeline.retry.stage import RetryStage
from ainb.providers.scripted import ScriptedProvider

CALLS = 10_000
ROUNDS = 7
REPLY = Reply(text="")


async def answer(call: Call) -> Reply:
    return REPLY


async def seconds_per_call(handler: Handler, call: Call) -> float:
    """Best of several rounds, since other load on the machine only adds time."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            await handler(call)
        best = min(best, (time.perf_counter() - start) / CALLS)
    return best


async def measure() -> list[tuple[str, str, str, str]]:
    request = Request(provider="scripted", model="echo", messages=(Message("user", "tea"),))
    call = Call(request=request, provider=ScriptedProvider(clock=SYSTEM_CLOCK))
    breakers = Breakers(rng=Random(1))
    retry = RetryStage(Retry(), rng=Random(1))
    breaker = CircuitBreaker(rng=Random(1))
    bare = await seconds_per_call(answer, call)

    async def added(stages: Sequence[Stage]) -> float:
        return await seconds_per_call(compose(stages, answer), call) - bare

    circuit = await added([GateStage(breakers), PermitStage(breakers)])
    retrying = await added([retry])
    both = await added([retry, GateStage(breakers), PermitStage(breakers)])
    alone = await seconds_per_call(breaker(answer), call) - bare
    peer = await seconds_per_call(tenacity.retry(stop=tenacity.stop_after_attempt(4))(answer), call) - bare
    beside = f"tenacity retry {peer * 1e6:.2f} us"
    return [
        ("circuit gate and permit, a call that succeeds", f"{circuit * 1e6:.2f} us", beside, "<= 2 us"),
        ("retry, a call that succeeds", f"{retrying * 1e6:.2f} us", beside, "<= 1.5 us"),
        ("retry, gate and permit together", f"{both * 1e6:.2f} us", beside, "<= 3.5 us"),
        ("CircuitBreaker as a decorator", f"{alone * 1e6:.2f} us", beside, "<= 2 us"),
    ]


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    return asyncio.run(measure())


if __name__ == "__main__":
    for row in rows():
        print(" | ".join(row))
