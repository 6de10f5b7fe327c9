"""Open rows of a run that batch jobs answer."""

from __future__ import annotations

from typing import Any

from ainb.batch.context import BatchContext
from ainb.batch.reporter import ProgressReporter
from ainb.batch.results.row_result import RowResult
from ainb.batch.running.finished import FinishedRows
from ainb.messages import Call


class OpenRows:
    """Open rows by row key; rows with the same key share one request.

    Args:
        context: Context of the batch.
        reporter: Counts results and shows progress.
    """

    def __init__(self, context: BatchContext, reporter: ProgressReporter) -> None:
        self._context = context
        self._reporter = reporter
        self._rows: dict[str, tuple[Any, list[int]]] = {}
        self.finished = FinishedRows(context)
        self.read_result = context.read_result

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def read_journal(self) -> None:
        """Read the journal again, because another kernel may have added rows of the run."""
        self.finished = FinishedRows(self._context)

    def add(self, key: str, item: Any, position: int) -> bool:
        """Add a row; False if an open row has the same key, whose answer is used for both."""
        row = self._rows.get(key)
        if row is not None:
            row[1].append(position)
            return False
        self._rows[key] = item, [position]
        return True

    async def call(self, key: str) -> Call:
        """A new call of an open row."""
        return await self._context.make_call(self._rows[key][0])

    async def end(self, key: str, result: RowResult) -> None:
        """Commit a row's result, then put it at every position of the key."""
        await self.finished.add(key, result)
        _, positions = self._rows.pop(key, (None, ()))
        for place, position in enumerate(positions):
            self.put(position, result if place == 0 else result.shared(), resumed=False)

    def put(self, position: int, result: RowResult, *, resumed: bool) -> None:
        """Put the result of one position into the output."""
        self._context.output.put(position, result)
        self._reporter.progress.count(position, result, resumed=resumed)
        self._reporter.update()
