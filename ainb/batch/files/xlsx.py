"""Reader of Excel workbooks with openpyxl (extra ``excel``); the first non-empty row is the header."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ainb.batch.files.table import check_options, distinct_labels, need_module
from ainb.errors import ConfigError
from ainb.suggestions import closest

OPTIONS = ("sheet", "sheet_name")
_ZEROS = re.compile(r"0{2,}")


class ExcelFile:
    """A sheet of a workbook, held in memory.

    Args:
        path: The file.
        read: ``sheet`` (or ``sheet_name``): name or number, from 0; the default is the first sheet.
        limit: Number of rows to read; None means all.

    Raises:
        ConfigError: The file is not an .xlsx workbook, has no such sheet or no rows, or openpyxl is missing.
    """

    def __init__(self, path: Path, read: Mapping[str, Any], limit: int | None = None) -> None:
        check_options(path, read, OPTIONS)
        need_module(f"{path.name} needs", "openpyxl", "excel")
        lines = (cells for cells in _sheet(path, read) if any(cell is not None for cell in cells))
        header = next(lines, None)
        if header is None:
            raise ConfigError(f"{path.name} is empty; give a sheet with a header row and rows")
        while header and header[-1] is None:
            header.pop()
        self.columns = distinct_labels(header)
        self._rows = list(itertools.islice(lines, limit))
        self.length = len(self._rows)
        if self.length == 0 and limit != 0:
            raise ConfigError(f"{path.name} holds a header and no rows below it; there is nothing to send")

    def rows(self, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The rows in order; a cell is a string, number or boolean, a date its ISO form."""
        wanted = [(name, self.columns.index(name)) for name in names]
        for cells in self._rows:
            count = len(cells)
            yield {name: cells[place] if place < count else None for name, place in wanted}


def _sheet(path: Path, read: Mapping[str, Any]) -> Iterator[list[Any]]:
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about styles and validation, which do not affect values
        try:
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        except Exception as error:  # noqa: BLE001 - zipfile and the XML parsers have no common base
            raise ConfigError(
                f"{path.name} cannot be read as an .xlsx workbook ({' '.join(str(error).split())}); "
                "save it as .xlsx without a password, or as CSV"
            ) from None
        try:
            for cells in _chosen(book, path, read).iter_rows():
                yield [_value(cell) for cell in cells]
        finally:
            book.close()


def _chosen(book: Any, path: Path, read: Mapping[str, Any]) -> Any:
    wanted = read.get("sheet", read.get("sheet_name", 0))
    if isinstance(wanted, int) and -len(book.worksheets) <= wanted < len(book.worksheets):
        return book.worksheets[wanted]
    if wanted in book.sheetnames:
        return book[wanted]
    raise ConfigError(f"{path.name} has no sheet {wanted!r}; {closest(str(wanted), book.sheetnames)}")


def _value(cell: Any) -> Any:
    value = cell.value
    if value is None or value == "":
        return None
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(sep=" ")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if type(value) is int and _ZEROS.fullmatch(str(cell.number_format)):
        # A number with a format of zeros, such as a postcode, keeps its leading zeros.
        return str(value).zfill(len(cell.number_format))
    return value
