"""The openai SDK with a semaphore."""

from __future__ import annotations

import asyncio
import sys
import time
from importlib.metadata import version

from openai import AsyncOpenAI

BASE_URL, ROWS, AT_ONCE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def batch(client: AsyncOpenAI) -> tuple[float, int]:
    permits, started = asyncio.Semaphore(AT_ONCE), time.monotonic()

    async def ask(number: int) -> bool:
        messages = [{"role": "user", "content": f"Classify {number}"}]
        async with permits:
            reply = await client.chat.completions.create(model="m", messages=messages)
        return bool(reply.choices[0].message.content)

    done = await asyncio.gather(*(ask(number) for number in range(ROWS)))
    return time.monotonic() - started, sum(done)


async def main() -> None:
    async with AsyncOpenAI(base_url=BASE_URL) as client:
        (first, _), (second, answered) = await batch(client), await batch(client)
    print(version("openai"), first, second, answered)


asyncio.run(main())
