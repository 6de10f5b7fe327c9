"""Retry policy: decides whether a failed attempt is repeated, and after which wait. It does not wait."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from ainb.errors import CallRejectedError, TransientProviderError
from ainb.fork import new_lock
from ainb.pipeline.checks import check_flag, check_number, exception_types
from ainb.plain import plain_fields

# Spent credit and daily quotas do not come back within a call's time, although the status may be 429. Codes
# are compared in lower case with "_" for "-" and " ", so that Google's "…RequestsPerDay…" and Groq's
# "tokens_per_day" match too.
FINAL_CODE = re.compile(
    r"insufficient_(quota|credit|balance|fund)|credit_balance|exceeded_current_quota|out_of_credit|billing|spend|hard_limit"
    r"|per_?day|daily|per_?month|monthly"
)

Decide = Callable[[Sequence[Exception]], float | None]

NOTE_PREFIXES = ("not tried again", "earlier attempt")


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Options of retry: number of attempts and waits between them.

    The wait after attempt n is drawn between 0 and ``min(max_seconds, base_seconds * multiplier ** (n -
    1))``.

    Attributes:
        attempts: Attempts in all, the first included; at least 1.
        base_seconds: Upper bound of the first wait; at least 0.
        max_seconds: Upper bound of every wait that the provider does not ask for; at least 0.
        multiplier: Growth of the bound; at least 1.
        jitter: Whether the wait is random; False waits the whole bound.
        retry_on: Exception types that are retried.
        max_retry_after_seconds: Longest wait that a provider may ask for; above it the call fails at once. At
            least 0.

    Raises:
        ConfigError: An option is out of its range.

    Source: Brooker, Exponential Backoff and Jitter (AWS Architecture Blog, 2015), for full jitter.
    """

    attempts: int = 4
    base_seconds: float = 0.5
    max_seconds: float = 20.0
    multiplier: float = 2.0
    jitter: bool = True
    retry_on: tuple[type[Exception], ...] = (TransientProviderError, ConnectionError, TimeoutError)
    max_retry_after_seconds: float = 120.0

    def __post_init__(self) -> None:
        plain_fields(self)
        check_number("Retry.attempts", self.attempts, least=1, whole=True)
        check_number("Retry.base_seconds", self.base_seconds, least=0)
        check_number("Retry.max_seconds", self.max_seconds, least=0)
        check_number("Retry.multiplier", self.multiplier, least=1)
        check_flag("Retry.jitter", self.jitter)
        object.__setattr__(self, "retry_on", exception_types("Retry.retry_on", self.retry_on))
        check_number("Retry.max_retry_after_seconds", self.max_retry_after_seconds, least=0)


def backoff_seconds(options: Retry, attempt: int, retry_after: float | None, rng: Random) -> float:
    """Seconds to wait before the next attempt.

    Args:
        options: Bounds of the wait.
        attempt: Attempts that have failed so far, at least 1.
        retry_after: Seconds that the provider asked for; up to `base_seconds` are added, so that clients
            refused together do not return together. None, NaN and negative numbers mean that it did not ask.
        rng: Source of the jitter.
    """
    share = rng.random() if options.jitter else 1.0
    asked = _asked_seconds(retry_after)
    if asked is not None:
        return asked + (share * options.base_seconds if options.jitter else 0.0)
    try:
        bound = min(options.max_seconds, options.base_seconds * options.multiplier ** (attempt - 1))
    except OverflowError:
        bound = options.max_seconds if options.base_seconds else 0.0
    return share * bound


def _asked_seconds(retry_after: object) -> float | None:
    if isinstance(retry_after, bool) or not isinstance(retry_after, int | float):
        return None
    return None if math.isnan(retry_after) or retry_after < 0 else retry_after


def is_retryable(options: Retry, error: Exception) -> bool:
    """Whether another attempt may help: by ``should_retry``, then the error code, then the exception type.

    Rejections by other stages are not passed here; callers raise them at once.
    """
    should_retry = getattr(error, "should_retry", None)
    if isinstance(should_retry, bool):
        return should_retry
    code = getattr(error, "code", None)
    if isinstance(code, str) and FINAL_CODE.search(code.lower().replace("-", "_").replace(" ", "_")):
        return False
    return isinstance(error, options.retry_on)


