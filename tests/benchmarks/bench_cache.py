"""Cost of the cache on the event loop, compared with diskcache's own calls and a bare asyncio task."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import diskcache

from ainb.clock import SYSTEM_CLOCK
from ainb.events import silent
from ainb.messages import Call, CallOptions, Message, Reply, Request, Usage
from ainb.pipeline.cache.key import reply_key
from ainb.pipeline.cache.options import Cache
from ainb.pipeline.cache.stage import CacheStage
from ainb.providers.scripted import ScriptedProvider
from ainb.stores.local import make_store

CALLS = 1500
ROUNDS = 5
PROVIDER = ScriptedProvider(clock=SYSTEM_CLOCK)


def make_call(number: int = 0, **options) -> Call:
    request = Request(
        provider="scripted",
        model="echo",
        messages=(
            Message("system", "You are terse."),
            Message("user", f"{number}: " + "classify this review " * 20),
        ),
        parameters={"temperature": 0.2, "max_tokens": 200},
    )
    return Call(request=request, provider=PROVIDER, options=CallOptions(**options))


async def answer(_call: Call) -> Reply:
    usage = Usage(input_tokens=90, output_tokens=60, source="provider")
    return Reply(text="positive " * 40, model="echo", provider="scripted", usage=usage, finish_reason="stop")


async def microseconds(one: Callable[[int], Awaitable[object]]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for number in range(CALLS):
            await one(number)
        best = min(best, (time.perf_counter() - began) / CALLS)
    return best * 1e6


async def measure(folder: Path) -> dict[str, float]:
    figures: dict[str, float] = {}
    calls = [make_call(number) for number in range(CALLS)]

    async def key(number: int) -> None:
        reply_key(calls[number])

    async def task(_number: int) -> None:
        await asyncio.get_running_loop().create_task(answer(calls[0]))

    async def direct(number: int) -> None:
        await answer(calls[number])

    figures["key"] = await microseconds(key)
    figures["task"] = await microseconds(task)
    figures["direct"] = await microseconds(direct)
    for where in ("memory", "disk"):
        store = make_store(where, folder / "ours")
        stage = CacheStage(Cache(where=where), store, SYSTEM_CLOCK, silent)

        async def miss(number: int, stage=stage) -> None:
            await stage(make_call(number, cache="refresh"), answer)

        async def hit(number: int, stage=stage) -> None:
            await stage(calls[number], answer)

        figures[f"{where} miss"] = await microseconds(miss)
        if where == "disk":
            store.flush()
        figures[f"{where} hit"] = await microseconds(hit)
        await stage.store.close()
    with diskcache.Cache(str(folder / "theirs")) as theirs:

        async def put(number: int) -> None:
            theirs.set(f"{number:064d}", "positive " * 80)

        async def get(number: int) -> None:
            theirs.get(f"{number:064d}")

        figures["diskcache set"] = await microseconds(put)
        figures["diskcache get"] = await microseconds(get)

    async def make(number: int) -> None:
        make_call(number, cache="refresh")

    figures["make"] = await microseconds(make)
    return figures


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.new_event_loop().run_until_complete(measure(Path(folder)))
    shared = seen["memory miss"] - seen["make"] - seen["key"] - seen["direct"]
    disk_miss = seen["disk miss"] - seen["make"]
    get, put = (
        f"diskcache get {seen['diskcache get']:.1f} us",
        f"diskcache set {seen['diskcache set']:.1f} us",
    )
    return [
        ("cache key of a request", f"{seen['key']:.1f} us", "-", "part of the hit"),
        ("memory hit with key", f"{seen['memory hit']:.1f} us", "-", "<= 25 us"),
        ("disk hit with key, on the loop", f"{seen['disk hit']:.1f} us", get, "<= 60 us"),
        (
            "single-flight and store in memory",
            f"{shared:.1f} us",
            f"asyncio task {seen['task']:.1f} us",
            "<= 15 us (shared alone)",
        ),
        ("miss with key, shared and disk store, on the loop", f"{disk_miss:.1f} us", put, "<= 90 us"),
    ]


if __name__ == "__main__":
    for row in rows():
        print(" | ".join(row))
