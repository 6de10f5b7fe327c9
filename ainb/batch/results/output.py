"""Output of a batch: a DataFrame with the index of the input, or a file written in row order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ainb.batch.files import OrderedFile, OutputGuard
from ainb.batch.input.source import Source
from ainb.batch.options import BatchOptions
from ainb.batch.results.frame import Results
from ainb.batch.results.row_result import RowResult
from ainb.errors import ConfigError

if TYPE_CHECKING:
    from ainb.core import Core


class FrameOutput:
    """Output in memory.

    Args:
        source: The input rows, for the index and the kept columns.
        fields: Columns that replies fill and their dtype; None when each reply brings its own.
        keep: Input columns in front of the result.

    Attributes:
        carries: Input columns that must be read although the prompt does not use them.
    """

    def __init__(self, source: Source, *, fields: Mapping[str, str] | None, keep: tuple[str, ...]) -> None:
        self._source = source
        self._keep = keep
        # A source that does not hold its columns is read once, so they are collected meanwhile.
        self.carries = keep if source.carry is None else ()
        self._collected: dict[str, list[Any]] = {name: [] for name in self.carries}
        self._results = Results(fields)

    def start(self, position: int, row: Any) -> None:
        """Collect the kept columns of an input row before it is sent, if the source does not hold them."""
        for name, values in self._collected.items():
            values.append(row.get(name) if isinstance(row, Mapping) else row)

    def put(self, position: int, result: RowResult) -> None:
        """Store the result of a row."""
        self._results.put(position, result)

    def close(self, *, complete: bool) -> None:
        """No effect."""

    def frame(self) -> Any:
        """The rows so far, in the order, kind of table and with the index of the input.

        Unfinished rows are "cancelled"; the kept columns are in front.
        """
        source = self._source
        frame = self._results.frame(source.index, rows=source.length or 0)
        if source.carry is not None:
            found = dict(source.carry(self._keep))
        else:
            # Rows that were not reached have no values.
            found = {name: [*got, *[None] * (len(frame) - len(got))] for name, got in self._collected.items()}
        taken = set(map(str, frame.columns))
        kept = {f"{name}_input" if name in taken else name: values for name, values in found.items()}
        if source.deliver is not None:
            return source.deliver(frame, kept)
        if not kept:
            return frame
        # In one step: single insertions fragment the frame, and pandas warns from the hundredth column on.
        columns = {**kept, **{name: frame[name].array for name in frame.columns}}
        result = type(frame)(columns, index=frame.index, columns=list(columns))
        result.attrs = frame.attrs
        return result

    def result(self) -> Any:
        """The frame."""
        return self.frame()


# Both collect results of rows in any order.
Output = FrameOutput | OrderedFile


def make_output(
    core: Core, source: Source, options: BatchOptions, *, fields: Mapping[str, str] | None
) -> Output:
    """The output for the options.

    Args:
        core: Core of the session; its home has the list of the files that ainb wrote.
        source: The rows.
        options: ``keep``, ``out``, ``overwrite`` and ``csv_formulas``.
        fields: Columns that replies fill and their dtype; None when each reply brings its own.

    Raises:
        ConfigError: A column of `keep` does not exist, or `out` cannot be written or must not be replaced.
    """
    keep = kept_columns(source, keep=options.keep, streams=options.out is not None)
    if options.out is None:
        return FrameOutput(source, fields=fields, keep=keep)
    guard = OutputGuard(core.config.home_folder())
    with _errors_of(options.out):
        output = OrderedFile(
            options.out,
            fields=fields,
            keep=keep,
            csv_formulas=options.csv_formulas,
            guard=guard,
            notify=lambda text: core.notify(text, "out"),
        )
        guard.check(options.out, source=source.path, overwrite=options.overwrite)
        output.check_name()
    return output


@contextlib.contextmanager
def _errors_of(out: str | Path) -> Iterator[None]:
    """Turn errors of the system about a path (null bytes, loops of links, long names) into a ConfigError."""
    try:
        yield
    except ConfigError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise ConfigError(
            f"out={str(out)!r} cannot be written ({why or error}); nothing was sent; give another name"
        ) from None


def kept_columns(source: Source, *, keep: bool | tuple[str, ...], streams: bool) -> tuple[str, ...]:
    """The columns of the option ``keep``.

    Args:
        source: The rows.
        keep: True for all columns, or their labels.
        streams: Whether the result goes to a file.

    Raises:
        ConfigError: A column does not exist, several have its label, or the source has no columns.
    """
    if keep is False:
        return ()
    if source.columns is None and not streams:
        raise ConfigError(
            "keep needs a DataFrame or a Series to take columns from; put the rows into a frame first"
        )
    if keep is True:
        if source.columns is None:
            raise ConfigError("keep=True needs a source with known columns; name them: keep=['id']")
        source.check(source.columns)
        return source.columns
    names = tuple(source.aliases.get(str(name), str(name)) for name in keep)
    missing = [name for name in names if source.columns is not None and name not in source.columns]
    if missing:
        raise ConfigError(
            f"keep names a column {missing[0]!r} that does not exist; "
            f"columns are: {', '.join(source.columns or ())}"
        )
    source.check(names)
    return names
