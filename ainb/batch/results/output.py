"""Where the results of a batch go: a DataFrame on the index of the input, or a file written in row order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ainb.batch.files import OrderedFile, OutputGuard
from ainb.batch.input.source import Source
from ainb.batch.options import BatchOptions
from ainb.batch.results.frame import Results
from ainb.batch.results.kept import KeptColumns, kept_columns
from ainb.batch.results.row_result import RowResult

if TYPE_CHECKING:
    import pandas as pd


class Output(Protocol):
    """Takes the results of rows in any order.

    Attributes:
        carries: Input columns that must be read although the prompt does not use them.
    """

    carries: tuple[str, ...]

    def start(self, position: int, row: Any) -> None:
        """Take the input row before it is sent."""
        ...

    def put(self, position: int, result: RowResult) -> None:
        """Take the result of a row."""
        ...

    def close(self, *, complete: bool) -> None:
        """Take no more results.

        Args:
            complete: Whether every row has a result.
        """
        ...

    def frame(self) -> pd.DataFrame | None:
        """The rows so far; None for a file."""
        ...

    def result(self) -> pd.DataFrame | Path:
        """What ``Session.map`` returns."""
        ...


class FrameOutput:
    """Results in memory.

    Args:
        source: The input rows, for the index and the kept columns.
        fields: Columns that replies fill and their dtype; None when each reply brings its own.
        keep: Input columns in front of the result.
    """

    def __init__(self, source: Source, *, fields: Mapping[str, str] | None, keep: tuple[str, ...]) -> None:
        self._source = source
        self._kept = KeptColumns(source, keep)
        self.carries = self._kept.collected
        self._results = Results(fields)

    def start(self, position: int, row: Any) -> None:
        """Collect the kept columns of the row, where the source does not hold them."""
        self._kept.start(row)

    def put(self, position: int, result: RowResult) -> None:
        """Store the result of a row."""
        self._results.put(position, result)

    def close(self, *, complete: bool) -> None:
        """Nothing to do."""

    def frame(self) -> Any:
        """The rows so far, in the order and on the index of the input; unfinished ones are "cancelled"."""
        return self._kept.with_results(self._results.frame(self._source.index, rows=self._source.length or 0))

    def result(self) -> Any:
        """The frame."""
        return self.frame()


class FileOutput:
    """Results streamed to a file.

    Args:
        path: See `OrderedFile`.
        fields: Columns that replies fill and their dtype; None when each reply brings its own.
        keep: Input columns in front of the result.
        options: How texts are written to CSV.
        guard: Remembers the file.
        notify: Takes a line about the file.

    Raises:
        ConfigError: The file cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fields: Mapping[str, str] | None,
        keep: tuple[str, ...],
        options: BatchOptions,
        guard: OutputGuard,
        notify: Callable[[str], None],
    ) -> None:
        self.carries = keep
        self._file = OrderedFile(
            path, fields=fields, keep=keep, csv_formulas=options.csv_formulas, guard=guard, notify=notify
        )
        self._written: Path | None = None

    def start(self, position: int, row: Any) -> None:
        """Remember the kept columns of the row until its line is written."""
        if isinstance(row, Mapping):
            self._file.carry(position, row)

    def put(self, position: int, result: RowResult) -> None:
        """Write the result when all rows before it are written."""
        self._file.put(position, result)

    def close(self, *, complete: bool) -> None:
        """Write what is left, and put the file in place when it is complete."""
        self._written = self._file.close(complete=complete)

    def frame(self) -> None:
        """None: the results are in the file."""

    def result(self) -> Path:
        """Path of the file that was written; of an incomplete one its name ends in ``.partial``."""
        return self._written or self._file.path


def make_output(
    source: Source,
    *,
    fields: Mapping[str, str] | None,
    options: BatchOptions,
    guard: OutputGuard,
    notify: Callable[[str], None],
) -> Output:
    """The output that the options ask for.

    Args:
        source: The rows.
        fields: Columns that replies fill and their dtype; None when each reply brings its own.
        options: ``keep``, ``out``, ``overwrite`` and ``csv_formulas``.
        guard: Knows which files ainb wrote.
        notify: Takes a line about the file.

    Raises:
        ConfigError: `keep` names a column that does not exist, or `out` cannot be written or may not be
            replaced.
    """
    keep = kept_columns(source, keep=options.keep, streams=options.out is not None)
    if options.out is None:
        return FrameOutput(source, fields=fields, keep=keep)
    output = FileOutput(options.out, fields=fields, keep=keep, options=options, guard=guard, notify=notify)
    guard.check(options.out, source=source.path, overwrite=options.overwrite)
    return output
