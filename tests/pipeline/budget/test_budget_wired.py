"""Tests of the budget in a session: real prices and token counts, a day book on disk, a deadline."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from decimal import Decimal

import pytest

from ainb import pricing, tokens
from ainb.errors import BudgetExceededError, DeadlineExceededError
from ainb.messages import Call, CallOptions, Message, Reply, Request, Usage
from ainb.pipeline import compose
from ainb.pipeline.budget.ledger import Ledger
from ainb.pipeline.budget.options import Budget
from ainb.pipeline.budget.stage import BudgetStage
from ainb.pipeline.deadline.stage import Deadline, DeadlineStage
from ainb.stores.day_book import DayBook
from ainb.testing import FakeClock, VirtualTimeLoop

PRICES = pricing.Prices()


class Paid:
    name, free = "openai", False

    def __init__(self, *, delay_seconds=0.0):
        self.delay_seconds = delay_seconds
        self.limits = []

    async def send(self, call):
        self.limits.append(call.request.parameters.get("max_tokens"))
        await asyncio.sleep(self.delay_seconds)
        usage = Usage(input_tokens=8, output_tokens=100)
        reply = Reply(text="ok", model="gpt-4o", usage=usage)
        reply.cost_usd, reply.cost_source = PRICES.reply_cost(call, reply)
        return reply


async def send(call):
    call.attempts += 1
    return await call.provider.send(call)


def make_call(provider, **options):
    request = Request(provider="openai", model="gpt-4o", messages=(Message("user", "hi there"),))
    return Call(request=request, provider=provider, options=CallOptions(**options))


@pytest.fixture(autouse=True, scope="module")
def loaded():
    """Load prices now, which a session does in a thread; virtual time does not wait for threads."""
    tokens.preload()
    pricing.preload()


def test_calls_run_until_the_day_is_spent(tmp_path):
    loop = VirtualTimeLoop()
    clock = FakeClock(loop=loop)
    book = DayBook(tmp_path / "budget.sqlite", clock=clock)
    budget = BudgetStage(
        Budget(usd="0.05", per="day"),
        Ledger(book),
        clock,
        lambda _event: None,
        quote=lambda call: pricing.quote(PRICES, call.request, free=call.provider.free),
    )
    handle = compose(
        [DeadlineStage(Deadline(), clock), budget, budget.before_attempt, budget.before_sending], send
    )
    provider = Paid(delay_seconds=2)

    async def main():
        return await asyncio.gather(*(handle(make_call(provider)) for _ in range(20)), return_exceptions=True)

    results = loop.run_until_complete(main())
    slow = loop.create_task(handle(make_call(Paid(delay_seconds=10), timeout_seconds=3)))
    with pytest.raises((DeadlineExceededError, BudgetExceededError)):
        loop.run_until_complete(slow)
    loop.close()

    paid = [item for item in results if isinstance(item, Reply)]
    each = (8 * Decimal("2.5") + 100 * Decimal(10)) / 1_000_000
    (status,) = budget.status()
    book.close()
    assert {type(item) for item in results} == {Reply, BudgetExceededError}
    assert status.spent_usd == len(paid) * each
    assert status.reserved_usd == 0
    assert set(provider.limits) == {4_096}


def test_a_call_that_runs_out_of_time_at_the_provider_keeps_its_estimate():
    loop = VirtualTimeLoop()
    clock = FakeClock(loop=loop)
    budget = BudgetStage(
        Budget(usd=1),
        Ledger(),
        clock,
        lambda _event: None,
        quote=lambda call: pricing.quote(PRICES, call.request),
    )
    handle = compose([DeadlineStage(Deadline(), clock), budget], send)
    call = make_call(Paid(delay_seconds=10), timeout_seconds=3)

    with pytest.raises(DeadlineExceededError):
        loop.run_until_complete(handle(call))
    loop.close()

    (status,) = budget.status()
    assert status.spent_usd == pricing.quote(PRICES, call.request).usd > 0


def test_importing_all_of_it_loads_nothing_heavy():
    script = (
        "import sys, json, ainb.tokens, ainb.pricing, ainb.pipeline.budget.stage;"
        "heavy = {'tiktoken', 'genai_prices', 'pydantic', 'sqlite3', 'platformdirs', 'numpy', 'regex'};"
        "print(json.dumps(sorted(heavy & set(sys.modules))))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    assert json.loads(done.stdout) == []
