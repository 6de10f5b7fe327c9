"""Makes finished calls for the tests of the usage log."""

from __future__ import annotations

from decimal import Decimal

from ainb.clock import SYSTEM_CLOCK
from ainb.events import CallFinished
from ainb.messages import Call, CallOptions, Message, Reply, Request, Usage
from ainb.providers.scripted import ScriptedProvider

START = 1_700_000_000.0


class PaidProvider(ScriptedProvider):
    name = "openai"
    free = False


def finished(
    number=0,
    *,
    model="gpt-5-mini",
    cost="0.001",
    error=None,
    ended_at=START,
    attempts=1,
    prompt="hello",
    free=False,
    options=None,
    call_id=None,
    **reply,
):
    provider = (ScriptedProvider if free else PaidProvider)(clock=SYSTEM_CLOCK)
    call = Call(
        request=Request(provider="openai", model=model, messages=(Message("user", prompt),)),
        provider=provider,
        call_id=call_id or f"call-{number}",
        attempts=attempts,
        options=CallOptions(**(options or {})),
    )
    answer = None
    if error is None:
        money = {
            "cost_usd": None if cost is None else Decimal(cost),
            "cost_source": "unpriced" if cost is None else "table",
        }
        usage = Usage(input_tokens=10, output_tokens=number % 7, source="provider")
        answer = Reply(**{"text": "hi", "model": f"{model}-2026", "usage": usage, **money, **reply})
    return CallFinished(call, answer, error, 0.5, ended_at)
