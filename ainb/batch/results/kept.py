"""Input columns in front of the results of a batch in memory (``keep``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ainb.batch.input.source import Source
from ainb.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


class KeptColumns:
    """Gets input columns from the table, or collects them while the rows are read.

    Args:
        source: The rows.
        names: The columns, checked by `kept_columns`.

    Attributes:
        names: The columns.
        collected: Columns that must be read with the rows, although the prompt may not use them.
    """

    def __init__(self, source: Source, names: tuple[str, ...]) -> None:
        self.names = names
        self.collected = names if source.carry is None else ()
        self._source = source
        self._values: dict[str, list[Any]] = {name: [] for name in self.collected}

    def start(self, row: Any) -> None:
        """Collect the columns of the next input row before it is sent."""
        for name, values in self._values.items():
            values.append(row.get(name) if isinstance(row, Mapping) else row)

    def with_results(self, frame: pd.DataFrame) -> Any:
        """The kept columns in front of the results, in the input's kind of table."""
        if self._source.carry is not None:
            found = dict(self._source.carry(self.names))
        else:
            # Rows that were not reached have no values.
            found = {name: _padded(values, len(frame)) for name, values in self._values.items()}
        taken = set(map(str, frame.columns))
        kept = {f"{name}_input" if name in taken else name: values for name, values in found.items()}
        if self._source.deliver is not None:
            return self._source.deliver(frame, kept)
        if not kept:
            return frame
        # In one step: single insertions fragment the frame, and pandas warns from the hundredth column on.
        columns = {**kept, **{name: frame[name].array for name in frame.columns}}
        result = type(frame)(columns, index=frame.index, columns=list(columns))
        result.attrs = frame.attrs
        return result


def _padded(values: list[Any], length: int) -> list[Any]:
    return [*values, *[None] * (length - len(values))]


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
