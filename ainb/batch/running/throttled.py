"""Retry of a row after 429: the row goes back to the queue."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from ainb.batch.context import BatchContext
from ainb.batch.progress import Progress
from ainb.batch.running.refusals import kind_of
from ainb.errors import TransientProviderError
from ainb.pipeline.retry import Retry, backoff_seconds, is_retryable

if TYPE_CHECKING:
    from ainb.messages import Call

MOST_DOUBLINGS = 6
MOST_IDLE_TURNS = 3


class ThrottledRow:
    """Waits of one row between calls that ended with 429.

    Attempts and retry budget end a single call, but a batch can wait. A row goes back to the queue as long as
    other rows are answered meanwhile, and once if none has been answered yet.

    Args:
        context: Context of the batch.
        progress: Counts of the batch.
    """

    def __init__(self, context: BatchContext, progress: Progress) -> None:
        self._context = context
        self._progress = progress
        self._turns = self._idle_turns = 0
        self._answered = -1

    async def wait(self, call: Call, error: Exception) -> bool:
        """Wait until the row may be sent again; False when the error is its result."""
        answered = self._progress.answered
        self._idle_turns = 0 if answered > self._answered else self._idle_turns + 1
        if call.shown or self._idle_turns > (MOST_IDLE_TURNS if answered else 0):
            return False
        options = self._context.core.config.retry
        if options is None or not _is_throttled(options, error):
            return False
        attempt = options.attempts + min(self._turns, MOST_DOUBLINGS)
        retry_after = getattr(error, "retry_after", None)
        seconds = backoff_seconds(options, attempt, retry_after, self._context.core.runtime.rng)
        self._answered = answered
        self._turns += 1
        await self._context.clock.sleep(seconds)
        return True


def _is_throttled(options: Retry, error: Exception) -> bool:
    """Whether a wait helps: not after a quota is used up, nor with a Retry-After of hours."""
    if not isinstance(error, TransientProviderError) or error.status_code != HTTPStatus.TOO_MANY_REQUESTS:
        return False
    if kind_of(error) is not None or not is_retryable(options, error):
        return False
    return (error.retry_after or 0.0) <= options.max_retry_after_seconds
