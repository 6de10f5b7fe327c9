"""LiteLLM's acompletion with a semaphore."""

from __future__ import annotations

import asyncio
import sys
import time
from importlib.metadata import version

import litellm

BASE_URL, ROWS, AT_ONCE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def batch() -> tuple[float, int]:
    permits, started = asyncio.Semaphore(AT_ONCE), time.monotonic()

    async def ask(number: int) -> bool:
        messages = [{"role": "user", "content": f"Classify {number}"}]
        async with permits:
            reply = await litellm.acompletion(
                model="openai/m", messages=messages, api_base=BASE_URL, api_key="made-up"
            )
        return bool(reply.choices[0].message.content)

    done = await asyncio.gather(*(ask(number) for number in range(ROWS)))
    return time.monotonic() - started, sum(done)


async def main() -> None:
    (first, _), (second, answered) = await batch(), await batch()
    print(version("litellm"), first, second, answered)


asyncio.run(main())
