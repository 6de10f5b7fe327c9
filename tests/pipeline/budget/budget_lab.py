"""Helpers of the budget tests: scripted paid calls, and a budget stage from real or mutated modules."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import dataclass
from decimal import Decimal
from types import ModuleType

from ainb.messages import Call, CallOptions, Message, Reply, Request
from ainb.pricing.quotes import Quote
from ainb.testing import FakeClock

MODULES = (
    "ainb.pipeline.budget.accounts",
    "ainb.pipeline.budget.ledger",
    "ainb.pipeline.budget.options",
    "ainb.pipeline.budget.billing",
    "ainb.pipeline.budget.stage",
)


class Paid:
    name = "openai"
    free = False


class Free(Paid):
    free = True


def usd(value):
    return Decimal(str(value))


def make_call(*, provider=None, model="gpt-x", text="hi", parameters=None, **options):
    request = Request(
        provider="openai",
        model=model,
        messages=(Message("user", text),),
        parameters=parameters or {"max_tokens": 9},
    )
    return Call(request=request, provider=provider or Paid(), options=CallOptions(**options))


@dataclass
class Lab:
    """The modules under test, one of which may be a mutant."""

    accounts: ModuleType
    ledger: ModuleType
    budget_options: ModuleType
    billing: ModuleType
    budget: ModuleType

    def stage(self, options=None, *, estimate=1, clock=None, ledger=None, sink=None, **more):
        quote = more.pop("quote", lambda _call: Quote(usd=None if estimate is None else usd(estimate)))
        return self.budget.BudgetStage(
            options,
            ledger or self.ledger.Ledger(),
            clock or FakeClock(),
            sink or (lambda _event: None),
            quote=quote,
            **more,
        )


def real_lab():
    return lab_of({name: importlib.import_module(name) for name in MODULES})


def field_of(name):
    """The field of `Lab` for a module: its last name, except for two that would be too general."""
    last = name.rpartition(".")[2]
    return {"options": "budget_options", "stage": "budget"}.get(last, last)


def lab_of(modules):
    return Lab(**{field_of(name): module for name, module in modules.items()})


def answering(cost=1, *, delay=0.0, text="ok", finish_reason="stop"):
    """The next stage: one attempt that answers at a cost."""

    async def proceed(call):
        call.attempts += 1
        if delay:
            await asyncio.sleep(delay)
        return Reply(text=text, cost_usd=None if cost is None else usd(cost), finish_reason=finish_reason)

    return proceed


def failing(*errors, cost=1, noted=True):
    """The next stage: attempts that fail in order, as with retries, then an answer if `cost` is given."""

    async def proceed(call):
        for error in errors:
            call.attempts += 1
            if noted:
                call.errors.append(error)
        if cost is None:
            raise errors[-1]
        return await answering(cost)(call)

    return proceed
