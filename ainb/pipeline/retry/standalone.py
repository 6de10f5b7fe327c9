"""Stand-alone retry: a decorator for any async or plain function."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from random import Random, SystemRandom
from typing import Any, ParamSpec, TypeVar, cast

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.pipeline.checks import is_async
from ainb.pipeline.retry.loops import repeat, repeat_blocking
from ainb.pipeline.retry.policy import Retry, RetryBudget, next_wait

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

            @functools.wraps(function)
            async def retried_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                return await repeat(functools.partial(work, *args, **kwargs), decide, budget, clock)

            return cast(Callable[P, R], retried_async)

        @functools.wraps(function)
        def retried(*args: P.args, **kwargs: P.kwargs) -> R:
            return repeat_blocking(functools.partial(function, *args, **kwargs), decide, budget, clock)

        return retried

    return decorate
