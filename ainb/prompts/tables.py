"""DataFrames and Series as text for a model: a schema and the first rows as CSV.

The text is the same with every pandas: pandas formats no value here, and is never imported, only recognised.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from typing import Any

from ainb.plain import is_missing

FIRST_ROWS = 20
LOOKED_AT = 1000
_KINDS = {
    "b": "boolean", "i": "integer", "u": "integer", "f": "number", "c": "complex number", "M": "time",
    "m": "duration",
}  # fmt: skip
_WORDS: tuple[tuple[type, str], ...] = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "text"))


def table_text(value: Any) -> str | None:
    """Schema and first rows of a DataFrame or a Series; None for any other object."""
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return None
    if isinstance(value, pandas.DataFrame):
        columns = [
            (_label(label, "column"), value.iloc[:, place]) for place, label in enumerate(value.columns)
        ]
        head = f"DataFrame, {_count(len(value), 'row')}, {_count(len(columns), 'column')}"
        return _text(head, "columns", _index_columns(value.index, pandas) + columns, len(value))
    if isinstance(value, pandas.Series):
        columns = [*_index_columns(value.index, pandas), (_label(value.name, "value"), value)]
        return _text(f"Series, {_count(len(value), 'value')}", "columns", columns, len(value))
    return None


def _text(head: str, word: str, columns: Sequence[tuple[str, Any]], length: int) -> str:
    schema = ", ".join(f"{name} ({kind_of(values)})" for name, values in columns)
    shown = min(length, FIRST_ROWS)
    which = "all rows" if shown == length else f"first {_count(shown, 'row')}"
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(name for name, _ in columns)
    writer.writerows(zip(*(_cells(values) for _, values in columns), strict=True))
    return f"{head}\n{word}: {schema}\n{which} as CSV:\n{out.getvalue()}".rstrip("\n")


def _index_columns(index: Any, pandas: Any) -> list[tuple[str, Any]]:
    """The index as columns, unless it only counts rows from 0."""
    if isinstance(index, pandas.RangeIndex) and index.start == 0 and index.step == 1 and index.name is None:
        return []
    return [
        (_label(index.get_level_values(level).name, "index"), index.get_level_values(level))
        for level in range(index.nlevels)
    ]


def kind_of(values: Any) -> str:
    """Type of a column, in words that do not depend on the pandas version.

    Returns:
        "integer", "number", "complex number", "text", "boolean", "time", "duration", "category", "mixed" or
        "empty"; for objects of one class its name.
    """
    dtype = values.dtype
    if type(dtype).__name__ == "CategoricalDtype":
        return "category"
    kind = _KINDS.get(getattr(dtype, "kind", "O"))
    if kind is not None:
        return kind
    return _kind_of_objects([_plain(item) for item in _first(values, LOOKED_AT) if not is_missing(item)])


def _kind_of_objects(values: list[Any]) -> str:
    if not values:
        return "empty"
    words = {
        next((word for kind, word in _WORDS if isinstance(value, kind)), type(value).__name__)
        for value in values
    }
    return words.pop() if len(words) == 1 else "mixed"


def _cells(values: Any) -> list[str]:
    first = _first(values, FIRST_ROWS)
    if getattr(first.dtype, "name", "") in {"float16", "float32"}:
        # The shortest text of the float32 itself; as a float64, 0.1 would read 0.10000000149011612.
        numbers = first.to_numpy()
        return ["" if item != item else str(item) for item in numbers]  # noqa: PLR0124 - NaN is not itself
    return [_cell(item) for item in first]


def _first(values: Any, count: int) -> Any:
    """The first values of a Series or an Index; a plain slice of a Series would use labels."""
    return values.iloc[:count] if hasattr(values, "iloc") else values[:count]


def _plain(value: Any) -> Any:
    """Convert a numpy scalar to a Python value."""
    return value.item() if hasattr(value, "dtype") and hasattr(value, "item") else value


def _cell(value: Any) -> str:
    if is_missing(value):
        return ""
    if hasattr(value, "isoformat") and hasattr(value, "year"):
        return str(value.isoformat())
    return str(value)


def _label(label: Any, unnamed: str) -> str:
    if isinstance(label, tuple):
        return " / ".join(str(part) for part in label)
    return unnamed if label is None else str(label)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
