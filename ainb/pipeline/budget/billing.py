"""Billing of failed attempts: which ones the provider may have charged for."""

from __future__ import annotations

from ainb.errors import CallRejectedError, ConfigError, DeadlineExceededError, ProviderError
from ainb.messages import Call


def may_be_billed(error: BaseException) -> bool:
    """Whether an attempt that ended with `error` may have been charged for; unknown errors count."""
    if isinstance(error, ProviderError | DeadlineExceededError):
        return error.billed
    return not isinstance(error, CallRejectedError | ConfigError)


def billed_attempts(call: Call, error: BaseException, *, attempts: int = 0, errors: int = 0) -> int:
    """Number of attempts that may have been charged for, of a call that ended with `error`.

    Args:
        call: The call, with its attempts and the error of each failed one.
        error: Error with which the call ended, cancellation included.
        attempts: Number of earlier attempts to leave out.
        errors: Number of earlier recorded errors to leave out.
    """
    sent = call.attempts - attempts
    noted = [item for item in call.errors[errors:] if not isinstance(item, CallRejectedError | ConfigError)]
    billed = sum(map(may_be_billed, noted))
    # An attempt without a recorded error was in flight when `error` came, or is the one that `error` reports.
    if sent > len(noted) and not any(item is error for item in noted):
        billed += may_be_billed(error)
    return billed
