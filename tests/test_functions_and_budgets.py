"""Tests of hard budgets around the user's functions: only functions that take an output limit get one."""

from __future__ import annotations

import asyncio
import inspect
from decimal import Decimal

import pytest

import ainb

PRICES = {"function:*": {"request_usd": 1}}
seen = []


def plain(prompt):
    seen.append(None)
    return prompt


def plain_with_limit(prompt, *, max_tokens=None):
    seen.append(max_tokens)
    return prompt


def plain_with_parameters(prompt, **parameters):
    seen.append(parameters.get("max_tokens"))
    return prompt


async def asynchronous(prompt):
    seen.append(None)
    return prompt


async def asynchronous_with_parameters(prompt, **parameters):
    seen.append(parameters.get("max_tokens"))
    return prompt


class Client:
    def ask(self, prompt):
        seen.append(None)
        return prompt


FUNCTIONS = [
    (plain, False),
    (plain_with_limit, True),
    (plain_with_parameters, True),
    (asynchronous, False),
    (asynchronous_with_parameters, True),
    (Client().ask, False),
]


@pytest.fixture
def session(tmp_path):
    seen.clear()
    config = ainb.Config(prices=PRICES, home=tmp_path, budget=ainb.Budget(usd=Decimal(10)), retry=None)
    with ainb.Session(config=config) as session:
        yield session


@pytest.mark.parametrize(("function", "takes"), FUNCTIONS)
def test_a_guarded_function_is_called_with_a_limit_only_where_it_takes_one(session, function, takes):
    guarded = session.guard(model="mine")(function)

    answer = guarded("hello")
    assert (asyncio.run(answer) if inspect.iscoroutine(answer) else answer) == "hello"

    assert [limit is not None for limit in seen] == [takes]
    assert session.budget_status()[0].spent_usd == 1


@pytest.mark.parametrize(("function", "takes"), FUNCTIONS)
def test_a_mapped_function_is_called_with_a_limit_only_where_it_takes_one(session, function, takes):
    frame = session.map(["one", "two"], function)

    assert frame["status"].tolist() == ["ok", "ok"]
    assert [limit is not None for limit in seen] == [takes] * 2


def test_of_fifteen_calls_at_once_of_one_dollar_each_a_budget_of_ten_lets_ten_through(session):
    @session.guard(model="mine", cache=False)
    async def ask(prompt):
        await asyncio.sleep(0.01)
        return prompt

    async def all_at_once():
        return await asyncio.gather(*(ask(f"question {n}") for n in range(15)), return_exceptions=True)

    outcomes = asyncio.run(all_at_once())

    assert sum(isinstance(outcome, str) for outcome in outcomes) == 10
    assert sum(isinstance(outcome, ainb.BudgetExceededError) for outcome in outcomes) == 5
    assert session.budget_status()[0].spent_usd == 10
