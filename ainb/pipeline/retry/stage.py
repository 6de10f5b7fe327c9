"""Retry: transient faults only, with full jitter, within the call's deadline and within a budget for each provider."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from random import Random, SystemRandom
from typing import Any, ParamSpec, TypeVar, cast

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.errors import CallRejectedError
from ainb.messages import Call, Handler, Reply
from ainb.pipeline.checks import is_async
from ainb.pipeline.retry.policy import Retry, RetryBudget, backoff_seconds, next_wait

P = ParamSpec("P")
R = TypeVar("R")
Decide = Callable[[Sequence[Exception]], float | None]

__all__ = ["Retry", "RetryBudget", "RetryStage", "backoff_seconds", "retrying"]


class RetryStage:
    """Tries again after transient faults, within the call's deadline and the provider's retry budget.

    A rejection further in (circuit open, no permit in time) is not tried again; after a failed attempt it is raised from that
    attempt's error, so that both are seen.

    Args:
        options: The rules.
        clock: Where time comes from.
        rng: Where jitter comes from; None means the system's.
    """

    def __init__(self, options: Retry, *, clock: Clock = SYSTEM_CLOCK, rng: Random | None = None) -> None:
        self._options = options
        self._clock = clock
        self._rng = rng or SystemRandom()
        self._budgets: dict[str, RetryBudget] = {}

    def budget(self, endpoint: str) -> RetryBudget:
        """The retry budget of everything that is sent to one place."""
        found = self._budgets.get(endpoint)
        # One step, so that two threads get the same one.
        return found or self._budgets.setdefault(endpoint, RetryBudget())

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Attempts, until one succeeds or the last error is final."""
        budget = self.budget(call.place())
        budget.first_attempt()
        failures: list[Exception] = []
        while True:
            try:
                reply = await proceed(call)
            except Exception as error:
                wait = _wait_after(error, failures, functools.partial(self._decide, call, budget))
                if wait is None:
                    raise
            else:
                budget.success()
                return reply
            await self._clock.sleep(wait)

    def _decide(self, call: Call, budget: RetryBudget, failures: Sequence[Exception]) -> float | None:
        call.errors.append(failures[-1])
        # Read now: another's identical call that joined in may have moved the deadline since the last attempt.
        left = None if call.deadline is None else call.deadline - self._clock.monotonic()
        return next_wait(
            self._options, failures, budget=budget, rng=self._rng, left_seconds=left, shown=call.shown
        )


def _wait_after(error: Exception, failures: list[Exception], decide: Decide) -> float | None:
    """Note the error of an attempt; seconds to wait before the next one, or None when the error is to be raised."""
    if isinstance(error, CallRejectedError):
        if failures:
            error.__cause__ = failures[-1]  # what "raise ... from" does: the person sees both
        return None
    failures.append(error)
    return decide(failures)


def retrying(
    options: Retry | None = None, *, clock: Clock = SYSTEM_CLOCK, rng: Random | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate an async function (stays async) or a plain one (stays plain) so that transient faults are tried again.

    Each decorated function has a retry budget of its own (`RetryBudget`): one that hardly ever succeeds is soon called once only.

    Args:
        options: The rules; None means the defaults. An exception's ``should_retry``, ``code`` and ``retry_after`` are
            honoured where it has them.
        clock: Where time comes from; a plain function waits in its own thread and can be interrupted there.
        rng: Where jitter comes from; None means the system's.

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
                wait = _wait_after(error, failures, decide)
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
                wait = _wait_after(error, failures, decide)
                if wait is None:
                    raise
            else:
                budget.success()
                return result
            clock.block(wait)

    return retried
