"""Builds the calls of the next rows in advance, so that one cache lookup serves all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainb.batch.context import BatchContext
    from ainb.batch.input.reader import RowReader
    from ainb.messages import Call

ROWS = 32
# A key is a digest of the whole prompt; digests of more text at once would delay other calls.
MAX_CHARACTERS = 50_000


class CallsAhead:
    """Builds the calls of the next rows in memory, 32 at a time.

    A separate lookup per row takes 30 us of CPU and releases the interpreter lock twice, which the threads
    that write log, journal and cache then hold for a while.

    Not built in advance are rows that are read in a thread and rows whose values need the user's code to be
    converted. An error of a row or of the source is raised when that row is read.

    Args:
        context: Context of the batch.
        rows: Reads the rows.
    """

    def __init__(self, context: BatchContext, rows: RowReader) -> None:
        self._context = context
        self._rows = rows
        self._made: dict[int, Call] = {}
        self._looked_at = 0

    def look(self) -> None:
        """Build the next calls once the previous ones are used up; called before each row is read."""
        if self._looked_at:
            self._looked_at -= 1
            return
        cache = self._context.core.stages.cache
        if cache is None:
            return
        calls = self._make_calls()
        if calls:
            cache.expect(calls)

    def take(self, item: Any) -> Call | None:
        """The call of a row that was built in advance, once; None if it must still be built."""
        return self._made.pop(id(item), None)

    def _make_calls(self) -> list[Call]:
        self._made.clear()
        calls: list[Call] = []
        characters = 0
        for item in self._rows.ahead():
            call = self._make(item)
            if call is None:
                break
            self._made[id(item)] = call
            calls.append(call)
            characters += len(call.request.messages[-1].text)
            if len(calls) == ROWS or characters > MAX_CHARACTERS:
                break
        self._looked_at = max(0, len(calls) - 1)
        return calls

    def _make(self, item: Any) -> Call | None:
        context = self._context
        try:
            plain = context.calls.is_plain_row(item)
            return context.calls.make(item, run_id=context.run_id) if plain else None
        except Exception:  # noqa: BLE001 - it is raised again as this row's error
            return None
