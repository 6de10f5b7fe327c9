"""Errors that ainb raises.

AinbError
|- ConfigError(ValueError)
|- CallRejectedError          nothing was sent, nothing was spent
|  |- InvalidPromptError  BudgetExceededError  RateLimitError  CircuitOpenError  ReplayMissError
|- ProviderError              it was sent; it may have been billed
|  |- TransientProviderError  worth another attempt
|  |- PermanentProviderError  not worth another attempt
|- InvalidReplyError      does not match the schema, or is not JSON
|- DeadlineExceededError
|- BatchPendingError(TimeoutError)   a provider's batch job is still running

A message states the problem, the limit, the value and the fix, on one line. Messages are part of the
contract: numbers fixed by the input are in the text; values that depend on time or on the run (seconds left,
ids) are attributes.
"""

from __future__ import annotations

import traceback
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


_JOINERS = "\u200c\u200d"  # part of words in Persian and Hindi, and of emoji


class _OneLine:
    """Mixin of errors shown as one line in a notebook; ``%tb`` shows the traceback."""

    _shown = False

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython prints in place of a traceback."""
        if not isinstance(self, BaseException):  # pragma: no cover - a mixin for exceptions only
            raise TypeError
        if self._shown:
            from ainb.redaction import redact

            return redact("".join(traceback.format_exception(self))).rstrip("\n").split("\n")
        self._shown = True
        return [f"{type(self).__name__}: {_one_line(str(self))}"]


def _one_line(text: str) -> str:
    """The text without line breaks and control characters, which may come from a provider or from a file."""
    if text.isprintable():
        return text
    shown = (letter if letter.isprintable() or letter in _JOINERS else " " for letter in text)
    return " ".join("".join(shown).split())


class AinbError(_OneLine, Exception):
    """Base of all errors of ainb.

    What to do: catch a class below, or this one to handle every failure of a call in the same way.

    Args:
        message: One line: problem, limit, value, fix.
    """

    def __init__(self, message: str) -> None:
        from ainb.redaction import redact

        # Redacted, so that no key appears in a cell, a log, a row or a traceback.
        super().__init__(_one_line(redact(message)))


class ConfigError(AinbError, ValueError):
    """An option, a model name or a key variable is not valid; the message names it and the fix.

    What to do: correct the value that the message names; ``%ai help NAME`` shows an example, ``%ai list``
    the providers and which keys are set.
    """


class CallRejectedError(AinbError):
    """The call was rejected before it was sent; nothing was spent.

    What to do: handle the class below that was raised; if ``retry_after`` is a number, wait that long and
    call again.

    Attributes:
        retry_after: Seconds after which the same call may pass, or None when waiting does not help.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InvalidPromptError(CallRejectedError):
    """The prompt is empty, or a validation rule blocks it.

    What to do: change the text that the rule in the message found; ``Validation(actions={"RULE": "warn"})``
    changes the action of a rule.
    """


