"""Which attempts of a failed call may have cost money all the same."""

from __future__ import annotations

from ainb.errors import CallRejectedError, ConfigError, DeadlineExceededError, ProviderError
from ainb.messages import Call


def may_be_billed(error: BaseException) -> bool:
    """Whether an attempt that ended so may have been charged for; an error that is not ours may have come at any time."""
    if isinstance(error, ProviderError | DeadlineExceededError):
        return error.billed
    return not isinstance(error, CallRejectedError | ConfigError)


def billed_attempts(call: Call, error: BaseException, *, attempts: int = 0, errors: int = 0) -> int:
    """How many attempts of a call that ended with `error` may have been charged for.

    Args:
        call: With the attempts it made and the error that each failed one left behind.
        error: What it ended with, cancellation included.
        attempts: Made before the part of the call that counts here.
        errors: Left behind before the part of the call that counts here.
    """
    sent = call.attempts - attempts
    noted = [item for item in call.errors[errors:] if not isinstance(item, CallRejectedError | ConfigError)]
    billed = sum(map(may_be_billed, noted))
    # An attempt that left no error behind was under way when `error` came, or is what `error` tells of.
    if sent > len(noted) and not any(item is error for item in noted):
        billed += may_be_billed(error)
    return billed
