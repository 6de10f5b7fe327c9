"""Rate limit stage: waits for a permit per provider, model and account, and settles it afterwards."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from ainb.clock import Clock
from ainb.errors import ProviderError, TransientProviderError
from ainb.messages import Call, Handler, Reply, Usage
from ainb.pipeline.rate_limit.buckets import NOTHING, ONE_REQUEST, Cost, call_cost
from ainb.pipeline.rate_limit.local import LocalLimiter
from ainb.pipeline.rate_limit.options import RateLimit
from ainb.pipeline.rate_limit.queue import Reading
from ainb.pipeline.rate_limit.ramp import Ramp, make_ramp

OUTPUTS_KEPT = 100
OUTPUTS_NEEDED = 20
OUTPUT_QUANTILE = 0.95
TOO_MANY_REQUESTS = 429
OVERLOAD_STATUSES = frozenset({429, 529})


class Limiter(Protocol):
    """Source of permits: `LocalLimiter` in this process, or one that processes share.

    A permit is opaque to the stage. All methods but `acquire` return at once; a remote limiter sends reports
    in the background.
    """

    @property
    def counts_tokens(self) -> bool:
        """Whether a token dimension is limited, so that callers must estimate tokens."""
        ...

    async def acquire(self, cost: Cost, *, user: str | None = None, deadline: float | None = None) -> Any:
        """Wait in the queue for a permit.

        Raises:
            RateLimitError: The minimum wait exceeds `deadline` (a monotonic second), or the options say not
                to wait.
        """
        ...

    def settle(self, permit: Any, actual: Cost | None = None, *, answered: bool | None = None) -> None:
        """Return a permit with the actual use; None keeps the reservation.

        Args:
            permit: What `acquire` returned.
            actual: Actual use.
            answered: True when the provider answered, False when it failed, None when that is unknown.
        """
        ...

    def throttle(self, permit: Any, retry_after: float | None = None) -> None:
        """After a 429: empty the buckets, pause and slow down."""
        ...

    def pause(self, seconds: float) -> None:
        """Grant no permits for `seconds`."""
        ...

    def learn(self, readings: Iterable[Reading]) -> None:
        """Apply rate-limit headers."""
        ...

    def raise_cap(self, cap: int) -> None:
        """Raise the cap on calls in flight to at least `cap`, until `lower_cap`."""
        ...

    def lower_cap(self, cap: int) -> None:
        """Undo one `raise_cap` of the same number."""
        ...

    def start_at(self, in_flight: int) -> None:
        """Allow at least `in_flight` calls in flight from now on, up to the cap."""
        ...

    @property
    def hinted(self) -> float | None:
        """Remaining requests that the server reported with the last reply; None where it reports none."""
        ...

    def status(self) -> dict[str, Any]:
        """State for status tables."""
        ...


Estimate = Callable[[Call], tuple[int, int]]
ReadHeaders = Callable[[Mapping[str, str]], Iterable[Reading]]
LimitScope = tuple[str, str, str]  # provider, model, account: the scope of a provider's limits
MakeLimiter = Callable[[RateLimit, LimitScope], Limiter]


class RecentOutputs:
    """Output tokens of the last replies, to estimate the next one."""

    def __init__(self) -> None:
        self._recent: deque[int] = deque()
        self._sorted: list[int] = []

    def add(self, output_tokens: int) -> None:
        """Add one reply's output tokens; only the last 100 are kept."""
        self._recent.append(output_tokens)
        insort(self._sorted, output_tokens)
        if len(self._recent) > OUTPUTS_KEPT:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]

    def guess(self) -> int | None:
        """The 95th percentile of the last replies; None until 20 are known."""
        count = len(self._sorted)
        return self._sorted[int(OUTPUT_QUANTILE * (count - 1))] if count >= OUTPUTS_NEEDED else None


