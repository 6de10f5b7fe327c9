"""Reader of CSV and TSV files: cells are the text in the file; only an empty cell is a missing value."""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ainb.batch.files.suffixes import suffix_of
from ainb.batch.files.table import check_options, distinct_labels
from ainb.batch.files.text import find_encoding, open_text
from ainb.errors import ConfigError
from ainb.fork import new_lock

if TYPE_CHECKING:
    from _csv import Reader

PIECE_ROWS = 10_000
_DIALECT = ("delimiter", "quotechar", "escapechar", "doublequote", "skipinitialspace", "quoting")
OPTIONS = ("sep", "encoding", "skiprows", *_DIALECT)
_MAX_FIELD = min(sys.maxsize, 2**31 - 1)
_LIMIT = new_lock()


class CsvFile:
    """A CSV file that was checked from beginning to end.

    Args:
        path: The file.
        read: ``sep`` (or ``delimiter``), ``encoding``, ``skiprows`` (lines above the header), and the
            dialect's ``quotechar``, ``escapechar``, ``doublequote``, ``skipinitialspace``, ``quoting``.
        limit: Number of rows to check; None means all.

    Raises:
        ConfigError: The file is empty or holds no rows, its encoding is wrong, a line has too many or too
            few fields, or a quote is not closed; the message names file, line and fix.
    """

    def __init__(self, path: Path, read: Mapping[str, Any], limit: int | None = None) -> None:
        check_options(path, read, OPTIONS)
        self._path = path
        self._encoding = find_encoding(path, read.get("encoding"))
        self._skip = int(read.get("skiprows", 0))
        self._dialect = {name: read[name] for name in _DIALECT if name in read}
        self._separator_given = "sep" in read or "delimiter" in read
        if not self._separator_given:
            self._dialect["delimiter"] = "\t" if (suffix_of(path) or "").startswith(".tsv") else ","
        elif "sep" in read:
            self._dialect["delimiter"] = read["sep"]
        header = self._read_header()
        self.columns = distinct_labels(header)
        # A header with an empty last name has a separator at the end of its line.
        self._least = max((place for place, name in enumerate(header, start=1) if name), default=1)
        self.length = self._check(limit)

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, str | None]]:
        """The rows in order; a cell is its text, or None when the field is empty."""
        wanted = [(name, self.columns.index(name)) for name in names]
        for _, fields in self._records():
            count = len(fields)
            yield {
                name: None if place >= count or fields[place] == "" else fields[place]
                for name, place in wanted
            }

    def _read_header(self) -> list[str]:
        with open_text(self._path, self._encoding) as text:
            header = next((fields for _, fields in self._parse(text) if fields), None)
        if header is None:
            raise ConfigError(f"{self._path.name} is empty; give a file with a header line and rows")
        other = next((mark for mark in ";\t|" if mark in header[0]), None)
        if len(header) == 1 and other is not None and not self._separator_given:
            separator = self._dialect["delimiter"]
            raise ConfigError(
                f"{self._path.name}, line 1: no {separator!r} but {other!r} between the names; "
                f"give read={{'sep': {other!r}}}"
            )
        return header

    def _check(self, limit: int | None) -> int:
        """Check the lines and count the rows."""
        count, most = 0, len(self.columns)
        for line, fields in itertools.islice(self._records(), limit):
            count += 1
            # Empty fields after the last column are separators at the end of the line.
            if len(fields) < self._least or any(fields[most:]):
                raise ConfigError(
                    f"{self._path.name}, line {line:,}: {len(fields)} fields where the header has {most}; "
                    f"nothing was sent; put cells that hold {self._dialect['delimiter']!r} in quotes, "
                    "or give read={'sep': …}"
                )
        if count == 0 and limit != 0:
            raise ConfigError(
                f"{self._path.name} holds a header and no rows below it; there is nothing to send"
            )
        return count

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Records below the header, each with the number of its first line; blank lines are skipped."""
        with open_text(self._path, self._encoding) as text:
            records = ((line, fields) for line, fields in self._parse(text) if fields)
            next(records, None)
            yield from records

    def _parse(self, text: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
        lines = _LastLines(itertools.islice(text, self._skip, None))
        reader = self._reader(lines)
        while True:
            piece = self._piece(reader, lines)
            if len(piece) < PIECE_ROWS:
                self._check_last_quote(lines)
            yield from piece
            if not piece:
                break

    def _reader(self, lines: Iterator[str], **options: Any) -> Reader:
        try:
            return csv.reader(lines, **self._dialect, **options)
        except (TypeError, ValueError, csv.Error) as error:
            raise ConfigError(f"read={{…}} makes no sense for {self._path.name}: {error}") from None

    def _piece(self, reader: Reader, lines: _LastLines) -> list[tuple[int, list[str]]]:
        piece: list[tuple[int, list[str]]] = []
        # The limit of a field's length is global to the process; its default is 131,072 characters.
        with _LIMIT:
            before = csv.field_size_limit(_MAX_FIELD)
            try:
                for _ in range(PIECE_ROWS):
                    line = reader.line_num + 1 + self._skip
                    lines.start_record()
                    piece.append((line, next(reader)))
            except StopIteration:
                pass
            except csv.Error as error:
                raise ConfigError(f"{self._path.name}, line {line:,}: {error}") from None
            finally:
                csv.field_size_limit(before)
        return piece

    def _check_last_quote(self, lines: _LastLines) -> None:
        """Raise for a quote that is never closed: it would turn the rest of the file into one cell."""
        if not lines.last:
            return
        try:
            for _ in self._reader(iter(lines.last), strict=True):
                pass
        except csv.Error as error:
            if "unexpected end" in str(error):
                line = lines.count - len(lines.last) + 1 + self._skip
                raise ConfigError(
                    f"{self._path.name}, line {line:,}: a quote is opened and never closed; "
                    "close it or double it"
                ) from None


class _LastLines:
    """Iterator of lines that keeps those of the last record."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._record: list[str] = []
        self.last: list[str] = []
        self.count = 0

    def start_record(self) -> None:
        """Mark the next line, if there is one, as the start of a record."""
        self._record = []

    def __iter__(self) -> _LastLines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.count += 1
        self._record.append(line)
        self.last = self._record
        return line
