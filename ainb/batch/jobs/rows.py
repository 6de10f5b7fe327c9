"""Rows of a run that batch jobs answer and that have not ended yet."""

from __future__ import annotations

from typing import Any

from ainb.batch.context import BatchContext
from ainb.batch.reporter import ProgressReporter
from ainb.batch.results.output import Output
from ainb.batch.results.row_result import RowResult
from ainb.batch.running.finished import FinishedRows
from ainb.messages import Call


class OpenRows:
    """Items and positions by row key; rows of one key share one request.

    Args:
        context: Context of the batch.
        output: Takes the result of a row when its commit to the journal is through.
        reporter: Counts results and shows progress.
    """

    def __init__(self, context: BatchContext, output: Output, reporter: ProgressReporter) -> None:
        self._context = context
        self._output = output
        self._reporter = reporter
        self._rows: dict[str, tuple[Any, list[int]]] = {}
        self.finished = FinishedRows(context)
        self.read = context.read_result

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def read_journal(self) -> None:
        """Look at the journal again, to which another kernel may have added rows of the run."""
        self.finished = FinishedRows(self._context)

    def add(self, key: str, item: Any, position: int) -> bool:
        """Add a row; False when another of its key is open already, and will answer it too."""
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
        """Commit a row's result, then hand it to every position of the key."""
        await self.finished.add(key, result)
        _, positions = self._rows.pop(key, (None, ()))
        for place, position in enumerate(positions):
            self.put(position, result if place == 0 else result.shared(), resumed=False)

    def put(self, position: int, result: RowResult, *, resumed: bool) -> None:
        """Hand out the result of one position."""
        self._output.put(position, result)
        self._reporter.progress.count(position, result, resumed=resumed)
        self._reporter.update()
