"""Reads the rows of a batch one at a time, in order; the user's own iterators in a thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from ainb.event_loop import UserThread, carried

_END: Final = object()


class _Fault:
    """An error of the source, queued instead of a row."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class RowReader:
    """Returns each row once, with its position.

    Reads ahead only in `ahead`, and never from an iterator that may block.

    Args:
        open_rows: Makes the iterator of the rows.
        start: Called on the loop with the position and the row before it is returned.
        in_thread: Whether the iterator may block and is therefore read in a thread.

    Attributes:
        ended: Whether the last row was returned.
    """

    def __init__(
        self,
        open_rows: Callable[[], Iterator[Any]],
        start: Callable[[int, Any], None],
        *,
        in_thread: bool,
    ) -> None:
        self.ended = False
        self._open_rows = open_rows
        self._start = start
        self._rows: Iterator[Any] | None = None
        self._position = 0
        self._lock = asyncio.Lock()
        self._thread = UserThread("ainb-rows") if in_thread else None
        self._ahead: deque[Any] = deque()

    async def read(self) -> tuple[int, Any] | None:
        """The next row and its position; None after the last.

        Raises:
            Exception: Error of the user's iterator, wrapped by `carried`; no further row is read.
        """
        if self._thread is None:
            return self._take(self._next_safely)
        async with self._lock:
            if self.ended:
                return None
            try:
                row = await self._thread.run(self._next)
            except Exception:
                self.ended = True
                raise
            return self._take(lambda: row)

    def ahead(self) -> Iterator[Any]:
        """The next rows, which `read` returns later; none if they are read in a thread.

        Ends at a row whose reading fails; `read` raises its error.
        """
        place = 0
        while self._thread is None and not self.ended:
            if place == len(self._ahead):
                self._ahead.append(self._next_or_fault())
            row = self._ahead[place]
            if row is _END or isinstance(row, _Fault):
                return
            yield row
            place += 1

    def close(self) -> None:
        """End the thread; a row that is being read is discarded."""
        self.ended = True
        if self._thread is not None:
            self._thread.close()

    def _take(self, read: Callable[[], Any]) -> tuple[int, Any] | None:
        row = _END if self.ended else read()
        if row is _END:
            self.ended = True
            return None
        position = self._position
        self._position += 1
        self._start(position, row)
        return position, row

    def _next(self) -> Any:
        if self._rows is None:
            self._rows = self._open_rows()
        return next(self._rows, _END)

    def _next_safely(self) -> Any:
        row = self._ahead.popleft() if self._ahead else self._next_or_fault()
        if isinstance(row, _Fault):
            self.ended = True
            raise carried(row.error) from row.error
        return row

    def _next_or_fault(self) -> Any:
        try:
            return self._next()
        except BaseException as error:  # noqa: BLE001 - raised again when that row is read
            return _Fault(error)
