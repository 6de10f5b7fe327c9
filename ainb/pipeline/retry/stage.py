"""Retry: transient faults only, with full jitter, within the call's deadline and within a budget for each provider."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from random import Random, SystemRandom

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.messages import Call, Handler, Reply
from ainb.pipeline.retry.policy import Retry, RetryBudget, next_wait, wait_after


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
                wait = wait_after(error, failures, functools.partial(self._decide, call, budget))
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
