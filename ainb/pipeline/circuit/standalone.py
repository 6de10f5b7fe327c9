"""Stand-alone circuit breaker for any async or plain function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random, SystemRandom
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.errors import CircuitOpenError
from ainb.fork import new_lock
from ainb.pipeline.checks import is_async
from ainb.pipeline.circuit.state_machine import BreakerCore, Circuit, State, verdict

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitStatus:
    """State of a circuit at one moment.

    Attributes:
        name: ``provider:model``, or the name of a stand-alone breaker.
        endpoint: Endpoint of the calls; None for a stand-alone breaker.
        state: "closed", "open", "half-open", "forced-open" or "disabled".
        probe_in_s: Seconds until an open circuit lets a probe through; None in every other state.
        failure_rate: Share of failures in the window, 0 to 1; None without calls.
        calls: Outcomes in the window.
    """

    name: str
    endpoint: str | None
    state: State
    probe_in_s: float | None
    failure_rate: float | None
    calls: int


class Permit:
    """Permit for one call, as a context manager; leaving the block reports the outcome."""

    __slots__ = ("_breaker", "_generation")

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker

    def __enter__(self) -> None:
        self._generation = self._breaker.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._breaker.end(self._generation, error)


class CircuitBreaker:
    """Circuit breaker for any function; thread-safe and bound to no event loop.

    Args:
        options: Thresholds; None means the defaults.
        name: Name in error messages.
        clock: Source of time.
        rng: Source of jitter; None means the system's.

    Examples:
        >>> from ainb.testing import FakeClock
        >>> clock = FakeClock()
        >>> breaker = CircuitBreaker(Circuit(minimum_calls=2, probes=1), name="search", clock=clock)
        >>> @breaker
        ... def search(text):
        ...     return {"tea": "green"}[text]
        >>> for _ in range(2):
        ...     try:
        ...         search("coffee")
        ...     except KeyError:
        ...         pass
        >>> breaker.state
        'open'
        >>> search("tea")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ainb.errors.CircuitOpenError: search failed too often just now (50 % of at least 2 calls ...
        >>> clock.advance(30)
        >>> search("tea"), breaker.state
        ('green', 'closed')
    """

    def __init__(
        self,
        options: Circuit | None = None,
        *,
        name: str = "the call",
        clock: Clock = SYSTEM_CLOCK,
        rng: Random | None = None,
    ) -> None:
        options = options or Circuit()
        self.name = name
        self._options = options
        self._clock = clock
        self._core = BreakerCore(options, rng or SystemRandom())
        self._lock = new_lock()
        self._refusal = (
            f"{name} failed too often just now ({options.failure_rate * 100:g} % of at least "
            f"{options.minimum_calls} calls within {options.window_seconds:g} s); nothing was sent; "
            "try another model or wait"
        )

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name}: {self.state}>"

    @property
    def state(self) -> State:
        """One of "closed", "open", "half-open", "forced-open" or "disabled"."""
        return self._core.state

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call may pass; 0 if one may pass now, None when forced open."""
        with self._lock:
            return self._core.retry_after(self._clock.monotonic())

    def status(self, endpoint: str | None = None) -> CircuitStatus:
        """State and window at this moment."""
        with self._lock:
            core, now = self._core, self._clock.monotonic()
            core.window.roll(now)
            return CircuitStatus(
                name=self.name,
                endpoint=endpoint,
                state=core.state,
                probe_in_s=core.retry_after(now) if core.state == "open" else None,
                failure_rate=core.window.failure_rate,
                calls=core.window.calls,
            )

    def force_open(self) -> None:
        """Refuse every call until `reset`."""
        with self._lock:
            self._core.force("forced-open")

    def disable(self) -> None:
        """Let every call pass, uncounted, until `reset`."""
        with self._lock:
            self._core.force("disabled")

    def reset(self) -> None:
        """Close the circuit and clear its window."""
        with self._lock:
            self._core.reset()

    def check(self) -> None:
        """Raise when a call would be refused now; takes no permit.

        Raises:
            CircuitOpenError: The circuit is open, or half-open with all probes in flight; see
                ``retry_after``.
        """
        if self._core.state == "closed":
            return
        with self._lock:
            now = self._clock.monotonic()
            if not self._core.admits(now):
                raise self._refused(now)

    def permit(self) -> Permit:
        """Context manager around one call, async or plain; entering it may raise CircuitOpenError."""
        return Permit(self)

    def begin(self) -> int:
        """Take a permit that must be returned with `end`; prefer `permit`, which cannot lose one.

        Returns:
            The generation to pass to `end`.

        Raises:
            CircuitOpenError: The call is refused; see ``retry_after``.
        """
        core = self._core
        # Read without the lock, so the order matters: a generation read before the state is at worst too old,
        # and then its outcome is ignored.
        generation = core.generation
        if core.state == "closed":
            return generation
        with self._lock:
            now = self._clock.monotonic()
            taken = core.begin(now)
            if taken is None:
                raise self._refused(now)
            return taken

    def end(self, generation: int, error: BaseException | None) -> None:
        """Return a permit; `error` is the call's exception, or None."""
        failed: bool | None = None
        try:
            failed = error is not None and verdict(self._options, error)
        finally:  # a failure_on that raises must not lose the permit
            with self._lock:
                self._core.end(generation, failed=failed, now=self._clock.monotonic())

    async def call(self, function: Callable[P, Awaitable[R] | R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call an async or a plain function under a permit; a plain one runs on the event loop's thread.

        Raises:
            CircuitOpenError: The call is refused; see ``retry_after``.
        """
        with self.permit():
            result = function(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate an async function (stays async) or a plain one (stays plain).

        Raises:
            ConfigError: It is a generator function.
        """
        if is_async(function):
            work = cast(Callable[P, Awaitable[Any]], function)

            @functools.wraps(function)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self.permit():
                    return await work(*args, **kwargs)

            return cast(Callable[P, R], guarded_async)

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.permit():
                return function(*args, **kwargs)

        return guarded

    def _refused(self, now: float) -> CircuitOpenError:
        if self._core.state == "forced-open":
            return CircuitOpenError(
                f"{self.name} is switched off (its circuit is forced open); nothing was sent; reset the "
                "circuit or try another model"
            )
        return CircuitOpenError(self._refusal, retry_after=self._core.retry_after(now))
