"""Finished rows of a run: results for identical rows, from memory or from the journal."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator

from ainb.batch.context import BatchContext
from ainb.batch.input.cells import check_fields
from ainb.batch.journal import JournalError
from ainb.batch.results.row_result import RowResult

RECENT_ROWS = 10_000


class FinishedRows:
    """Finished rows: the last 10,000 results in memory, all of them in the journal.

    Args:
        context: Context of the batch.
    """

    def __init__(self, context: BatchContext) -> None:
        self._context = context
        self._run_id = context.run_id
        self._journal = context.journal
        self._retry_failed = context.options.retry_failed
        self._schema = context.calls.schema
        self._recent: OrderedDict[str, RowResult] = OrderedDict()
        self._held: dict[str, RowResult] = {}
        self._resuming = False
        with self._faults():
            self._resuming = self._journal is not None and self._journal.has_rows(self._run_id)

    @property
    def holds_back(self) -> bool:
        """Whether results are held back, so that the run is not complete."""
        return bool(self._held)

    def find(self, row_key: str) -> tuple[RowResult, bool] | None:
        """Result of an identical row, and whether it was resumed; None without one."""
        recent = self._recent.get(row_key)
        if recent is not None:
            self._recent.move_to_end(row_key)
            return recent.shared(), False
        result = None
        if self._resuming and self._journal is not None:
            with self._faults():
                result = self._journal.find(self._run_id, row_key)
        if result is None or (result.status == "error" and self._retry_failed) or not self._fits(result):
            return None
        return result, True

    def _fits(self, result: RowResult) -> bool:
        """Whether the schema's columns can hold a row of the journal; the file may have been edited."""
        if result.status != "ok" or self._schema is None:
            return True
        try:
            result.fields = check_fields(result.fields or {}, self._schema.fields)
        except ValueError:
            return False
        return True

    async def add(self, row_key: str, result: RowResult) -> None:
        """Store a result; unsent rows are left out of the journal, so that another run sends them."""
        await self._write(row_key, result)
        self._remember(row_key, result)

    def hold_back(self, row_key: str, result: RowResult) -> None:
        """Keep a result out of the journal until `release`, so that another run sends the row again."""
        self._held[row_key] = result
        self._remember(row_key, result)

    async def release(self) -> None:
        """Write the results that were held back to the journal."""
        held, self._held = self._held, {}
        for row_key, result in held.items():
            await self._write(row_key, result)

    def _remember(self, row_key: str, result: RowResult) -> None:
        self._recent[row_key] = result
        if len(self._recent) > RECENT_ROWS:
            self._recent.popitem(last=False)

    async def _write(self, row_key: str, result: RowResult) -> None:
        if self._journal is None or result.status not in {"ok", "error"}:
            return
        try:
            await self._journal.write(self._run_id, row_key, result)
        except JournalError as error:
            self._fail(error)

    def close(self, *, complete: bool, row_count: int) -> None:
        """Mark a complete run as finished and close the journal; after an error the run stays unfinished.

        Args:
            complete: Whether no row is left for another run.
            row_count: Rows of the source.
        """
        journal = self._context.journal
        if journal is None:
            return
        with contextlib.closing(journal), self._faults():
            if complete and self._journal is not None:
                journal.finish(self._run_id, row_count=row_count, now=self._context.clock.unix())

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except JournalError as error:
            self._fail(error)

    def _fail(self, error: JournalError) -> None:
        """Continue without the journal; rows of the same commit give no further notice."""
        if self._journal is not None:
            self._journal = None
            text = f"{error}; the batch continues, but rows from here on are sent again by another run"
            self._context.core.notify(text, "journal")
