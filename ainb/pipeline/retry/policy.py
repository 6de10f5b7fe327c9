"""Whether a failed attempt is followed by another, and when: decisions only, nothing here waits."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from ainb.errors import CallRejectedError, TransientProviderError
from ainb.pipeline.checks import check_flag, check_number, exception_types
from ainb.plain import plain_fields

# Spent money and used-up days do not come back within a call's time, although the status may be 429. Codes are compared in
# lower case with "_" for "-" and " ", so that Google's "…RequestsPerDay…" and Groq's "tokens_per_day" are found too.
FINAL_CODE = re.compile(
    r"insufficient_(quota|credit|balance|fund)|credit_balance|exceeded_current_quota|out_of_credit|billing|spend|hard_limit"
    r"|per_?day|daily|per_?month|monthly"
)

Decide = Callable[[Sequence[Exception]], float | None]

NOTE_PREFIXES = ("not tried again", "earlier attempt")


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often a call is tried, and how long it waits in between.

    The wait after attempt n is drawn between 0 and ``min(max_seconds, base_seconds * multiplier ** (n - 1))``.

    Attributes:
        attempts: Tries in all, the first included; at least 1.
        base_seconds: Upper bound of the first wait; at least 0.
        max_seconds: Upper bound of every wait of our own; at least 0.
        multiplier: Growth of the bound; at least 1.
        jitter: Whether the wait is drawn; False waits the whole bound.
        retry_on: Exception types that are worth another attempt.
        max_retry_after_seconds: Longest wait that a provider may ask for; above it the call fails at once. At least 0.

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
        retry_after: Seconds the provider asked for: kept to, with up to `base_seconds` on top so that those who were refused
            together do not return together. None, NaN and negative numbers mean it did not ask.
        rng: Where jitter comes from.
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
    """Whether another attempt may help: the provider's own word first, then its error code, then the kind of error.

    Rejections of our own do not come here; whoever calls raises them at once.
    """
    should_retry = getattr(error, "should_retry", None)
    if isinstance(should_retry, bool):
        return should_retry
    code = getattr(error, "code", None)
    if isinstance(code, str) and FINAL_CODE.search(code.lower().replace("-", "_").replace(" ", "_")):
        return False
    return isinstance(error, options.retry_on)


class RetryBudget:
    """How many retries a provider is worth just now: an outage costs 1.1 times the calls, not four times.

    A first attempt earns a tenth of a retry, a success a whole one; a retry costs one. Counted in tenths, because sums of 0.1
    fall short of 1. Safe for threads.

    Source: Finagle's RetryBudget and the retry throttling of gRPC (gRFC A6).
    """

    START = 10
    CAP = 100

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tenths = 10 * self.START

    @property
    def retries(self) -> float:
        """Retries that are left, between 0 and CAP."""
        return self._tenths / 10

    def first_attempt(self) -> None:
        """A call begins."""
        self._earn(1)

    def success(self) -> None:
        """An attempt succeeded."""
        self._earn(10)

    def spend(self) -> bool:
        """Pay for a retry; False when there is not enough, and nothing is taken."""
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
    """Decide what follows a failed attempt.

    Args:
        options: The rules.
        failures: The error of every attempt of this call, oldest first.
        budget: Pays for the retry.
        rng: Where jitter comes from.
        left_seconds: Until the caller stops waiting; None means never.
        shown: Whether part of the reply was shown already.

    Returns:
        Seconds to wait before the next attempt. None means that the last error is final; where another attempt was ruled out
        for a reason that the error itself does not say, its notes say it and list the attempts before.
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
    """Note the error of an attempt; seconds to wait before the next one, or None when the error is to be raised."""
    if isinstance(error, CallRejectedError):
        if failures:
            error.__cause__ = failures[-1]  # what "raise ... from" does: the person sees both
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
        return "part of the reply was shown already"
    if attempt >= options.attempts:
        return f"that was attempt {attempt} of {options.attempts}"
    if asked is not None and asked > options.max_retry_after_seconds:
        return f"the provider asks for a longer wait than max_retry_after_seconds={options.max_retry_after_seconds:g}"
    if left_seconds is not None and wait >= left_seconds:
        return "the wait would pass the deadline of the call (timeout_seconds)"
    return None


def _add_notes(failures: Sequence[Exception], reason: str) -> None:
    last = failures[-1]
    # A function may raise one and the same object again and again: notes of an earlier call would mislead, and pile up.
    kept = [note for note in getattr(last, "__notes__", ()) if not note.startswith(NOTE_PREFIXES)]
    tried = [f"{NOTE_PREFIXES[1]} {n}: {type(e).__name__}: {e}" for n, e in enumerate(failures[:-1], start=1)]
    last.__notes__ = [*kept, f"{NOTE_PREFIXES[0]}: {reason}", *tried]
