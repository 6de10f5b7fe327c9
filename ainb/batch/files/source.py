"""Opens a table file as the source of a batch."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ainb.batch.files.csv import CsvFile
from ainb.batch.files.jsonl import JsonLinesFile
from ainb.batch.files.parquet import ParquetTable
from ainb.batch.files.suffixes import FORMATS, format_of
from ainb.batch.files.xlsx import ExcelFile
from ainb.batch.input.source import Source, chosen_positions
from ainb.errors import ConfigError

# A file that was checked, with its columns and their length; its rows can be read any number of times.
TableFile = CsvFile | JsonLinesFile | ParquetTable | ExcelFile
_READERS: dict[str, Callable[[Path, Mapping[str, Any], int | None], TableFile]] = {
    "csv": CsvFile,
    "jsonl": JsonLinesFile,
    "parquet": ParquetTable,
    "xlsx": ExcelFile,
}

_FIX = f"give the path of a {', '.join(FORMATS)} file"
_SHOWN_CHARACTERS = 200


def file_source(
    path: str | Path,
    *,
    read: Mapping[str, Any] | None = None,
    limit: int | None = None,
    sample: int | None = None,
) -> Source:
    """The rows of a CSV, TSV, JSON Lines, Parquet or Excel file.

    Text files are checked from beginning to end first, so that nothing is sent from an invalid file; then
    the rows are read one at a time.

    Args:
        path: The file; a name that ends in .gz is decompressed.
        read: Options of the reader: ``sep``, ``encoding`` and others for text, ``sheet`` for Excel.
        limit: Use only this number of rows from the start.
        sample: Use only this number of rows drawn at random (the same ones each time), in their order.

    Raises:
        ConfigError: There is no such file, its format is unknown, or it cannot be read; the message names
            the fix.
    """
    file = _regular_file(path)
    if not isinstance(read or {}, Mapping):
        raise ConfigError(f"read= takes a dict such as {{'sep': ';'}}; it is {type(read).__name__}")
    reader = _READERS[format_of(file, f"{file.name!r}: a table that can be read")]
    try:
        table = reader(file, read or {}, limit if sample is None else None)
    except OSError as error:
        raise ConfigError(f"{file.name} cannot be read ({error.strerror or error}); {_FIX}") from None
    positions = chosen_positions(table.length, limit, sample)
    chosen = range(table.length)[positions] if isinstance(positions, slice) else positions
    return Source(
        read=lambda used: _rows(table, [name for name in used if name in table.columns], chosen),
        items=lambda: _rows(table, table.columns, chosen),
        columns=table.columns,
        length=len(chosen),
        path=file,
    )


def _regular_file(path: str | Path) -> Path:
    text = str(path)
    shown = repr(text if len(text) <= _SHOWN_CHARACTERS else f"…{text[-_SHOWN_CHARACTERS:]}")
    try:
        file = Path(path).expanduser()
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"there is no file {shown}; {_FIX}") from None
    except (OSError, RuntimeError, ValueError) as error:
        # Too long, a loop of links, no permission; an unknown user; a null byte.
        why = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise ConfigError(f"{shown} cannot be read ({why}); {_FIX}") from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
        raise ConfigError(f"{shown} is {kind}; {_FIX}")
    return file


def _rows(table: TableFile, names: Sequence[str], chosen: Sequence[int]) -> Iterator[Mapping[str, Any]]:
    rows = iter(table.rows(names))
    at = 0
    for position in chosen:
        for _ in range(position - at):
            next(rows, None)
        row = next(rows, None)
        if row is None:
            return
        yield row
        at = position + 1
