"""Writers of CSV and JSON Lines: convert pieces of kept columns and results to bytes."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal

from ainb.batch.files.cells import cell_text, escape_formula
from ainb.plain import is_missing, plain_value

if TYPE_CHECKING:
    import pandas as pd

Formulas = Literal["escape", "keep"]
ByteStream = io.RawIOBase | gzip.GzipFile


class CsvWriter:
    """CSV that the ``csv`` module and pandas can read: UTF-8 without a byte order mark, quotes where needed.

    Args:
        file: Output stream.
        separator: Separator of cells.
        escaped: Columns that may hold the model's texts, in which formulas are escaped.
    """

    def __init__(self, file: ByteStream, *, separator: str, escaped: Collection[str]) -> None:
        self._file = file
        self._separator = separator
        self._escaped = escaped
        self._special = (separator, '"', "\r", "\n")
        self._has_header = False

    def write(self, kept: Mapping[str, list[Any]], frame: pd.DataFrame) -> None:
        """Append rows: kept input columns in front, then the results. The first call writes the header."""
        out = io.StringIO()
        if not self._has_header:
            self._has_header = True
            out.write(self._line([*kept, *map(str, frame.columns)]))
        columns = [[cell_text(value) for value in values] for values in kept.values()]
        columns += [self._texts(str(name), values) for name, values in frame.items()]
        out.writelines(self._line(cells) for cells in zip(*columns, strict=True))
        self._file.write(out.getvalue().encode())

    def close(self) -> None:
        """Close the stream, which completes a gzip file."""
        self._file.close()

    def _texts(self, name: str, values: Any) -> list[str]:
        texts = [cell_text(value) for value in values]
        return [escape_formula(text) for text in texts] if name in self._escaped else texts

    def _line(self, cells: Collection[str]) -> str:
        return self._separator.join([self._quoted(cell) for cell in cells]) + "\n"

    def _quoted(self, cell: str) -> str:
        # The csv module of Python 3.11 writes a lone carriage return without quotes and cannot read it back.
        if any(character in cell for character in self._special):
            return '"' + cell.replace('"', '""') + '"'
        return cell


class JsonLinesWriter:
    """JSON Lines: one object per row, null for a missing value."""

    def __init__(self, file: ByteStream) -> None:
        self._file = file

    def write(self, kept: Mapping[str, list[Any]], frame: pd.DataFrame) -> None:
        """Append rows: kept input columns in front, then the results."""
        names = [*kept, *map(str, frame.columns)]
        columns = [*kept.values(), *(frame[name].tolist() for name in frame.columns)]
        rows = (dict(zip(names, map(_plain, values), strict=True)) for values in zip(*columns, strict=True))
        # Escaped to ASCII, because half of a surrogate pair cannot be written otherwise.
        self._file.write("".join(f"{json.dumps(row, default=str)}\n" for row in rows).encode())

    def close(self) -> None:
        """Close the stream, which completes a gzip file."""
        self._file.close()


def _plain(value: Any) -> Any:
    return None if is_missing(value) else plain_value(value)
