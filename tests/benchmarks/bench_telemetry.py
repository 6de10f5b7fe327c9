"""Cost of the span and metrics of a call, without an exporter, so that only ainb's own part is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from ainb.clock import SYSTEM_CLOCK
from ainb.events import CallFinished
from ainb.messages import Call, Message, Reply, Request, Usage
from ainb.providers import make_provider
from ainb.usage.rows import build_row
from ainb.usage.telemetry import Telemetry, attributes_of

CALLS = 2_000
ROUNDS = 5


def _event() -> CallFinished:
    request = Request(provider="openai", model="gpt-5-mini", messages=(Message("user", "the soup was cold"),))
    usage = Usage(input_tokens=200, output_tokens=60, source="provider")
    call = Call(
        request=request, provider=make_provider("scripted", clock=SYSTEM_CLOCK), call_id="x", attempts=1
    )
    call.endpoint = "https://api.openai.com/v1"
    reply = Reply(
        text="fine", model="gpt-5-mini", usage=usage, cost_usd=Decimal("0.001"), cost_source="table"
    )
    return CallFinished(call, reply, None, 0.5, 1_700_000_000.0)


def _best(work: Callable[[], object]) -> float:
    """Microseconds of one run, best of several rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            work()
        best = min(best, time.perf_counter() - start)
    return best / CALLS * 1e6


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    tracers, meters, event = TracerProvider(), MeterProvider(), _event()
    listener = Telemetry("session", tracer_provider=tracers, meter_provider=meters).listener
    row = build_row(event, session_id="session")
    attributes = attributes_of(row)
    tracer = tracers.get_tracer("bare")

    def bare() -> None:
        tracer.start_span("chat", attributes=attributes).end()

    own, peer = _best(lambda: listener(event)), _best(bare)
    return [
        (
            "otel: a call's span and 3 metric points",
            f"{own:.0f} us",
            f"{peer:.0f} us the SDK's bare span with as many attributes",
            "<= 100 us",
        )
    ]


if __name__ == "__main__":
    for line in rows():
        print(" | ".join(line))
