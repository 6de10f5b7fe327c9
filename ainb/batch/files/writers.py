"""Writers of text formats: a piece of kept columns and results in, bytes out."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ainb.batch.files.cells import cell_text, escape_formula
from ainb.batch.input.source import is_missing

if TYPE_CHECKING:
    import pandas as pd

Formulas = Literal["escape", "keep"]
ByteStream = io.RawIOBase | gzip.GzipFile


class PieceWriter(Protocol):
    """Writes a table a piece at a time; the columns of each piece are those of the first."""

    def write(self, kept: Mapping[str, list[Any]], frame: pd.DataFrame) -> None:
        """Append rows: kept input columns in front, then the results."""
        ...

    def close(self) -> None:
        """Write the end of the table."""
        ...


class CsvWriter:
    """CSV that the ``csv`` module and pandas read back: UTF-8 without a byte order mark, quotes where needed.

    Args:
        file: Takes the bytes.
        separator: Between cells.
        escaped: Columns that may hold texts of the model, whose formulas are escaped.
    """

    def __init__(self, file: ByteStream, *, separator: str, escaped: Collection[str]) -> None:
        self._file = file
        self._separator = separator
        self._escaped = escaped
        self._special = (separator, '"', "\r", "\n")
        self._has_header = False

    def write(self, kept: Mapping[str, list[Any]], frame: pd.DataFrame) -> None:
        """Append rows, below the header at first."""
        out = io.StringIO()
        if not self._has_header:
            self._has_header = True
            out.write(self._line([*kept, *map(str, frame.columns)]))
        columns = [[cell_text(value) for value in values] for values in kept.values()]
        columns += [self._texts(str(name), values) for name, values in frame.items()]
        out.writelines(self._line(cells) for cells in zip(*columns, strict=True))
        self._file.write(out.getvalue().encode())

    def close(self) -> None:
        """Nothing to do: a CSV file has no end of its own."""

    def _texts(self, name: str, values: Any) -> list[str]:
        texts = [cell_text(value) for value in values]
        return [escape_formula(text) for text in texts] if name in self._escaped else texts

    def _line(self, cells: Collection[str]) -> str:
        return self._separator.join([self._quoted(cell) for cell in cells]) + "\n"

    def _quoted(self, cell: str) -> str:
        # The csv module of Python 3.11 leaves a lone carriage return without quotes, and cannot read it back.
        if any(character in cell for character in self._special):
            return '"' + cell.replace('"', '""') + '"'
        return cell


class JsonLinesWriter:
    """JSON Lines: one object a row, null where a value is missing.

    Args:
        file: Takes the bytes.
    """

    def __init__(self, file: ByteStream) -> None:
        self._file = file

    def write(self, kept: Mapping[str, list[Any]], frame: pd.DataFrame) -> None:
        """Append rows."""
        names = [*kept, *map(str, frame.columns)]
        columns = [*kept.values(), *(frame[name].tolist() for name in frame.columns)]
        rows = (dict(zip(names, map(_plain, values), strict=True)) for values in zip(*columns, strict=True))
        # Escaped to ASCII, because half of a surrogate pair cannot be written otherwise.
        self._file.write("".join(f"{json.dumps(row, default=str)}\n" for row in rows).encode())

    def close(self) -> None:
        """Nothing to do: the format has no end of its own."""


def _plain(value: Any) -> Any:
    return None if is_missing(value) else value


def packed(file: io.RawIOBase) -> gzip.GzipFile:
    """A gzip stream into `file` without the time of writing, so that equal results are equal files."""
    return gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0)
