"""Where rows come from: a frame, a column, a list, an iterator; read lazily, only the columns that are used."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ainb.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

VALUE = "value"
SAMPLE_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Source:
    """Rows to go through once.

    Attributes:
        read: Given the names that are used, an iterator of rows; a row maps name to value. Names that a row lacks are missing.
        columns: Names that every row has, or None when each row must be asked.
        length: Number of rows, or None when only reading tells.
        index: Index of the result, or None for a RangeIndex.
        carry: The input rows as a frame, for ``keep``; None when the source is no frame or column.
        items: The rows as the caller knows them, for a function of one item.
    """

    read: Callable[[Sequence[str]], Iterator[Mapping[str, Any]]]
    items: Callable[[], Iterator[Any]]
    columns: tuple[str, ...] | None = None
    length: int | None = None
    index: pd.Index | None = None
    carry: pd.DataFrame | None = None


def read_source(data: Any, *, limit: int | None = None, sample: int | None = None) -> Source:
    """Make a Source of whatever people have.

    Args:
        data: DataFrame, Series, dict of columns' records, list, or any iterable; items that are not mappings fill ``{value}``.
        limit: Only the first so many rows.
        sample: Only so many rows drawn at random (the same ones each time), in their order; needs a source with a length.

    Raises:
        ConfigError: The data cannot be gone through, or a number makes no sense.
    """
    for name, number in (("limit", limit), ("sample", sample)):
        if number is not None and (type(number) is not int or number < 0):
            raise ConfigError(f"{name} must be a whole number of rows, 0 or more; it is {number!r}")
    kind = f"{type(data).__module__}.{type(data).__qualname__}"
    if kind.startswith("pandas.") and kind.endswith((".DataFrame", ".Series")):
        data = (
            data.iloc[_positions(len(data), limit, sample)]
            if limit is not None or sample is not None
            else data
        )
        return _frame_source(data) if hasattr(data, "columns") else _series_source(data)
    if isinstance(data, str | bytes | Mapping) or not isinstance(data, Iterable):
        raise ConfigError(
            f"a batch takes a DataFrame, a Series, a list or an iterator of rows; it is {type(data).__name__}"
        )
    return _items_source(data, limit, sample)


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, NaT or NA."""
    if isinstance(value, str):
        return False
    if value is None:
        return True
    if isinstance(value, float):
        return value != value  # noqa: PLR0124 - NaN is the only number that differs from itself
    return type(value).__name__ in {"NAType", "NaTType"}


def _positions(length: int, limit: int | None, sample: int | None) -> list[int] | slice:
    if sample is None:
        return slice(limit)
    chosen = sorted(random.Random(SAMPLE_SEED).sample(range(length), min(sample, length)))  # noqa: S311 - no secret
    return chosen[:limit]


def _frame_source(frame: pd.DataFrame) -> Source:
    names = [str(column) for column in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"the frame has several columns named {twice[0]!r}; rename them, so that {{{twice[0]}}} says which"
        )

    def read(used: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        wanted = [name for name in used if name in names]
        if not wanted:
            return iter([{}] * len(frame))
        series = [frame.iloc[:, names.index(name)] for name in wanted]
        return (dict(zip(wanted, values, strict=True)) for values in zip(*series, strict=True))

    def items() -> Iterator[Any]:
        return (dict(zip(names, values, strict=True)) for values in frame.itertuples(index=False, name=None))

    return Source(
        read=read, items=items, columns=tuple(names), length=len(frame), index=frame.index, carry=frame
    )


def _series_source(series: pd.Series[Any]) -> Source:
    def read(_used: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        return ({VALUE: value} if not isinstance(value, Mapping) else value for value in series)

    records = any(isinstance(value, Mapping) for value in series.head(1))
    carry = series.to_frame(series.name if series.name is not None else VALUE)
    columns = None if records else (VALUE,)
    return Source(
        read=read,
        items=lambda: iter(series),
        columns=columns,
        length=len(series),
        index=series.index,
        carry=carry,
    )


def _items_source(data: Iterable[Any], limit: int | None, sample: int | None) -> Source:
    if sample is not None:
        if not isinstance(data, Sequence):
            raise ConfigError(
                "sample needs a source with a length (a frame, a column, a list); use limit for an iterator"
            )
        positions = _positions(len(data), limit, sample)
        data = [data[place] for place in positions] if isinstance(positions, list) else data[positions]
    length = len(data) if isinstance(data, Sized) else None
    if limit is not None:
        data = itertools.islice(data, limit)
        length = limit if length is None else min(limit, length)

    def read(_used: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        return (item if isinstance(item, Mapping) else {VALUE: item} for item in data)

    return Source(read=read, items=lambda: iter(data), length=None if isinstance(data, Iterator) else length)
