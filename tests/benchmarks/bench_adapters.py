"""Cost of an adapter beyond JSON encoding and decoding: request to bytes, bytes to Reply, no network."""

from __future__ import annotations

import asyncio
import os
import time
from types import SimpleNamespace

import orjson

from ainb.clock import SYSTEM_CLOCK
from ainb.messages import Call, Message, Request
from ainb.providers import make_provider
from ainb.providers.http import exchange
from tests import anthropic_speaker
from tests.fault_server import Fault, _completion

CALLS = 2_000
ROUNDS = 7
PROMPT = "Classify: the soup was cold and the waiter was kind"
ANSWER = Fault(text="The mood of this review is mixed: " + "cold soup, kind waiter. " * 8)
BODIES = {"openai": _completion, "anthropic": anthropic_speaker.whole}


class _Raw:
    """A complete response in memory."""

    def __init__(self, body: bytes, target: object) -> None:
        self.status, self.headers, self.request_id = 200, {}, "req_1"
        self.is_event_stream, self.target = False, target
        self._body = body

    async def read(self) -> bytes:
        return self._body

    def release(self) -> None:
        """Do nothing: there is no connection to release."""


async def measure(service: str) -> tuple[float, float]:
    """Microseconds per call of the adapter and of bare JSON; the best of alternating rounds."""
    os.environ.setdefault(f"{service.upper()}_API_KEY", "sk-of-a-benchmark-0123456789")
    provider = make_provider(service, clock=SYSTEM_CLOCK)
    request = Request(
        provider=service, model="m", messages=(Message("user", PROMPT),), parameters={"max_tokens": 200}
    )
    ready = provider.body(request)
    body = orjson.dumps(BODIES[service](ANSWER, ready))
    held = SimpleNamespace(request=exchange.request)

    async def answer(target: object, _url: object, *, body: bytes) -> _Raw:
        return _Raw(held.body, target)

    held.body = body
    exchange.request = answer  # type: ignore[assignment]
    best = [float("inf"), float("inf")]
    try:
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for _ in range(CALLS):
                await provider.send(Call(request=request, provider=provider))
            middle = time.perf_counter()
            for _ in range(CALLS):
                orjson.dumps(ready)
                orjson.loads(await _Raw(body, None).read())
            end = time.perf_counter()
            best = [min(best[0], middle - start), min(best[1], end - middle)]
    finally:
        exchange.request = held.request
    return best[0] / CALLS * 1e6, best[1] / CALLS * 1e6


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    found = []
    for service in BODIES:
        loop = asyncio.new_event_loop()
        adapter, bare = loop.run_until_complete(measure(service))
        loop.close()
        found.append(
            (
                f"{service} adapter, request to bytes and bytes to Reply",
                f"{adapter:.1f} us (+{adapter - bare:.1f})",
                f"{bare:.1f} us bare JSON",
                "<= 30 us over bare JSON",
            )
        )
    return found


if __name__ == "__main__":
    for row in rows():
        print(" | ".join(row))
