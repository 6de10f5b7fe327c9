"""Writes the results of a batch to a temporary file in row order, and moves it into place when complete."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ainb.batch.files.guard import OutputGuard
from ainb.batch.files.parquet import ParquetWriter
from ainb.batch.files.stream import TemporaryFile
from ainb.batch.files.suffixes import WRITABLE, format_of, suffix_of
from ainb.batch.files.table import need_module
from ainb.batch.files.writers import CsvWriter, Formulas, JsonLinesWriter
from ainb.batch.results.frame import Results, column_name
from ainb.batch.results.row_result import RowResult
from ainb.errors import ConfigError

PIECE_ROWS = 10_000
SHOWN_NAMES = 6
WRITTEN_BY_THE_MODEL = ("reply", "error_message")
# Each writes a table in pieces; all pieces have the columns of the first one.
Writer = CsvWriter | JsonLinesWriter | ParquetWriter


class OrderedFile:
    """Result file written in row order.

    Rows are written to a temporary file beside the target. Results of later rows wait in memory until all
    rows before them have ended.

    Args:
        path: The target; its suffix must be in `WRITABLE`.
        fields: Columns of the replies' fields and their dtype; None when each reply has its own fields.
        keep: Input columns in front of the result.
        csv_formulas: Whether the model's texts that a spreadsheet would run are escaped in CSV.
        guard: Registers the file as written by ainb.
        notify: Receives notices about values that the file cannot hold.

    Attributes:
        path: The target.
        carries: The input columns, which must be read although the prompt may not use them.

    Raises:
        ConfigError: The suffix is unknown, the folder does not exist, or a package is missing.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fields: Mapping[str, str] | None,
        keep: tuple[str, ...],
        csv_formulas: Formulas,
        guard: OutputGuard,
        notify: Callable[[str], object],
    ) -> None:
        self.path = Path(path).expanduser()
        self._format = format_of(self.path, f"out={str(path)!r}", WRITABLE)
        if not self.path.parent.is_dir():
            raise ConfigError(f"the folder of out={str(path)!r} does not exist; make it first")
        if self._format == "parquet":
            need_module(f"{self.path.name} needs", "pyarrow.parquet", "parquet")
        self.carries = keep
        self._fields = fields
        self._formulas = csv_formulas
        self._guard = guard
        self._notify = notify
        self._late: dict[str, None] = {}
        self._carried: dict[int, tuple[Any, ...]] = {}
        self._early: dict[int, RowResult] = {}
        self._next = 0
        self._piece: list[tuple[tuple[Any, ...], RowResult]] = []
        self._stream: TemporaryFile | None = None
        self._writer: Writer | None = None
        self._written: Path | None = None

    def start(self, position: int, row: Any) -> None:
        """Keep the input columns of a row, before it is sent, until it is written."""
        if self.carries and isinstance(row, Mapping):
            self._carried[position] = tuple(row.get(name) for name in self.carries)

    def put(self, position: int, result: RowResult) -> None:
        """Add the result of a row; it is written once all rows before it have ended."""
        # A file holds the text of an object that a function returned.
        self._early[position] = result if result.value is None else dataclasses.replace(result, value=None)
        while self._next in self._early:
            self._piece.append((self._carried.pop(self._next, ()), self._early.pop(self._next)))
            self._next += 1
            if len(self._piece) >= PIECE_ROWS:
                self._flush()

    def frame(self) -> None:
        """None, because the results are in the file."""

    def result(self) -> Path:
        """Path of the written file; an incomplete one has ``.partial`` before its suffix."""
        return self._written or self.path

    def close(self, *, complete: bool) -> None:
        """Write the remaining rows and move the file into place.

        Args:
            complete: Whether all rows have ended. Otherwise the target is not changed, and the finished
                rows are written to a file beside it with ``.partial`` before the suffix.
        """
        try:
            self._written = self._finish(complete=complete)
        finally:
            if self._stream is not None:
                self._stream.discard()

    def _finish(self, *, complete: bool) -> Path | None:
        for position in sorted(self._early):
            self._piece.append((self._carried.pop(position, ()), self._early[position]))
        self._early.clear()
        if self._piece or (complete and self._writer is None):
            self._flush()
        if self._stream is None or self._writer is None:
            return None
        self._writer.close()
        # A symbolic link stays; its target is replaced.
        target = self.path.resolve() if complete else self._free(self._partial())
        target = self._stream.put_in_place(target)
        self._remember(target, self._stream, complete=complete)
        if self._late:
            names = ", ".join(map(repr, list(self._late)[:SHOWN_NAMES]))
            self._notify(
                f"{self.path.name} has no column for {names}: "
                f"first seen after {PIECE_ROWS:,} rows; see `reply`"
            )
        if not complete:
            self._notify(
                f"not all rows have ended: {target.name} holds those that have, "
                f"{self.path.name} stays as it was"
            )
        return target

    def _remember(self, target: Path, stream: TemporaryFile, *, complete: bool) -> None:
        # If the list cannot be written, the next run refuses to replace this file; the result is kept.
        with contextlib.suppress(OSError):
            self._guard.record(target, stream.size, stream.digest())
            if complete and self._guard.owns(self._partial()):
                self._partial().unlink()

    def check_name(self) -> None:
        """Check the path before anything is sent, since names of temporary and partial files are longer.

        Raises:
            OSError: The system does not accept the path.
            RuntimeError: It is a loop of links.
        """
        with contextlib.suppress(FileNotFoundError):
            self.path.stat()  # from Python 3.13, `resolve` does not raise for a loop of links
        partial = self._partial()
        with contextlib.suppress(FileNotFoundError):
            partial.with_name(f"{secrets.token_hex(4)}.{partial.name}").lstat()

    def _partial(self) -> Path:
        end = suffix_of(self.path) or ""
        target = self.path.resolve()
        return target.with_name(f"{target.name[: len(target.name) - len(end)]}.partial{end}")

    def _free(self, path: Path) -> Path:
        """The path itself, or one beside it if a file that ainb did not write has this path."""
        with contextlib.suppress(OSError):
            if not path.exists() or self._guard.owns(path):
                return path
        return path.with_name(f"{secrets.token_hex(4)}.{path.name}")

    def _flush(self) -> None:
        results = Results(self._fields)
        for position, (_, result) in enumerate(self._piece):
            results.put(position, result)
            self._late.update(dict.fromkeys(set(result.fields or ()) - set(results.fields)))
        frame = results.frame()
        self._fields = results.fields  # the columns of the first piece are those of the file
        for name in frame.columns[frame.dtypes == "category"]:
            frame[name] = frame[name].astype("string")
        kept = {
            f"{name}_input" if name in frame.columns else name: [carried[place] for carried, _ in self._piece]
            for place, name in enumerate(self.carries)
        }
        if self._writer is None:
            self._stream = TemporaryFile(self.path.resolve(), self._notify)
            self._writer = self._open(self._stream)
        self._writer.write(kept, frame)
        self._piece.clear()

    def _open(self, stream: TemporaryFile) -> Writer:
        end = suffix_of(self.path) or ""
        if self._format == "parquet":
            return ParquetWriter(stream)
        # Without a timestamp, so that equal results give equal files.
        is_packed = end.endswith(".gz")
        file = gzip.GzipFile(filename="", fileobj=stream, mode="wb", mtime=0) if is_packed else stream
        if self._format == "jsonl":
            return JsonLinesWriter(file)
        separator = "\t" if end.startswith(".tsv") else ","
        return CsvWriter(file, separator=separator, escaped=self._written_by_the_model())

    def _written_by_the_model(self) -> set[str]:
        if self._formulas == "keep":
            return set()
        return {*WRITTEN_BY_THE_MODEL, *map(column_name, self._fields or ())}
