"""Lower bound: bare aiohttp with a semaphore, without any checks."""

from __future__ import annotations

import asyncio
import sys
import time
from importlib.metadata import version

import aiohttp

BASE_URL, ROWS, AT_ONCE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def batch(client: aiohttp.ClientSession) -> tuple[float, int]:
    permits, started = asyncio.Semaphore(AT_ONCE), time.monotonic()

    async def ask(number: int) -> bool:
        body = {"model": "m", "messages": [{"role": "user", "content": f"Classify {number}"}]}
        async with permits, client.post(f"{BASE_URL}/chat/completions", json=body) as response:
            return bool((await response.json())["choices"][0]["message"]["content"])

    done = await asyncio.gather(*(ask(number) for number in range(ROWS)))
    return time.monotonic() - started, sum(done)


async def main() -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        (first, _), (second, answered) = await batch(client), await batch(client)
    print(version("aiohttp"), first, second, answered)


asyncio.run(main())