class RateLimitStage:
    """Runs a call once its limiter grants a permit, and settles the permit at the actual use.

    Args:
        options: Limits per provider, model and account, shared by all callers.
        estimate: Returns input and output tokens that a call may take; called only when a token dimension is
            limited. Its output is used where the call sets a maximum, or until enough replies are known.
        read_headers: Reads rate-limit headers (lower-case names) into readings: dimension, limit per
            minute or None, remaining or None, seconds to the reset or None. Limits of other periods must be
            left out.
        learn: Called with each answered call and its usage, to improve `estimate`.
        per_user: Limits of each named user inside the shared ones; None means users have none of their own.
        make_limiter: Makes a limiter for a scope; None means one in this process, which models that run in
            this process always use.
    """

    def __init__(
        self,
        options: RateLimit,
        clock: Clock,
        *,
        estimate: Estimate,
        read_headers: ReadHeaders,
        learn: Callable[[Call, Usage], None] | None = None,
        per_user: RateLimit | None = None,
        make_limiter: MakeLimiter | None = None,
    ) -> None:
        self._options = options
        self._clock = clock
        self._estimate = estimate
        self._read_headers = read_headers
        self._learn = learn
        self._per_user = per_user
        self._make_limiter = make_limiter or self._make_local
        self._limiters: dict[LimitScope, tuple[Limiter, RecentOutputs]] = {}

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Wait for a permit, run the call, settle the permit."""
        limiter, outputs = self._find(call)
        cost = self._cost(call, outputs) if limiter.counts_tokens else ONE_REQUEST
        started = self._clock.monotonic()
        try:
            permit = await limiter.acquire(cost, user=call.options.user, deadline=call.deadline)
        finally:
            call.queue_wait_s += self._clock.monotonic() - started
        actual: Cost | None = None
        answered: bool | None = None
        attempts = call.attempts
        try:
            reply = await proceed(call)
            actual, answered = used(cost, reply.usage), True
        except ProviderError as error:
            actual = None if error.billed else ONE_REQUEST
            # Before the buckets are emptied, or it would refill them.
            limiter.settle(permit, actual, answered=_has_answered(error))
            self._apply_refusal(error, limiter, permit)
            raise
        except BaseException:
            actual = NOTHING if call.attempts == attempts else None
            raise
        finally:
            limiter.settle(permit, actual, answered=answered)
        if reply.usage.output_tokens is not None:
            outputs.add(reply.usage.output_tokens)
        if self._learn is not None:
            self._learn(call, reply.usage)
        if reply.headers:
            limiter.learn(self._read_headers(reply.headers))
        return reply

    def status(self) -> list[dict[str, Any]]:
        """One row per provider and model: calls waiting and in flight, pause left, and levels of the buckets.

        Returns:
            Dicts with `provider`, `model`, `endpoint`, `waiting`, `in_flight`, `concurrency` (None: no cap),
            `paused_s`, `share` (1 unless slowed down after a 429), and per limited dimension `…_level`,
            `…_capacity`, `…_limit` (per minute).
        """
        return [
            {"provider": provider, "model": model, "endpoint": account.partition("#")[0], **limiter.status()}
            for (provider, model, account), (limiter, _) in list(self._limiters.items())
        ]

    def limiter(self, call: Call) -> Limiter:
        """The limiter of this call."""
        return self._find(call)[0]

    def _find(self, call: Call) -> tuple[Limiter, RecentOutputs]:
        request = call.request
        key = (request.provider, request.model, call.resolve_account())
        found = self._limiters.get(key)
        if found is None:
            options = self._options
            slots: int | None = getattr(call.provider, "slots", None)
            if slots is not None and (options.concurrency is None or slots < options.concurrency):
                options = replace(options, concurrency=slots)
            make = self._make_limiter if slots is None else self._make_fixed
            found = self._limiters.setdefault(key, (make(options, key), RecentOutputs()))
        return found

    def _make_local(self, options: RateLimit, scope: LimitScope) -> Limiter:
        # A user's own function has no limits of a service to find.
        ramp = None if scope[0] == "function" else make_ramp(options)
        return self._make_fixed(options, scope, ramp)

    def _make_fixed(self, options: RateLimit, scope: LimitScope, ramp: Ramp | None = None) -> Limiter:
        name = f"{scope[0]}:{scope[1]}"
        return LocalLimiter(options, self._clock, per_user=self._per_user, name=name, ramp=ramp)

    def _cost(self, call: Call, outputs: RecentOutputs) -> Cost:
        input_tokens, output_tokens = self._estimate(call)
        if not call.request.output_limits:
            guess = outputs.guess()
            output_tokens = output_tokens if guess is None else guess
        return call_cost(input_tokens, output_tokens)

    def _apply_refusal(self, error: ProviderError, limiter: Limiter, permit: Any) -> None:
        """Apply the rate-limit information of a failed call; a final 429 (no quota left) has none."""
        if isinstance(error, TransientProviderError):
            if error.status_code == TOO_MANY_REQUESTS:
                limiter.throttle(permit, error.retry_after)
            elif error.retry_after is not None:
                limiter.pause(error.retry_after)
        if error.headers:
            limiter.learn(self._read_headers(error.headers))


def _has_answered(error: ProviderError) -> bool | None:
    """False for a failure of the provider; None for a refusal or a 429, which do not show its health."""
    if not isinstance(error, TransientProviderError) or error.status_code == TOO_MANY_REQUESTS:
        return None
    return False


def used(cost: Cost, usage: Usage) -> Cost:
    """Actual cost of a call by the provider's count; an unknown count keeps the reserved value."""
    input_tokens = cost[2] if usage.input_tokens is None else usage.input_tokens
    output_tokens = cost[3] if usage.output_tokens is None else usage.output_tokens
    return call_cost(input_tokens, output_tokens)
