"""Detects refusals that concern the whole account, after which a batch stops sending. No I/O."""

from __future__ import annotations

from ainb.batch.results.row_result import RowResult, http_status
from ainb.errors import CallRejectedError, ConfigError, ProviderError

STOP_AFTER = 5
# 401 key, 402 payment, 403 permission, 404 model: any other row would be refused as well.
ACCOUNT_STATUSES = frozenset({401, 402, 403, 404})
# A user function raises errors of its own client, where 403 and 404 may be about one item.
FUNCTION_STATUSES = frozenset({401, 402})
QUOTA_CODE = "insufficient_quota"

Kind = tuple[str, int | str]


class AccountRefusals:
    """Counts refusals of one kind without a success between them.

    Attributes:
        cause: The error that stops the batch, or None.
    """

    def __init__(self) -> None:
        self.cause: Exception | None = None
        self._kind: Kind | None = None
        self._count = 0

    def add_error(self, error: Exception) -> bool:
        """Register the error of a sent row; returns whether it is a refusal for the whole account."""
        kind = kind_of(error)
        if kind is None:
            return False
        self._count = self._count + 1 if kind == self._kind else 1
        self._kind = kind
        if self._count >= STOP_AFTER and self.cause is None:
            self.cause = error
        return True

    def add_success(self) -> None:
        """Register a row that the provider answered."""
        self._kind, self._count = None, 0


def kind_of(error: Exception) -> Kind | None:
    """Class name and status (or "quota", or the text of a ConfigError) of a refusal for the whole account.

    None for other errors. A ConfigError is the same for all rows, except one that a user function raises for
    its item.
    """
    if isinstance(error, ConfigError):
        return type(error).__name__, str(error)
    status = http_status(error)
    if isinstance(error, ProviderError):
        if error.out_of_quota or error.code == QUOTA_CODE:
            return type(error).__name__, "quota"
        statuses = ACCOUNT_STATUSES
    else:
        statuses = FUNCTION_STATUSES
    return (type(error).__name__, status) if status in statuses else None


def not_sent(cause: Exception) -> RowResult:
    """Result of a row that is not sent because rows before it were refused with `cause`."""
    text = f"not sent, because the rows before it were refused ({cause}); run the batch again afterwards"
    return RowResult.of_error(CallRejectedError(text), status="rejected")


def stop_notice(cause: Exception) -> str:
    """Notice for the user when the batch stops."""
    return (
        f"{STOP_AFTER} rows were refused alike and none was answered between them: {cause}. "
        "The other rows are not sent. Run the batch again afterwards: it sends every row without an answer"
    )
