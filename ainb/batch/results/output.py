"""Output of a batch: a DataFrame with the index of the input, or a file written in row order."""

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
    """Collects the results of rows in any order.

    Attributes:
        carries: Input columns that must be read although the prompt does not use them.
    """

    carries: tuple[str, ...]

    def start(self, position: int, row: Any) -> None:
        """Register the input row before it is sent."""
        ...

    def put(self, position: int, result: RowResult) -> None:
        """Add the result of a row."""
        ...

    def close(self, *, complete: bool) -> None:
        """End the output.

        Args:
            complete: Whether every row has a result.
        """
        ...

    def frame(self) -> pd.DataFrame | None:
        """The rows so far; None for a file."""
        ...

    def result(self) -> pd.DataFrame | Path:
        """Return value of ``Session.map``."""
        ...


class FrameOutput:
    """Output in memory.

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
        """Collect the kept columns of the row if the source does not hold them."""
        self._kept.start(row)

    def put(self, position: int, result: RowResult) -> None:
        """Store the result of a row."""
        self._results.put(position, result)

    def close(self, *, complete: bool) -> None:
        """No effect."""

    def frame(self) -> Any:
        """The rows so far, in the order and with the index of the input; unfinished rows are "cancelled"."""
        return self._kept.with_results(self._results.frame(self._source.index, rows=self._source.length or 0))

    def result(self) -> Any:
        """The frame."""
        return self.frame()


class FileOutput:
    """Output streamed to a file.

    Args:
        path: See `OrderedFile`.
        fields: Columns that replies fill and their dtype; None when each reply brings its own.
        keep: Input columns in front of the result.
        options: ``csv_formulas``.
        guard: Registers the file as written by ainb.
        notify: Receives notices about the file.

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
        """Keep the input columns of the row until its line is written."""
        if isinstance(row, Mapping):
            self._file.carry(position, row)

    def put(self, position: int, result: RowResult) -> None:
        """Write the result once all rows before it are written."""
        self._file.put(position, result)

    def close(self, *, complete: bool) -> None:
        """Write the remaining rows, and move the file into place if it is complete."""
        self._written = self._file.close(complete=complete)

    def frame(self) -> None:
        """None, because the results are in the file."""

    def result(self) -> Path:
        """Path of the written file; an incomplete one has ``.partial`` before its suffix."""
        return self._written or self._file.path


def make_output(
    source: Source,
    *,
    fields: Mapping[str, str] | None,
    options: BatchOptions,
    guard: OutputGuard,
    notify: Callable[[str], None],
) -> Output:
    """The output for the options.

    Args:
        source: The rows.
        fields: Columns that replies fill and their dtype; None when each reply brings its own.
        options: ``keep``, ``out``, ``overwrite`` and ``csv_formulas``.
        guard: List of the files that ainb wrote.
        notify: Receives notices about the file.

    Raises:
        ConfigError: A column of `keep` does not exist, or `out` cannot be written or must not be replaced.
    """
    keep = kept_columns(source, keep=options.keep, streams=options.out is not None)
    if options.out is None:
        return FrameOutput(source, fields=fields, keep=keep)
    output = FileOutput(options.out, fields=fields, keep=keep, options=options, guard=guard, notify=notify)
    guard.check(options.out, source=source.path, overwrite=options.overwrite)
    return output
