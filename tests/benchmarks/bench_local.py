"""Embedded model: time to start, of one answer and of four at once; equality of repeated greedy answers."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from pathlib import Path

from ainb.clock import SYSTEM_CLOCK
from ainb.engine import ENGINE
from ainb.messages import Call, Message, Request
from ainb.providers.http.client import close_clients
from ainb.providers.local import weights
from ainb.providers.local.adapter import LocalProvider
from ainb.providers.local.child import Local
from ainb.providers.local.server import SERVERS

PROMPTS = 8
BOUND_SECONDS = 60.0


async def _answer(provider: LocalProvider, number: int) -> str:
    request = Request(
        provider="local",
        model="smollm2",
        messages=(Message("user", f"Write a sentence about the number {number}."),),
        parameters={"temperature": 0, "max_tokens": 8},
    )
    return (await provider.send(Call(request=request, provider=provider))).text


async def _round(provider: LocalProvider, concurrency: int) -> tuple[float, list[str]]:
    permits = asyncio.Semaphore(concurrency)

    async def one(number: int) -> str:
        async with permits:
            return await _answer(provider, number)

    start = time.perf_counter()
    async with asyncio.timeout(BOUND_SECONDS):
        texts = await asyncio.gather(*(one(number) for number in range(PROMPTS)))
    return time.perf_counter() - start, list(texts)


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    if importlib.util.find_spec("xllamacpp") is None or not weights.is_pulled("smollm2"):
        return [("local model", "not installed or not pulled", "-", "-")]
    options = Local(context_tokens=2048)
    try:
        return _measure(options)
    finally:
        SERVERS.close()
        ENGINE.run(close_clients())


def _measure(options: Local) -> list[tuple[str, str, str, str]]:
    provider = LocalProvider(clock=SYSTEM_CLOCK, options=options)
    path: Path = weights.find("smollm2")
    start = time.perf_counter()
    ENGINE.run(SERVERS.server(path, options).ready())
    cold = time.perf_counter() - start
    alone, first = ENGINE.run(_round(provider, 1))
    together, second = ENGINE.run(_round(provider, options.slots))
    differ = sum(one != other for one, other in zip(first, second, strict=True))
    return [
        ("local: start the server and load smollm2", f"{cold:.2f} s", "-", "-"),
        (
            "local: answers/s of 8 tokens, 4 slots",
            f"{PROMPTS / together:.1f}",
            f"one at a time {PROMPTS / alone:.1f}",
            "more than one at a time",
        ),
        ("local: greedy answers that differ, alone against 4 at once", f"{differ} of {PROMPTS}", "-", "0"),
    ]


if __name__ == "__main__":
    for row in rows():
        print(" | ".join(row))
