"""Stand-alone retry: a decorator for any async or plain function."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from random import Random, SystemRandom
from typing import Any, ParamSpec, TypeVar, cast

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.pipeline.checks import is_async
from ainb.pipeline.retry.policy import Decide, Retry, RetryBudget, next_wait, wait_after

P = ParamSpec("P")
R = TypeVar("R")


def retrying(
    options: Retry | None = None, *, clock: Clock = SYSTEM_CLOCK, rng: Random | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate an async or a plain function so that transient failures are retried.

    Each decorated function has its own retry budget (`RetryBudget`): one that rarely succeeds is soon called
    only once.

    Args:
        options: Limits of attempts and waits; None means the defaults. An exception's ``should_retry``,
            ``code`` and ``retry_after`` are honoured where it has them.
        clock: Source of time; a plain function waits in its own thread and can be interrupted there.
        rng: Source of jitter; None means the system's.

    Examples:
        >>> from ainb.testing import FakeClock
        >>> answers = iter([ConnectionError("reset by peer"), "green"])
        >>> @retrying(Retry(attempts=3), clock=FakeClock())
        ... def search(text):
        ...     answer = next(answers)
        ...     if isinstance(answer, Exception):
        ...         raise answer
        ...     return answer
        >>> search("tea")
        'green'
    """
    rules = options or Retry()
    random = rng or SystemRandom()

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        budget = RetryBudget()
        decide = functools.partial(next_wait, rules, budget=budget, rng=random)
        if is_async(function):
            work = cast(Callable[P, Awaitable[Any]], function)
            return cast(Callable[P, R], _retry_async(work, decide, budget, clock))
        return _retry_plain(function, decide, budget, clock)

    return decorate


# Two loops, for async and plain functions: a shared form of both would be longer than the two.
def _retry_async(
    function: Callable[P, Awaitable[R]], decide: Decide, budget: RetryBudget, clock: Clock
) -> Callable[P, Awaitable[R]]:
    @functools.wraps(function)
    async def retried(*args: P.args, **kwargs: P.kwargs) -> R:
        budget.first_attempt()
        failures: list[Exception] = []
        while True:
            try:
                result = await function(*args, **kwargs)
            except Exception as error:
                wait = wait_after(error, failures, decide)
                if wait is None:
                    raise
            else:
                budget.success()
                return result
            await clock.sleep(wait)

    return retried


def _retry_plain(
    function: Callable[P, R], decide: Decide, budget: RetryBudget, clock: Clock
) -> Callable[P, R]:
    @functools.wraps(function)
    def retried(*args: P.args, **kwargs: P.kwargs) -> R:
        budget.first_attempt()
        failures: list[Exception] = []
        while True:
            try:
                result = function(*args, **kwargs)
            except Exception as error:
                wait = wait_after(error, failures, decide)
                if wait is None:
                    raise
            else:
                budget.success()
                return result
            clock.block(wait)

    return retried
