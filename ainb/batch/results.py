"""Results of all rows in compact columns, and the DataFrame made of them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from ainb.batch.row_result import STATUSES, RowResult

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "reply", "status", "error_type", "error_message", "attempts", "cached",
    "cost_usd", "input_tokens", "output_tokens", "duration_s",
)  # fmt: skip
_UNKNOWN = -1


class Results:
    """Results by row position in typed arrays: about 60 bytes a row beyond the reply itself.

    Args:
        fields: Schema fields and the dtype of their column, in order.
    """

    def __init__(self, fields: Mapping[str, str] | None = None) -> None:
        self.fields = dict(fields or {})
        self._status = bytearray()
        self._reply: list[str | None] = []
        self._values: dict[str, list[Any]] = {name: [] for name in self.fields}
        self._cached = bytearray()
        self._attempts = array("h")
        self._numbers = {name: array("q") for name in ("cost_nano_usd", "input_tokens", "output_tokens")}
        self._duration = array("d")
        self._errors: dict[int, tuple[str | None, str | None]] = {}

    def __len__(self) -> int:
        return len(self._status)

    def put(self, position: int, result: RowResult) -> None:
        """Store the result of the row at `position`; rows in between are cancelled until they are put."""
        self._reach(position + 1)
        self._status[position] = STATUSES.index(result.status)
        self._reply[position] = result.reply
        self._cached[position] = result.cached
        self._attempts[position] = min(result.attempts, 32_767)
        for name, column in self._numbers.items():
            value = getattr(result, name)
            column[position] = _UNKNOWN if value is None else value
        self._duration[position] = math.nan if result.duration_s is None else result.duration_s
        for name, values in self._values.items():
            values[position] = None if result.fields is None else result.fields.get(name)
        if result.error_type is not None:
            self._errors[position] = (result.error_type, result.error_message)

    def frame(self, index: pd.Index | None = None, *, rows: int = 0) -> pd.DataFrame:
        """The rows as a DataFrame.

        Args:
            index: Index of the result; None means a RangeIndex. Rows that were never put are "cancelled".
            rows: Rows there are at least, where no index says so.

        Returns:
            Frame of shape (n_rows, 10 + n_fields): `reply` string, one typed column a schema field, `status`
            category, `error_type` category, `error_message` string, `attempts` Int16, `cached` bool,
            `cost_usd` Float64 (NA when unknown), `input_tokens` and `output_tokens` Int64, `duration_s`
            Float64 (seconds).
        """
        import pandas as pd

        self._reach(rows if index is None else len(index))
        count = len(self)
        errors = [self._errors.get(row, (None, None)) for row in range(count)] if self._errors else None
        replies: Any = self._reply
        columns: dict[str, Any] = {"reply": pd.array(replies, dtype="string")}
        for name, dtype in self.fields.items():
            columns[column_name(name)] = typed_column(self._values[name], dtype)
        columns["status"] = pd.Categorical.from_codes(
            _numbers(self._status, "int8"), categories=pd.Index(STATUSES)
        )
        columns["error_type"] = _labels([pair[0] for pair in errors] if errors else [None] * count)
        columns["error_message"] = pd.array(
            [pair[1] for pair in errors] if errors else [None] * count, dtype="string"
        )
        columns["attempts"] = pd.array(_numbers(self._attempts, "int16"), dtype="Int16")
        columns["cached"] = _numbers(self._cached, "bool")
        columns["cost_usd"] = _masked(self._numbers["cost_nano_usd"]).astype("Float64") / 1e9
        columns["input_tokens"] = _masked(self._numbers["input_tokens"])
        columns["output_tokens"] = _masked(self._numbers["output_tokens"])
        columns["duration_s"] = pd.array(_numbers(self._duration, "float64"), dtype="Float64")
        return pd.DataFrame(columns, index=index)

    def _reach(self, length: int) -> None:
        more = length - len(self._status)
        if more <= 0:
            return
        self._status.extend(bytes([STATUSES.index("cancelled")]) * more)
        self._reply.extend([None] * more)
        self._cached.extend(bytes(more))
        self._attempts.extend([0] * more)
        self._duration.extend([math.nan] * more)
        for column in self._numbers.values():
            column.extend([_UNKNOWN] * more)
        for values in self._values.values():
            values.extend([None] * more)


def column_name(field: str) -> str:
    """A schema field's column; one that is named like a column of ours gets the suffix ``_reply``."""
    return f"{field}_reply" if field in COLUMNS else field


def typed_column(values: Sequence[Any], dtype: str) -> Any:
    """Column of schema values.

    Args:
        values: JSON values; None where missing.
        dtype: "string", "Int64", "Float64", "boolean", "category", or "json" (text of the value).
    """
    import pandas as pd

    if dtype == "category":
        return _labels(values)
    if dtype == "json":
        return pd.array(
            [None if value is None else orjson.dumps(value).decode() for value in values], dtype="string"
        )
    readable: Any = _readable(values, dtype)
    return pd.array(readable, dtype=dtype)


def _labels(values: Sequence[Any]) -> Any:
    """Texts as categories; of the same dtype also without values, so that parts of a table can be joined."""
    import pandas as pd

    found = sorted({value for value in values if isinstance(value, str)})
    return pd.Categorical(values, categories=pd.Index(found, dtype=pd.Index(STATUSES).dtype))


def _readable(values: Iterable[Any], dtype: str) -> list[Any]:
    """Values of the column's type; others, of optional and union fields, become NA or text."""
    kinds = {"string": (str,), "Int64": (int,), "Float64": (int, float), "boolean": (bool,)}[dtype]
    if dtype == "string":
        return [
            value if value is None or isinstance(value, str) else orjson.dumps(value).decode()
            for value in values
        ]
    return [value if isinstance(value, kinds) else None for value in values]


def _numbers(values: Any, dtype: str) -> Any:
    import numpy as np

    return np.frombuffer(values, dtype=dtype).copy() if len(values) else np.empty(0, dtype=dtype)


def _masked(values: array[int]) -> Any:
    import pandas as pd

    numbers = _numbers(values, "int64")
    return pd.arrays.IntegerArray(numbers, numbers == _UNKNOWN)
