"""Opens tables in memory: pandas, polars, pyarrow, and objects with the Arrow or dataframe protocol.

A library is only imported for one of its own tables.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ainb.batch.files.table import need_module
from ainb.batch.input.source import VALUE, Row, Source, as_row, chosen_positions, items_source
from ainb.errors import ConfigError
from ainb.plain import is_missing, plain_scalar

if TYPE_CHECKING:
    import pandas as pd

PIECE_ROWS = 10_000


def read_source(data: Any, *, limit: int | None = None, sample: int | None = None) -> Source:
    """The rows of a table, a column, a list or an iterator.

    Args:
        data: DataFrame or Series of pandas, DataFrame, LazyFrame or Series of polars, pyarrow table, an
            object with ``__arrow_c_stream__`` or ``__dataframe__``, list of records, or any iterable; items
            that are not mappings fill ``{value}``.
        limit: Use only this number of rows from the start.
        sample: Use only this number of rows drawn at random (the same ones each time), in their order; needs
            a source with a length.

    Raises:
        ConfigError: The data holds no rows.
    """
    for find in (_pandas_source, _polars_source, _arrow_source):
        if (source := find(data, limit, sample)) is not None:
            return source
    _refuse_others(data)
    return items_source(data, limit, sample)


def _refuse_others(data: Any) -> None:
    """Raise for objects that cannot be iterated by rows.

    Raises:
        ConfigError: The object cannot be iterated, or its items are not rows.
    """
    kind = type(data)
    way_out = "a batch takes a DataFrame, a Series, a list or an iterator of rows"
    if isinstance(data, str | bytes | bytearray | Mapping) or not isinstance(data, Iterable):
        raise ConfigError(f"{way_out}; it is {kind.__name__}")
    if "GroupBy" in kind.__name__:
        raise ConfigError(
            f"{way_out}; it is {kind.__name__}, whose items are groups; aggregate it to a frame first"
        )
    dimensions = getattr(data, "ndim", 1)
    if isinstance(dimensions, int) and dimensions != 1:
        raise ConfigError(
            f"{way_out}; it is {kind.__name__} of {dimensions} dimensions; make a DataFrame of it"
        )
    columns = getattr(data, "columns", None)
    if columns is not None and not callable(columns):
        raise ConfigError(
            f"{way_out}; it is {kind.__name__}, whose items are not its rows; convert it with .to_pandas()"
        )


# pandas


def _pandas_source(data: Any, limit: int | None, sample: int | None) -> Source | None:
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(data, pandas.DataFrame | pandas.Series):
        return None
    if limit is not None or sample is not None:
        data = data.iloc[chosen_positions(len(data), limit, sample)]
    return _frame_source(data) if isinstance(data, pandas.DataFrame) else _series_source(data)


def _frame_source(frame: pd.DataFrame) -> Source:
    names = [str(column) for column in frame.columns]
    positions = {name: place for place, name in reversed(list(enumerate(names)))}
    aliases = {
        alias: name
        for label, name in zip(frame.columns, names, strict=True)
        if (alias := _dotted(label)) is not None and alias not in positions
    }

    def read(used: Sequence[str]) -> Iterator[Row]:
        wanted = [name for name in used if aliases.get(name, name) in positions]
        series = [_cells(frame.iloc[:, positions[aliases.get(name, name)]]) for name in wanted]
        return _rows(wanted, zip(*series, strict=True), len(frame))

    return Source(
        read=read,
        items=lambda: _rows(names, frame.itertuples(index=False, name=None), len(frame)),
        columns=tuple(names),
        aliases=aliases,
        repeated=_repeated(names),
        length=len(frame),
        index=frame.index,
        carry=lambda kept: {name: frame.iloc[:, positions[name]].array for name in kept},
    )


def _cells(column: pd.Series[Any]) -> Iterable[Any]:
    """The cells of a column; numbers of single precision in their shortest form, as pandas shows them."""
    if str(column.dtype) in {"float16", "float32"}:
        return map(plain_scalar, column.to_numpy())
    return column


def _dotted(label: Any) -> str | None:
    """``a.b`` for the label ``("a", "b")`` of a MultiIndex; empty levels are left out."""
    return ".".join(str(part) for part in label if str(part)) if isinstance(label, tuple) else None


def _repeated(names: Sequence[str]) -> frozenset[str]:
    return frozenset(name for name, count in Counter(names).items() if count > 1)


def _series_source(series: pd.Series[Any]) -> Source:
    first = next(iter(series), None)
    aliases: dict[str, str] = {}
    if isinstance(first, Mapping):
        columns = tuple(map(str, first))
    else:
        columns, aliases = _column_of_its_own(series.name)

    def read(used: Sequence[str]) -> Iterator[Row]:
        return (
            value if isinstance(value, Mapping) else dict.fromkeys((*used, VALUE), value)
            for value in (as_row(item, used) if isinstance(item, Mapping) else item for item in series)
        )

    return Source(
        read=read,
        items=lambda: iter(series),
        columns=columns,
        aliases=aliases,
        length=len(series),
        index=series.index,
        carry=None if isinstance(first, Mapping) else lambda kept: dict.fromkeys(kept, series.array),
    )


def _column_of_its_own(name: Any) -> tuple[tuple[str, ...], dict[str, str]]:
    """Label and other spelling of a single column, which can always be used as ``{value}``."""
    label = VALUE if name is None or not str(name) else str(name)
    return (label,), {} if label == VALUE else {VALUE: label}


# polars


def _polars_source(data: Any, limit: int | None, sample: int | None) -> Source | None:
    polars = sys.modules.get("polars")
    if polars is None or not isinstance(data, polars.DataFrame | polars.LazyFrame | polars.Series):
        return None
    single = isinstance(data, polars.Series)
    if isinstance(data, polars.LazyFrame):
        data = (data if limit is None or sample is not None else data.head(limit)).collect()
    frame = data.to_frame(data.name or VALUE) if single else data
    if limit is not None or sample is not None:
        frame = frame[chosen_positions(len(frame), limit, sample)]
    columns, aliases = _column_of_its_own(data.name) if single else (tuple(frame.columns), {})

    def read(used: Sequence[str]) -> Iterator[Row]:
        wanted = [name for name in used if aliases.get(name, name) in columns]
        series = [frame.get_column(aliases.get(name, name)) for name in wanted]
        starts = range(0, len(frame), PIECE_ROWS)
        pieces = ([column[at : at + PIECE_ROWS].to_list() for column in series] for at in starts)
        return _rows(wanted, _values(pieces), len(frame))

    def deliver(result: pd.DataFrame, kept: Mapping[str, Any]) -> Any:
        answers = {str(name): _polars_column(polars, column) for name, column in result.items()}
        return polars.DataFrame({**kept, **answers})

    return Source(
        read=read,
        items=lambda: iter(frame.to_series()) if single else frame.iter_rows(named=True),
        columns=columns,
        aliases=aliases,
        length=len(frame),
        carry=lambda kept: {name: frame.get_column(name) for name in kept},
        deliver=deliver,
    )


def _polars_column(polars: Any, column: pd.Series[Any]) -> Any:
    """A column of results with the polars type of its pandas type."""
    types = {
        "string": polars.String, "str": polars.String, "category": polars.Categorical,
        "boolean": polars.Boolean, "bool": polars.Boolean, "Int16": polars.Int16, "Int64": polars.Int64,
        "Float64": polars.Float64,
    }  # fmt: skip
    values = [None if is_missing(value) else value for value in column.tolist()]
    dtype = types.get(str(column.dtype))
    return polars.Series(values, dtype=dtype, strict=dtype is not None)


# Arrow. Without narwhals, which would be a dependency for every user and still need pyarrow.


def _arrow_source(data: Any, limit: int | None, sample: int | None) -> Source | None:
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        table = _arrow_table(data)
    elif hasattr(data, "__dataframe__"):
        need_module(f"rows of {type(data).__name__} are read with", "pyarrow", "parquet")
        from pyarrow import interchange

        table = interchange.from_dataframe(data)
    else:
        return None
    if not hasattr(table, "column_names"):
        return items_source(table.to_pylist(), limit, sample)
    if limit is not None or sample is not None:
        places = chosen_positions(len(table), limit, sample)
        table = table.slice(0, places.stop) if isinstance(places, slice) else table.take(places)
    names = table.column_names

    def read(used: Sequence[str]) -> Iterator[Row]:
        wanted = [name for name in used if name in names]
        return _arrow_rows(table.select([names.index(name) for name in wanted]), wanted, len(table))

    return Source(
        read=read,
        items=lambda: _arrow_rows(table, names, len(table)),
        columns=tuple(names),
        repeated=_repeated(names),
        length=len(table),
        carry=lambda kept: {name: table.column(names.index(name)).to_pandas().array for name in kept},
    )


def _arrow_table(data: Any) -> Any:
    """A pyarrow table for a stream of records, or a chunked array for a stream of values."""
    need_module(f"rows of {type(data).__name__} are read with", "pyarrow", "parquet")
    import pyarrow as pa

    if isinstance(data, pa.Array | pa.ChunkedArray):
        return data
    try:
        return pa.table(data)
    except (TypeError, ValueError, pa.ArrowInvalid):
        return pa.chunked_array(data)


def _arrow_rows(table: Any, names: Sequence[str], count: int) -> Iterator[Row]:
    batches = table.to_batches(max_chunksize=PIECE_ROWS)
    pieces = ([column.to_pylist() for column in batch.columns] for batch in batches)
    return _rows(names, _values(pieces), count)


def _values(pieces: Iterable[Sequence[Sequence[Any]]]) -> Iterator[tuple[Any, ...]]:
    """Values of each row, from the columns of each piece of a table."""
    return itertools.chain.from_iterable(zip(*columns, strict=True) for columns in pieces)


def _rows(names: Sequence[str], values: Iterable[tuple[Any, ...]], count: int) -> Iterator[Row]:
    """Rows from their values; `count` empty rows without names."""
    if not names:
        return ({} for _ in range(count))
    return (dict(zip(names, row, strict=True)) for row in values)
