"""Tables that are too big to hold: rows read from a file a piece at a time, results written in order as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ainb.batch.results import Results
from ainb.batch.row_result import RowResult
from ainb.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

PIECE_ROWS = 10_000
READABLE = (".csv", ".parquet", ".jsonl")


def is_path(data: Any) -> bool:
    """Whether `data` names a file rather than holding rows."""
    return isinstance(data, Path) or (isinstance(data, str) and data.lower().endswith(READABLE))


def read_rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """Rows of a CSV, Parquet or JSON-lines file, one at a time; memory holds 10,000 of them.

    Raises:
        ConfigError: There is no such file, or its name ends in none of .csv, .parquet, .jsonl.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(f"there is no file {str(path)!r}; give the path of a {', '.join(READABLE)} file")
    if file.suffix == ".csv":
        return _csv_rows(file)
    if file.suffix == ".parquet":
        return _parquet_rows(file)
    if file.suffix == ".jsonl":
        return _json_rows(file)
    raise ConfigError(
        f"{file.name!r} is no table that can be read row by row; known are {', '.join(READABLE)}"
    )


def _csv_rows(file: Path) -> Iterator[dict[str, Any]]:
    import pandas as pd

    with pd.read_csv(file, chunksize=PIECE_ROWS) as pieces:
        for piece in pieces:
            names = [str(name) for name in piece.columns]
            yield from (
                dict(zip(names, row, strict=True)) for row in piece.itertuples(index=False, name=None)
            )


def _parquet_rows(file: Path) -> Iterator[dict[str, Any]]:
    parquet = _pyarrow_parquet()
    with parquet.ParquetFile(file) as table:
        for piece in table.iter_batches(batch_size=PIECE_ROWS):
            yield from piece.to_pylist()


def _json_rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError:
                raise ConfigError(
                    f"{file.name}, line {number}, is not JSON; mend it or leave it out"
                ) from None
            yield value if isinstance(value, dict) else {"value": value}


def _pyarrow_parquet() -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise ConfigError(
            "Parquet files need pyarrow; install it with pip install 'ainb-notebook[parquet]'"
        ) from None
    return parquet


class _Writer(Protocol):
    def write(self, frame: pd.DataFrame) -> None: ...

    def close(self) -> None: ...


class OrderedFile:
    """Writes results to a file in the order of their rows, a piece at a time.

    Results that come before their turn wait in memory; there are as many of them as rows under way and their overtakers.

    Args:
        path: Ends in .csv, .parquet or .jsonl; a file that stands there is replaced when the first piece is written.
        fields: Schema fields and the dtype of their column.
        keep: Input columns that are carried in front.

    Raises:
        ConfigError: The name ends in something else, or the folder does not exist.
    """

    def __init__(self, path: str | Path, *, fields: Mapping[str, str], keep: tuple[str, ...] = ()) -> None:
        self.path = Path(path).expanduser()
        if self.path.suffix not in READABLE:
            raise ConfigError(f"out={str(path)!r} must end in one of {', '.join(READABLE)}")
        if not self.path.parent.is_dir():
            raise ConfigError(f"the folder of out={str(path)!r} does not exist; make it first")
        if self.path.suffix == ".parquet":
            _pyarrow_parquet()
        self._fields = fields
        self._keep = keep
        self._carried: dict[int, tuple[Any, ...]] = {}
        self._early: dict[int, RowResult] = {}
        self._next = 0
        self._piece: list[tuple[tuple[Any, ...], RowResult]] = []
        self._writer: _Writer | None = None
        self.rows = 0

    def carry(self, position: int, row: Mapping[str, Any]) -> None:
        """Remember the input columns of a row until it is written."""
        if self._keep:
            self._carried[position] = tuple(row.get(name) for name in self._keep)

    def put(self, position: int, result: RowResult) -> None:
        """Take the result of a row; it is written when its turn comes."""
        self._early[position] = result
        while self._next in self._early:
            self._piece.append((self._carried.pop(self._next, ()), self._early.pop(self._next)))
            self._next += 1
            if len(self._piece) >= PIECE_ROWS:
                self._flush()

    def close(self) -> None:
        """Write what is left; rows that never ended leave no line."""
        for position in sorted(self._early):
            self._piece.append((self._carried.pop(position, ()), self._early[position]))
        self._early.clear()
        if self._piece or self._writer is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        results = Results(self._fields)
        for position, (_, result) in enumerate(self._piece):
            results.put(position, result)
        frame = results.frame()
        for name in frame.columns[frame.dtypes == "category"]:
            frame[name] = frame[name].astype("string")
        for place, name in enumerate(self._keep):
            frame.insert(place, name, [carried[place] for carried, _ in self._piece])
        if self._writer is None:
            self._writer = (
                _ParquetFile(self.path, frame) if self.path.suffix == ".parquet" else _TextFile(self.path)
            )
        self._writer.write(frame)
        self.rows += len(self._piece)
        self._piece.clear()


class _TextFile:
    def __init__(self, path: Path) -> None:
        self._lines = path.suffix == ".jsonl"
        self._file = path.open("w", encoding="utf-8", newline="")
        self._header = True

    def write(self, frame: pd.DataFrame) -> None:
        if self._lines:
            frame.to_json(self._file, orient="records", lines=True)
        else:
            frame.to_csv(self._file, index=False, header=self._header)
        self._header = False

    def close(self) -> None:
        self._file.close()


class _ParquetFile:
    def __init__(self, path: Path, first: pd.DataFrame) -> None:
        import pyarrow as pa

        self._schema = pa.Table.from_pandas(first, preserve_index=False).schema.remove_metadata()
        self._schema = pa.schema([_nullable(field) for field in self._schema])
        self._file = _pyarrow_parquet().ParquetWriter(path, self._schema)

    def write(self, frame: pd.DataFrame) -> None:
        import pyarrow as pa

        self._file.write_table(pa.Table.from_pandas(frame, schema=self._schema, preserve_index=False))

    def close(self) -> None:
        self._file.close()


def _nullable(field: Any) -> Any:
    """A column that happens to be empty in the first piece is text in the others."""
    import pyarrow as pa

    return pa.field(field.name, pa.string()) if pa.types.is_null(field.type) else field
