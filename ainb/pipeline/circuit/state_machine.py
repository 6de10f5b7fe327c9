"""Core of the circuit breaker: options, window and state machine. No I/O; `now` is passed in."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from ainb.errors import AinbError, CallRejectedError, TransientProviderError
from ainb.pipeline.checks import check_number, exception_types
from ainb.plain import plain_fields

FailureRule = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
State = Literal["closed", "open", "half-open", "forced-open", "disabled"]
BUCKETS = 10
OPEN_JITTER = 0.1
PROBE_CHECK_SECONDS = 1.0
REQUEST_TIMEOUT = 408
_NEUTRAL = (CallRejectedError, concurrent.futures.CancelledError)


@dataclass(frozen=True, kw_only=True)
class Circuit:
    """Options of the circuit breaker: when a circuit opens, and how it closes again.

    Attributes:
        failure_rate: Share of failures in the window that opens the circuit; above 0, at most 1.
        minimum_calls: Calls in the window below which the circuit stays closed; at least 1.
        window_seconds: Length of the window; above 0.
        open_seconds: Time for which the circuit first stays open, shortened by up to a tenth (jitter), and
            time limit of probes; above 0.
        max_open_seconds: Upper limit of the open time, which doubles with each opening in a row; at least
            `open_seconds`.
        probes: Calls that pass after the open time and must all succeed; at least 1.
        failure_on: Exception types that count as failures, or a function that decides; all other errors are
            then neutral. None means `is_failure`.

    Raises:
        ConfigError: An option is out of its range.
    """

    failure_rate: float = 0.5
    minimum_calls: int = 10
    window_seconds: float = 60.0
    open_seconds: float = 30.0
    max_open_seconds: float = 300.0
    probes: int = 2
    failure_on: FailureRule | None = None

    def __post_init__(self) -> None:
        plain_fields(self)
        check_number("Circuit.failure_rate", self.failure_rate, above=0, most=1)
        check_number("Circuit.minimum_calls", self.minimum_calls, least=1, whole=True)
        check_number("Circuit.window_seconds", self.window_seconds, above=0)
        check_number("Circuit.open_seconds", self.open_seconds, above=0)
        check_number("Circuit.max_open_seconds", self.max_open_seconds, least=self.open_seconds)
        check_number("Circuit.probes", self.probes, least=1, whole=True)
        rule = self.failure_on
        if rule is not None and (isinstance(rule, type) or not callable(rule)):
            object.__setattr__(self, "failure_on", exception_types("Circuit.failure_on", rule))


def is_failure(error: Exception) -> bool:
    """Whether an error is a failure of the provider: 5xx, 408, a timeout, a broken or unreadable reply.

    409, 425, 429 and all other 4xx are caused by the caller or handled by the rate limiter. An exception of
    another package comes from the user's own function; it counts unless its ``status_code`` or ``status`` is
    such a 4xx.
    """
    status = getattr(error, "status_code", None) or getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 600:  # noqa: PLR2004 - HTTP's own classes
        return status == REQUEST_TIMEOUT or status >= 500  # noqa: PLR2004 - HTTP's own classes
    return isinstance(error, TransientProviderError) or not isinstance(error, AinbError)


def verdict(options: Circuit, error: BaseException) -> bool | None:
    """Classify an error: True for a failure of the provider, None for a neutral error.

    Cancellation, interrupts and rejections by other stages are always neutral.
    """
    if not isinstance(error, Exception) or isinstance(error, _NEUTRAL):
        return None
    rule = options.failure_on
    if rule is None:
        failed = is_failure(error)
    elif isinstance(rule, tuple | type):
        failed = isinstance(error, rule)
    else:
        failed = rule(error)
    return True if failed else None


class Window:
    """Outcomes of the last seconds in ten buckets, so that counting takes constant time.

    A bucket is dropped as a whole, so the counts span between nine and ten tenths of the window.

    Args:
        seconds: Length of the window.
    """

    __slots__ = ("_bucket_ends", "_bucket_seconds", "_calls", "_failures", "_index", "_place")

    def __init__(self, seconds: float) -> None:
        self._bucket_seconds = seconds / BUCKETS
        self._bucket_ends = 0.0
        self._index = -1
        self._place = 0
        self.clear()

    @property
    def calls(self) -> int:
        """Outcomes in the window, as of the last `add` or `roll`."""
        return sum(self._calls)

    @property
    def failures(self) -> int:
        """Failures among `calls`."""
        return sum(self._failures)

    @property
    def failure_rate(self) -> float | None:
        """Share of failures, 0 to 1, or None without calls."""
        calls = self.calls
        return self.failures / calls if calls else None

    def clear(self) -> None:
        """Drop every outcome."""
        self._calls = [0] * BUCKETS
        self._failures = [0] * BUCKETS

    def add(self, *, failed: bool, now: float) -> None:
        """Count an outcome; a `now` slightly in the past (two threads) counts as the newest."""
        if now >= self._bucket_ends:
            self.roll(now)
        self._calls[self._place] += 1
        if failed:
            self._failures[self._place] += 1

    def roll(self, now: float) -> None:
        """Drop expired buckets."""
        index = int(now // self._bucket_seconds)
        for step in range(1, min(index - self._index, BUCKETS) + 1):
            place = (self._index + step) % BUCKETS
            self._calls[place] = self._failures[place] = 0
        if index > self._index:
            self._index = index
            self._place = index % BUCKETS
            self._bucket_ends = (index + 1) * self._bucket_seconds


class BreakerCore:
    """State machine of a circuit: admits or refuses calls, and changes state by their outcomes.

    A permit is the generation in which it was taken. Every change of state and every new round of probes
    starts a generation, so that the outcome of a call admitted in an older state cannot change a newer one.
    An outcome is True (the provider failed), False (it answered) or None (neutral).

    Args:
        options: Thresholds.
        rng: Source of the jitter of open times.

    Attributes:
        state: Current state; an open circuit stays "open" until the first call after its time.
        generation: Generation of permits taken now.
        window: Outcomes counted while closed.

    Source: Nygard, Release It! (2nd ed., 2018), for the three states; resilience4j's rate over a time window.
    """

    __slots__ = (
        "_in_flight",
        "_next_open_seconds",
        "_options",
        "_probing_since",
        "_rng",
        "_successes",
        "_until",
        "generation",
        "state",
        "window",
    )

    def __init__(self, options: Circuit, rng: Random) -> None:
        self._options = options
        self._rng = rng
        self._next_open_seconds = options.open_seconds
        self._until = 0.0
        self._probing_since = 0
        self._in_flight = 0
        self._successes = 0
        self.state: State = "closed"
        self.generation = 0
        self.window = Window(options.window_seconds)

    def admits(self, now: float) -> bool:
        """Whether a call would pass now; takes no permit."""
        if self.state == "open":
            return now >= self._until
        if self.state == "half-open":
            return self._has_slot() or now >= self._until
        return self.state != "forced-open"

    def begin(self, now: float) -> int | None:
        """Take a permit.

        Returns:
            The generation to pass to `end`, or None when the call is refused.
        """
        if self.state == "closed":
            return self.generation
        if not self.admits(now):
            return None
        if self.state == "open":
            self._start_probing(now)
        elif self.state == "half-open" and not self._has_slot():
            # The probes have not ended in time: new probes take their slots.
            self._start_round(now)
        if self.state == "half-open":
            self._in_flight += 1
        return self.generation

    def end(self, generation: int, *, failed: bool | None, now: float) -> None:
        """Return a permit with the outcome of its call."""
        if self.state == "half-open":
            self._end_probe(generation, failed=failed, now=now)
        elif self.state == "closed" and generation == self.generation and failed is not None:
            self.window.add(failed=failed, now=now)
            if failed and self._fails_too_often():
                self._open(now)

    def retry_after(self, now: float) -> float | None:
        """Seconds until a call may pass, or None when waiting does not help (forced open).

        While probes are in flight the time is unknown; checking every second is cheaper than waiting for the
        whole round.
        """
        if self.state == "forced-open":
            return None
        if self.admits(now):
            return 0.0
        left = self._until - now
        return min(left, PROBE_CHECK_SECONDS) if self.state == "half-open" else left

    def force(self, state: Literal["forced-open", "disabled"]) -> None:
        """Refuse every call, or let every call pass uncounted, until `reset`."""
        self._enter(state)

    def reset(self) -> None:
        """Close the circuit, with an empty window and the first open time."""
        self._enter("closed")
        self.window.clear()
        self._next_open_seconds = self._options.open_seconds

    def _enter(self, state: State) -> None:
        self.state = state
        self.generation += 1

    def _fails_too_often(self) -> bool:
        calls = self.window.calls
        return (
            calls >= self._options.minimum_calls
            and self.window.failures >= self._options.failure_rate * calls
        )

    def _open(self, now: float) -> None:
        self._enter("open")
        # Jitter only shortens: clients that were refused together return at different times, and the option
        # stays the longest wait.
        self._until = now + self._next_open_seconds * (1 - OPEN_JITTER * self._rng.random())
        self._next_open_seconds = min(self._options.max_open_seconds, 2 * self._next_open_seconds)

    def _start_probing(self, now: float) -> None:
        self._enter("half-open")
        self._probing_since = self.generation
        self._successes = 0
        self._in_flight = 0
        self._until = now + self._options.open_seconds

    def _start_round(self, now: float) -> None:
        self.generation += 1
        self._in_flight = 0
        self._until = now + self._options.open_seconds

    def _has_slot(self) -> bool:
        return self._successes + self._in_flight < self._options.probes

    def _end_probe(self, generation: int, *, failed: bool | None, now: float) -> None:
        if generation < self._probing_since:
            return
        if generation == self.generation:
            self._in_flight -= 1
        # A probe of an earlier round still counts: otherwise a provider that answers more slowly than a round
        # lasts would never be admitted again.
        if failed:
            self._open(now)
        elif failed is False:
            self._successes += 1
            if self._successes >= self._options.probes:
                self.reset()
