"""Reader and writer of Parquet with pyarrow (extra ``parquet``); only the used columns are read."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ainb.batch.files.cells import cell_text
from ainb.batch.files.table import check_options, distinct_labels, need_module
from ainb.errors import ConfigError
from ainb.plain import is_missing

if TYPE_CHECKING:
    import pandas as pd

    from ainb.batch.files.writers import ByteStream

PIECE_ROWS = 10_000


class ParquetTable:
    """A Parquet file.

    Args:
        path: The file.
        read: Must be empty: the format has no options.
        limit: Number of rows to read; None means all.

    Raises:
        ConfigError: The file is not Parquet, holds no rows, or pyarrow is not installed.
    """

    def __init__(self, path: Path, read: Mapping[str, Any], limit: int | None = None) -> None:
        check_options(path, read, ())
        need_module(f"{path.name} needs", "pyarrow.parquet", "parquet")
        from pyarrow import ArrowException, parquet

        self._path = path
        try:
            with parquet.ParquetFile(path) as table:
                self._names = list(table.schema_arrow.names)
                length = table.metadata.num_rows
        except (ArrowException, OSError) as error:
            raise ConfigError(
                f"{path.name} cannot be read as Parquet ({' '.join(str(error).split())}); "
                "write the file again"
            ) from None
        if length == 0:
            raise ConfigError(f"{path.name} holds no rows; there is nothing to send")
        self.columns = distinct_labels(self._names)
        self.length = length if limit is None else min(limit, length)

    def rows(self, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The rows in order; cells are Python values."""
        from pyarrow import parquet

        places = [self.columns.index(name) for name in names]
        # pyarrow takes a dot in a name for a nested column, and a repeated name is ambiguous.
        plain = len(set(self._names)) == len(self._names) and not any("." in name for name in self._names)
        if not places:
            yield from itertools.repeat({}, self.length)
            return
        with parquet.ParquetFile(self._path) as table:
            read = list(names) if plain else None
            for batch in table.iter_batches(batch_size=PIECE_ROWS, columns=read):
                found = {name: place for place, name in enumerate(batch.schema.names)}
                columns = [
                    batch.column(found[name] if plain else place).to_pylist()
                    for name, place in zip(names, places, strict=True)
                ]
                yield from (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))


class ParquetWriter:
    """Writes results to Parquet; the first piece determines the columns' types."""

    def __init__(self, file: ByteStream) -> None:
        self._file = file
        self._schema: Any = None
        self._writer: Any = None

    def write(self, kept: Mapping[str, list[Any]], frame: pd.DataFrame) -> None:
        """Append a piece."""
        import pyarrow as pa
        from pyarrow import parquet

        columns = {name: _array(values) for name, values in kept.items()}
        for name, values in frame.items():
            is_object = str(values.dtype) == "object"
            columns[str(name)] = _array(values.tolist()) if is_object else pa.array(values, from_pandas=True)
        if self._writer is None:
            # An empty column becomes text, because its later values are unknown.
            types = {name: column.type for name, column in columns.items()}
            fields = [(name, pa.string() if pa.types.is_null(of) else of) for name, of in types.items()]
            self._schema = pa.schema(fields)
            self._writer = parquet.ParquetWriter(self._file, self._schema)
        arrays = [_cast(columns[field.name], field.type) for field in self._schema]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is not None:
            self._writer.close()


def _array(values: list[Any]) -> Any:
    """Values with their common type; strings if they have none; null for a missing value that is no float."""
    import pyarrow as pa

    values = [None if not isinstance(value, float) and is_missing(value) else value for value in values]
    try:
        if not _are_dates_and_times(values):
            return pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        pass  # no common type
    return pa.array([_text(value) for value in values], type=pa.string())


def _are_dates_and_times(values: list[Any]) -> bool:
    """Whether dates stand beside times, whose time of day Arrow would cut off, or two kinds of times."""
    days = [value for value in values if isinstance(value, dt.date)]
    kinds = {value.tzinfo is None if isinstance(value, dt.datetime) else "day" for value in days}
    return len(kinds) > 1


def _cast(column: Any, dtype: Any) -> Any:
    """Cast a column of a later piece to the first piece's type; other values become text or null."""
    import pyarrow as pa

    if column.type == dtype:
        return column
    if pa.types.is_string(dtype):
        return pa.array([_text(value) for value in column.to_pylist()], type=dtype)
    try:
        return column.cast(dtype)
    except pa.ArrowException:
        return pa.array([_fitting(value, dtype) for value in column.to_pylist()], type=dtype)


def _fitting(value: Any, dtype: Any) -> Any:
    import pyarrow as pa

    try:
        return pa.scalar(value, type=dtype).as_py()
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return None


def _text(value: Any) -> str | None:
    return None if is_missing(value) else cell_text(value)
