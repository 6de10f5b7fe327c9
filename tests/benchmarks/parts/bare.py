"""Rows through bare aiohttp, the peer of batches. Workers of older trees import it from this folder."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import orjson


async def bare(base_url: str, rows: int, at_once: int) -> float:
    """Seconds of bare aiohttp with `at_once` workers: encode, post, read, decode."""
    left = iter(range(rows))
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def work() -> None:
            for number in left:
                body = {"model": "m", "messages": [{"role": "user", "content": f"Classify: row {number}"}]}
                async with client.post(
                    base_url + "/chat/completions", data=orjson.dumps(body), headers=headers
                ) as response:
                    orjson.loads(await response.read())

        start = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(at_once)))
        return time.perf_counter() - start