class BudgetExceededError(CallRejectedError):
    """A hard budget has too little money left for the highest possible cost of this call.

    What to do: raise the budget, lower ``max_tokens``, or wait for the next day if it is a daily budget.

    Attributes:
        spent_usd: Amount of the budget spent so far in USD, a Decimal; None when no price is known.
        left_usd: Amount left in USD, a Decimal, never below 0; None when no price is known.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        spent_usd: Decimal | None = None,
        left_usd: Decimal | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.spent_usd = spent_usd
        self.left_usd = left_usd


class NotConfirmedError(CallRejectedError):
    """A batch or a download was not confirmed; nothing was sent.

    What to do: run it again and answer yes, or try the table on a few rows (``--limit 20``). In a script,
    where no question can be answered, raise ``confirm_above_usd`` (``--confirm-above``), or pull with
    ``--yes``.
    """


class RateLimitError(CallRejectedError):
    """The wait for a permit is longer than the caller may wait.

    What to do: call again later, give the call more time (``timeout_seconds``), or let it wait in the queue
    (``RateLimit(on_full="wait")``).
    """


class CircuitOpenError(CallRejectedError):
    """The provider failed too often recently; calls are refused until it is probed again.

    What to do: wait, or name another model with ``fallback``; a batch waits automatically, and ``%ai status``
    shows when the next probe is due.
    """


class ReplayMissError(CallRejectedError):
    """Replay is on, and the cassette has no record of this request.

    What to do: read the difference to the nearest record in the message; if the prompt was changed on
    purpose, record it with ``%ai replay record``.
    """


class ProviderError(AinbError):
    """The request was sent and failed; it may have been billed.

    What to do: read the provider's message, and handle the class below that was raised; ``billed`` is True if
    the call may cost something.

    Attributes:
        status_code: HTTP status, or None when no whole response arrived.
        code: The provider's own error code, or None.
        request_id: The provider's id of the request, or None.
        retry_after: Seconds that the provider asked to wait, or None.
        should_retry: Value of the provider's ``x-should-retry`` header, or None.
        billed: Whether the provider may have charged for it (a body was sent, and no refusal was received).
        headers: The rate-limit headers of the response, lower-case names, or an empty dict.
        adapted: Number of parameters that the adapter will send differently after this refusal, so that the
            same call makes another request; 0 means none.
        out_of_quota: Whether the account's quota, credit or daily limit is used up.
        text: The part of the reply that had arrived when the time limit of the attempt expired; else None.
    """

    adapted: int = 0
    out_of_quota: bool = False
    text: str | None = None

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        billed: bool = False,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.billed = billed
        self.headers = headers or {}


class TransientProviderError(ProviderError):
    """Timeout, lost connection, unreadable body, 408, 409, 425, 429, 5xx: another attempt may succeed.

    What to do: call again later, since all attempts of ``Retry`` were made before it was raised; send less at
    once, or name another model with ``fallback``.
    """


class PermanentProviderError(ProviderError):
    """400, 401, 402, 403, 404, 413, 422, insufficient quota: another attempt would fail the same way.

    What to do: correct what the message names: the key, the model's name, a parameter, or the account's
    credit.
    """


class RefusedError(PermanentProviderError):
    """The model refused to answer; the same request would be refused again.

    What to do: rephrase the prompt, or use another model.

    Attributes:
        category: The provider's category of the refusal, or None.
    """

    category: str | None = None


class ContentFilteredError(PermanentProviderError):
    """A content filter of the provider withheld the prompt or the reply.

    What to do: remove the filtered content (``category`` names its kind if the provider does), or use another
    provider.

    Attributes:
        category: The filter's category, or None.
    """

    category: str | None = None


class InvalidReplyError(AinbError):
    """The model answered, but the reply does not match the schema or is not JSON.

    What to do: simplify the schema, show an example in the prompt, raise ``max_tokens`` if the reply was cut,
    or use a larger model; ``text`` contains the reply.

    Attributes:
        text: The raw reply, or None when there was none.
    """

    def __init__(self, message: str, *, text: str | None = None) -> None:
        super().__init__(message)
        self.text = text


class DeadlineExceededError(AinbError):
    """The time limit of the whole call, waits and attempts together, expired.

    What to do: raise ``timeout_seconds`` (``--timeout``), or lower ``max_tokens``.

    Attributes:
        billed: Whether an attempt had been sent when the time expired.
        text: The part of the reply that had arrived; None when none had.
    """

    def __init__(self, message: str, *, billed: bool = False, text: str | None = None) -> None:
        super().__init__(message)
        self.billed = billed
        self.text = text

    @classmethod
    def after(cls, seconds: float, *, billed: bool, text: str | None = None) -> DeadlineExceededError:
        """Make the error of a call with a time limit of `seconds`."""
        what = "no answer" if text is None else "no whole answer"
        return cls(
            f"{what} within the {seconds:g} s that this call may take{arrived(text)}; raise --timeout "
            "(timeout_seconds) or lower --max-tokens (max_tokens)",
            billed=billed,
            text=text,
        )


def arrived(text: str | None) -> str:
    """Text about the length of a partial reply, for a message; "" for None."""
    return "" if text is None else f" ({len(text):,} characters had arrived; they are in the error's text)"


class BatchPendingError(AinbError, TimeoutError):
    """Batch jobs are not done within ``max_wait_seconds``; they continue, and the same call collects them.

    What to do: run the same call again later; ``%ai jobs`` shows the progress of the jobs.

    Attributes:
        frame: Every row; rows without an answer yet have the status "cancelled". None when the results are
            written to a file.
    """

    frame: pd.DataFrame | None = None


class CallInterrupted(_OneLine, KeyboardInterrupt):
    """The user stopped a cell that was waiting for a reply.

    What to do: nothing, or run the cell again for an answer.
    """
