"""Where the results of a batch go: a DataFrame on the index of the input, or a file written in row order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ainb.batch.files import OrderedFile
from ainb.batch.results import Results
from ainb.batch.row_result import RowResult
from ainb.batch.source import Source
from ainb.errors import ConfigError

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

    def close(self) -> None:
        """Take no more results."""
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
        fields: Schema fields and the dtype of their column.
        keep: Input columns in front of the result.
    """

    carries: tuple[str, ...] = ()

    def __init__(self, source: Source, *, fields: Mapping[str, str], keep: tuple[str, ...]) -> None:
        self._source = source
        self._keep = keep
        self._results = Results(fields)

    def start(self, position: int, row: Any) -> None:
        """Nothing to do: the source still holds the row."""

    def put(self, position: int, result: RowResult) -> None:
        """Store the result of a row."""
        self._results.put(position, result)

    def close(self) -> None:
        """Nothing to do."""

    def frame(self) -> pd.DataFrame:
        """The rows so far, in the order and on the index of the input; unfinished ones are "cancelled"."""
        frame = self._results.frame(self._source.index, rows=self._source.length or 0)
        carry = self._source.carry
        if self._keep and carry is not None:
            names = [str(item) for item in carry.columns]
            for place, name in enumerate(self._keep):
                column = carry.iloc[:, names.index(name)]
                frame.insert(place, name if name not in frame.columns else f"{name}_input", column.array)
        return frame

    def result(self) -> pd.DataFrame:
        """The frame."""
        return self.frame()


class FileOutput:
    """Results streamed to a file.

    Args:
        path: See `OrderedFile`.
        fields: Schema fields and the dtype of their column.
        keep: Input columns in front of the result.

    Raises:
        ConfigError: The file cannot be written.
    """

    def __init__(self, path: str | Path, *, fields: Mapping[str, str], keep: tuple[str, ...]) -> None:
        self.carries = keep
        self._file = OrderedFile(path, fields=fields, keep=keep)

    def start(self, position: int, row: Any) -> None:
        """Remember the kept columns of the row until its line is written."""
        if isinstance(row, Mapping):
            self._file.carry(position, row)

    def put(self, position: int, result: RowResult) -> None:
        """Write the result when all rows before it are written."""
        self._file.put(position, result)

    def close(self) -> None:
        """Write what is left."""
        self._file.close()

    def frame(self) -> None:
        """None: the results are in the file."""

    def result(self) -> Path:
        """Path of the file."""
        return self._file.path


def make_output(
    source: Source, *, fields: Mapping[str, str], keep: bool | tuple[str, ...], out: str | Path | None
) -> Output:
    """The output that the options ask for.

    Raises:
        ConfigError: `keep` names a column that does not exist, or `out` cannot be written.
    """
    columns = _kept_columns(source, keep=keep, streams=out is not None)
    if out is None:
        return FrameOutput(source, fields=fields, keep=columns)
    return FileOutput(out, fields=fields, keep=columns)


def _kept_columns(source: Source, *, keep: bool | tuple[str, ...], streams: bool) -> tuple[str, ...]:
    if keep is False:
        return ()
    if source.columns is None and not streams:
        raise ConfigError(
            "keep needs a DataFrame or a Series to take columns from; put the rows into a frame first"
        )
    if keep is True:
        if source.columns is None:
            raise ConfigError("keep=True cannot know the columns of this source; name them: keep=['id']")
        return source.columns
    names = tuple(str(name) for name in keep)
    missing = [name for name in names if source.columns is not None and name not in source.columns]
    if missing:
        raise ConfigError(
            f"keep names a column {missing[0]!r} that does not exist; "
            f"columns are: {', '.join(source.columns or ())}"
        )
    return names
