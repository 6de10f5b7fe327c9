"""Time limits of many calls with one timer, in place of an `asyncio.timeout` per call.

Limits of one length expire in the order in which they start, so one timer for the oldest is enough. A loop
with thousands of calls a second would otherwise create, sort and discard two timers per call.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import Self


class TimeLimits:
    """Time limits of one length for any loop; each is bound to the loop and the task that enter it.

    Args:
        seconds: The length, above 0.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._queues: dict[asyncio.AbstractEventLoop, _LimitQueue] = {}

    def limit(self, error: Callable[[], Exception] = TimeoutError) -> TimeLimit:
        """Context manager around one call, which must be entered at once; see `TimeLimit`.

        Args:
            error: Makes the error that is raised when the time is up.
        """
        loop = asyncio.get_running_loop()
        queue = self._queues.get(loop)
        if queue is None:
            for closed in [known for known in self._queues if known.is_closed()]:
                del self._queues[closed]
            queue = self._queues[loop] = _LimitQueue(loop, self.seconds)
        return TimeLimit(queue, error)


class TimeLimit:
    """Cancels the task that entered it when the time is up, and raises its error on exit; entered once.

    Attributes:
        expired: Whether the time was up; distinguishes its error from one raised inside the block.
        expires_at: Second of the loop's clock at which the limit expires, once entered.

    Source: the rules of cancellation are those of `asyncio.timeout`.
    """

    __slots__ = ("_cancelling", "_error", "_queue", "_task", "expired", "expires_at")

    def __init__(self, queue: _LimitQueue, error: Callable[[], Exception]) -> None:
        self._queue = queue
        self._error = error
        self._task: asyncio.Task[object] | None = None
        self.expired = False
        self.expires_at = 0.0

    def __enter__(self) -> Self:
        task = self._task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task")
        self._cancelling = task.cancelling()
        self._queue.join(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if not self.expired:
            self._queue.leave(self)
        elif task is not None and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._error() from None

    def expire(self) -> None:
        """Mark the limit as expired and cancel the task."""
        self.expired = True
        if self._task is not None:
            self._task.cancel()


class _LimitQueue:
    """The active limits of one loop, in order of expiry."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._limits: OrderedDict[TimeLimit, None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def join(self, limit: TimeLimit) -> None:
        limit.expires_at = self._loop.time() + self._seconds
        self._limits[limit] = None
        if self._timer is None:
            self._timer = self._loop.call_at(limit.expires_at, self._fire)

    def leave(self, limit: TimeLimit) -> None:
        # The timer stays: at most one per length fires in vain, and a timer per call is what this class
        # avoids.
        del self._limits[limit]

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._limits:
            first = next(iter(self._limits))
            if first.expires_at > now:
                self._timer = self._loop.call_at(first.expires_at, self._fire)
                return
            del self._limits[first]
            first.expire()