class RetryBudget:
    """Retry budget of an endpoint: during an outage it limits all requests to 1.1 times the calls.

    A first attempt earns a tenth of a retry, a success a whole one; a retry costs one. Counted in tenths,
    because sums of 0.1 fall short of 1. Thread-safe.

    Source: Finagle's RetryBudget and the retry throttling of gRPC (gRFC A6).
    """

    START = 10
    CAP = 100

    def __init__(self) -> None:
        self._lock = new_lock()
        self._tenths = 10 * self.START

    @property
    def retries(self) -> float:
        """Available retries, between 0 and CAP."""
        return self._tenths / 10

    def first_attempt(self) -> None:
        """Count the first attempt of a call."""
        self._earn(1)

    def success(self) -> None:
        """Count a success."""
        self._earn(10)

    def spend(self) -> bool:
        """Take one retry; False, and nothing is taken, when less than one is left."""
        with self._lock:
            if self._tenths < 10:  # noqa: PLR2004 - ten tenths are one retry
                return False
            self._tenths -= 10
            return True

    def _earn(self, tenths: int) -> None:
        with self._lock:
            self._tenths = min(10 * self.CAP, self._tenths + tenths)


def next_wait(
    options: Retry,
    failures: Sequence[Exception],
    *,
    budget: RetryBudget,
    rng: Random,
    left_seconds: float | None = None,
    shown: bool = False,
) -> float | None:
    """Decide whether a failed attempt is repeated, and when.

    Args:
        options: Limits of attempts and waits.
        failures: The error of every attempt of this call, oldest first.
        budget: Retry budget that a retry is taken from.
        rng: Source of the jitter.
        left_seconds: Seconds until the caller's deadline; None means no deadline.
        shown: Whether part of the reply was already streamed to the caller.

    Returns:
        Seconds to wait before the next attempt. None means that the last error is final; its notes then give
        the reason, where the error does not, and list the earlier attempts.
    """
    error = failures[-1]
    if not is_retryable(options, error):
        reason = "this error is final" if len(failures) > 1 else None
    else:
        retry_after = getattr(error, "retry_after", None)
        wait = backoff_seconds(options, len(failures), retry_after, rng)
        reason = _reason_to_stop(
            options,
            len(failures),
            wait=wait,
            asked=_asked_seconds(retry_after),
            left_seconds=left_seconds,
            shown=shown,
        )
        if reason is None and budget.spend():
            return wait
        reason = reason or "calls to this provider fail too often just now (its retry budget is used up)"
    if reason is not None:
        _add_notes(failures, reason)
    return None


def wait_after(error: Exception, failures: list[Exception], decide: Decide) -> float | None:
    """Record the error of an attempt; returns seconds until the next one, or None when the error is final."""
    if isinstance(error, CallRejectedError):
        if failures:
            error.__cause__ = failures[-1]  # as "raise ... from" does, so that both are shown
        return None
    failures.append(error)
    return decide(failures)


def _reason_to_stop(
    options: Retry,
    attempt: int,
    *,
    wait: float,
    asked: float | None,
    left_seconds: float | None,
    shown: bool,
) -> str | None:
    if shown:
        return "part of the reply was already shown"
    if attempt >= options.attempts:
        return f"that was attempt {attempt} of {options.attempts}"
    if asked is not None and asked > options.max_retry_after_seconds:
        return (
            "the provider asks for a longer wait than "
            f"max_retry_after_seconds={options.max_retry_after_seconds:g}"
        )
    if left_seconds is not None and wait >= left_seconds:
        return "the wait would pass the deadline of the call (timeout_seconds)"
    return None


def _add_notes(failures: Sequence[Exception], reason: str) -> None:
    last = failures[-1]
    # A function may raise the same object again: notes of an earlier call would mislead, and accumulate.
    kept = [note for note in getattr(last, "__notes__", ()) if not note.startswith(NOTE_PREFIXES)]
    tried = [f"{NOTE_PREFIXES[1]} {n}: {type(e).__name__}: {e}" for n, e in enumerate(failures[:-1], start=1)]
    last.__notes__ = [*kept, f"{NOTE_PREFIXES[0]}: {reason}", *tried]
