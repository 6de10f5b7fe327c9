"""Throughput of the adapter compared with bare aiohttp, in turn against the same server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import orjson

from ainb.clock import SYSTEM_CLOCK
from ainb.messages import Call, CallOptions, Message, Request
from ainb.providers.http.client import close_clients
from ainb.providers.openai.adapter import OpenAIProvider
from ainb.providers.services import SERVICES
from tests.benchmarks.server_process import server

CALLS = 4000
IN_FLIGHT = 64
ROUNDS = 3
PROMPT = "Classify: the soup was cold and the waiter was kind"
Send = Callable[[], Awaitable[object]]


async def calls_per_second(send: Send) -> float:
    """Keep `IN_FLIGHT` calls going until `CALLS` are done."""
    left = CALLS

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await send()

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return CALLS / (time.perf_counter() - start)


def adapter(base_url: str, *, stream: bool = False) -> Send:
    """Calls through the adapter, each with a new request."""
    provider = OpenAIProvider(SERVICES["ollama"], clock=SYSTEM_CLOCK)
    options = CallOptions(on_text=(lambda _text: None) if stream else None)

    async def send() -> object:
        request = Request(
            provider="ollama",
            model="m",
            messages=(Message("user", PROMPT),),
            parameters={"max_tokens": 20},
            api_base=base_url,
        )
        return await provider.send(Call(request=request, provider=provider, options=options))

    return send


async def bare(base_url: str) -> float:
    """Calls through bare aiohttp: encode, post, read, decode."""
    url = base_url + "/chat/completions"
    body = {"model": "m", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 20}
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def send() -> object:
            async with session.post(url, data=orjson.dumps(body), headers=headers) as response:
                return orjson.loads(await response.read())["choices"][0]["message"]["content"]

        return await calls_per_second(send)


async def measure(base_url: str) -> dict[str, float]:
    """Best of several alternating rounds of each, so that other load affects all alike."""
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, rate in (
            ("bare", await bare(base_url)),
            ("adapter", await calls_per_second(adapter(base_url))),
            ("stream", await calls_per_second(adapter(base_url, stream=True))),
        ):
            best[name] = max(best.get(name, 0.0), rate)
    await close_clients()
    return best


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    with server() as base_url:
        best = asyncio.run(measure(base_url))
    limit = f"{best['bare']:.0f} aiohttp bare"
    return [
        (
            "adapter alone, calls/s, 64 in flight",
            f"{best['adapter']:.0f} ({best['adapter'] / best['bare']:.2f})",
            limit,
            ">= 0.8 of bare",
        ),
        (
            "adapter alone, streamed, calls/s, 64 in flight",
            f"{best['stream']:.0f} ({best['stream'] / best['bare']:.2f})",
            limit,
            "-",
        ),
    ]


if __name__ == "__main__":
    for row in rows():
        print(" | ".join(row))
