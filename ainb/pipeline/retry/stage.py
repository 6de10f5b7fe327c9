"""Retry stage: repeats transient failures within the call's deadline and its endpoint's retry budget."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Sequence
from random import Random, SystemRandom

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.messages import Call, Handler, Reply
from ainb.pipeline.retry.loops import repeat
from ainb.pipeline.retry.policy import Retry, RetryBudget, next_wait


class RetryStage:
    """Repeats transient failures, within the call's deadline and the endpoint's retry budget.

    A rejection by an inner stage (circuit open, no permit in time) is not retried; after a failed attempt it
    is raised from that attempt's error, so that both are shown.

    Args:
        options: Limits of attempts and waits.
    """

    def __init__(self, options: Retry, *, clock: Clock = SYSTEM_CLOCK, rng: Random | None = None) -> None:
        self._options = options
        self._clock = clock
        self._rng = rng or SystemRandom()
        self._budgets: dict[str, RetryBudget] = {}

    def budget(self, endpoint: str) -> RetryBudget:
        """The retry budget of an endpoint."""
        found = self._budgets.get(endpoint)
        # Atomic, so that two threads get the same one.
        return found or self._budgets.setdefault(endpoint, RetryBudget())

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Repeat the call until it succeeds or its error is final."""
        budget = self.budget(call.resolve_endpoint())
        decide = functools.partial(self._decide, call, budget)
        return repeat(functools.partial(proceed, call), decide, budget, self._clock)

    def _decide(self, call: Call, budget: RetryBudget, failures: Sequence[Exception]) -> float | None:
        call.errors.append(failures[-1])
        # Read at each attempt: an identical call that joined may have extended the deadline.
        left = None if call.deadline is None else call.deadline - self._clock.monotonic()
        return next_wait(
            self._options, failures, budget=budget, rng=self._rng, left_seconds=left, shown=call.shown
        )
