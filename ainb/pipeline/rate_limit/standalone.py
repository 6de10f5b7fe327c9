"""Stand-alone rate limiter for other clients: decorator, context manager, non-blocking check."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.pipeline.checks import is_async
from ainb.pipeline.rate_limit.buckets import Cost, call_cost
from ainb.pipeline.rate_limit.local import LocalLimiter
from ainb.pipeline.rate_limit.options import RateLimit
from ainb.pipeline.rate_limit.permits import Permit

F = TypeVar("F", bound=Callable[..., Any])
NOBODY = ""  # calls without a user share one queue
UNLIMITED = RateLimit(concurrency=None)


class RateLimiter:
    """Rate limits per user and for all users together, for async and plain functions on any thread and loop.

    Args:
        limit: Limits of each user; calls that name no user count as one user.
        shared: Limits of all users together; None means none.
        clock: Source of time.

    Examples:
        Around a function; the decorator takes the argument ``user`` for itself:

        >>> limiter = RateLimiter(RateLimit(requests_per_minute=600, concurrency=8))
        >>> @limiter
        ... def ask(prompt):
        ...     return prompt.upper()
        >>> ask("hello", user="ann")
        'HELLO'

        Around a block; the actual use is settled at its end:

        >>> limiter = RateLimiter(RateLimit(tokens_per_minute=60_000))
        >>> with limiter.permit(user="ann", tokens=500) as permit:
        ...     permit.settle(tokens=320)

        As a check, which never waits:

        >>> limiter = RateLimiter(RateLimit(requests_per_minute=12))
        >>> [limiter.try_acquire(user="ann") for _ in range(3)]
        [True, True, False]
        >>> limiter.try_acquire(user="bob")
        True
    """

    def __init__(
        self, limit: RateLimit, *, shared: RateLimit | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.limit = limit
        self._limiter = LocalLimiter(shared or UNLIMITED, clock, per_user=limit)

    def __call__(self, function: F) -> F:
        """Decorate a function so that every call waits for a permit; its keyword ``user`` is not passed on.

        Raises:
            ConfigError: It is a generator function; hold `permit` around the loop that reads it instead.
        """
        if is_async(function):

            @functools.wraps(function)
            async def waits(*args: Any, user: str | None = None, **kwargs: Any) -> Any:
                async with self.permit(user=user):
                    return await function(*args, **kwargs)

            return cast(F, waits)

        @functools.wraps(function)
        def blocks(*args: Any, user: str | None = None, **kwargs: Any) -> Any:
            with self.permit(user=user):
                return function(*args, **kwargs)

        return cast(F, blocks)

    def try_acquire(self, *, user: str | None = None, tokens: int = 0) -> bool:
        """Take one request (and tokens) if available now; never waits, never overtakes waiters.

        No slot is held, since the end of the call is unknown; a slot must only be free at this moment. Tokens
        count as given. Use `permit` to hold a slot.

        Args:
            user: User of the call; None means calls without a user.
            tokens: Tokens of the call, in every limited token dimension.

        Returns:
            Whether the call may proceed.
        """
        permit = self._limiter.try_acquire(_cost(tokens), user=user or NOBODY)
        if permit is None:
            return False
        self._limiter.settle(permit)
        return True

    def permit(self, *, user: str | None = None, tokens: int = 0) -> PermitScope:
        """Context manager that holds one permit: ``async with`` in a coroutine, ``with`` in a plain thread.

        Args:
            user: User of the call; None means calls without a user.
            tokens: Tokens that the call may take, in every limited token dimension.
        """
        return PermitScope(self._limiter, user or NOBODY, tokens)

    def pause(self, seconds: float) -> None:
        """Grant no permits for `seconds`, as for a Retry-After header."""
        self._limiter.pause(seconds)

    def status(self, *, user: str | None = None) -> dict[str, Any]:
        """Calls waiting and in flight, seconds of pause left, and bucket levels of one user.

        Args:
            user: The user; None means calls without a user.
        """
        return self._limiter.status(user or NOBODY)


class PermitScope:
    """One permit while the block runs; returned on any exit.

    Entering raises RateLimitError when the limiter's options say not to wait.
    """

    def __init__(self, limiter: LocalLimiter, user: str, tokens: int) -> None:
        self._limiter = limiter
        self._user = user
        self._reserved = _cost(tokens)
        self._actual: Cost | None = None
        self._permit: Permit | None = None

    def settle(self, *, tokens: int) -> None:
        """Set the actual use; it is settled at the end of the block."""
        self._actual = _cost(tokens)

    def __enter__(self) -> Self:
        self._permit = self._limiter.acquire_blocking(self._reserved, user=self._user)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    async def __aenter__(self) -> Self:
        self._permit = await self._limiter.acquire(self._reserved, user=self._user)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        permit, self._permit = self._permit, None
        if permit is not None:
            self._limiter.settle(permit, self._actual)


def _cost(tokens: int) -> Cost:
    """Cost of so many tokens in every token dimension."""
    requests, total, _, _ = call_cost(tokens, 0)
    return (requests, total, tokens, tokens)
