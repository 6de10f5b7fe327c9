"""Fetches the columns of a query as arrays, a few hundred rows at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

# Below the 700 new objects that start a garbage collection: with 20,000 rows alive at once, collections took
# half of the time.
FETCH_ROWS = 500
# pandas 3 names its text dtype "str"; in earlier versions "str" means object.
TEXT_DTYPE: Any = "str" if int(pd.__version__.split(".", maxsplit=1)[0]) >= 3 else "string"  # noqa: PLR2004 - the version


def fetch_columns(cursor: sqlite3.Cursor, dtypes: Sequence[Any]) -> list[Any]:
    """All rows of a query, column by column.

    Args:
        cursor: The query.
        dtypes: A numpy dtype for each column, or TEXT_DTYPE.

    Returns:
        A numpy array for each column, for TEXT_DTYPE a pandas array of that dtype.

    Raises:
        TypeError, ValueError, ArithmeticError: A value is not of that dtype.
    """
    columns = [_TextColumn() if dtype is TEXT_DTYPE else _Column(dtype) for dtype in dtypes]
    while rows := cursor.fetchmany(FETCH_ROWS):
        for column, values in zip(columns, zip(*rows, strict=True), strict=True):
            column.add(values)
    return [column.array() for column in columns]


class _Column:
    """A column of numbers or objects."""

    def __init__(self, dtype: Any) -> None:
        self._dtype = dtype
        self._pieces = [np.empty(0, dtype)]

    def add(self, values: Sequence[Any]) -> None:
        self._pieces.append(np.array(values, dtype=self._dtype))

    def array(self) -> Any:
        return np.concatenate(self._pieces)


class _TextColumn:
    """A column of texts; if pandas stores texts in Arrow, each piece is converted when it is added."""

    def __init__(self) -> None:
        self._in_arrow = getattr(pd.api.types.pandas_dtype(TEXT_DTYPE), "storage", None) == "pyarrow"
        self._values: list[Any] = []
        self._pieces: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        if not self._in_arrow:
            self._values += values
            return
        import pyarrow as pa

        self._pieces.append(pa.array(values, type=pa.large_string()))

    def array(self) -> Any:
        if not self._pieces:
            return pd.array(np.array(self._values, dtype=object), dtype=TEXT_DTYPE)
        import pyarrow as pa

        return pd.array(pa.concat_arrays(self._pieces), dtype=TEXT_DTYPE)
