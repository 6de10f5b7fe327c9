"""The two loops of retry: for coroutines and for plain functions, which wait in their own thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ainb.clock import Clock
from ainb.pipeline.retry.policy import Decide, RetryBudget, wait_after

R = TypeVar("R")


async def repeat(attempt: Callable[[], Awaitable[R]], decide: Decide, budget: RetryBudget, clock: Clock) -> R:
    """Make attempts until one succeeds or its error is final."""
    budget.first_attempt()
    failures: list[Exception] = []
    while True:
        try:
            result = await attempt()
        except Exception as error:
            wait = wait_after(error, failures, decide)
            if wait is None:
                raise
        else:
            budget.success()
            return result
        await clock.sleep(wait)


# A form of both loops in one would be longer than the two.
def repeat_blocking(attempt: Callable[[], R], decide: Decide, budget: RetryBudget, clock: Clock) -> R:
    """`repeat` for a plain function."""
    budget.first_attempt()
    failures: list[Exception] = []
    while True:
        try:
            result = attempt()
        except Exception as error:
            wait = wait_after(error, failures, decide)
            if wait is None:
                raise
        else:
            budget.success()
            return result
        clock.block(wait)
