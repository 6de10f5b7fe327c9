"""Results of all rows in compact columns, and their DataFrame."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ainb.batch.input.cells import INT64, json_text
from ainb.batch.results.display_form import TYPED
from ainb.batch.results.row_result import STATUSES, RowResult
from ainb.plain import join_surrogates, plain_scalar

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "status", "reply", "error_type", "error_message", "attempts", "cached",
    "cost_usd", "input_tokens", "output_tokens", "duration_s",
)  # fmt: skip
_UNKNOWN = -1
BLOCK_ROWS = 256
ANY = "any"
_BEYOND_FLOAT = 2**1023
_KINDS: dict[str, set[type]] = {"string": {str}, "boolean": {bool}, "Int64": {int}, "Float64": {int, float}}


class Results:
    """Results by row position in typed arrays: about 60 bytes per row without the reply.

    Args:
        fields: Schema fields and the dtype of their column, in order; None gives every field of a result a
            column with the common type of its values.
    """

    def __init__(self, fields: Mapping[str, str] | None) -> None:
        self.fields = dict(fields or {})
        self._is_open = fields is None
        self._status = bytearray()
        self._reply: list[Any] = []
        self._values: dict[str, list[Any]] = {name: [] for name in self.fields}
        self._cached = bytearray()
        self._attempts = array("h")
        self._numbers = {name: array("q") for name in ("cost_nano_usd", "input_tokens", "output_tokens")}
        self._duration = array("d")
        self._errors: dict[int, tuple[str | None, str | None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, position: int, result: RowResult) -> None:
        """Store the result of the row at `position`; rows before it count as cancelled until they are put."""
        self._reach(position + 1)
        self._status[position] = STATUSES.index(result.status)
        self._reply[position] = result.reply if result.value is None else result.value
        self._cached[position] = result.cached
        self._attempts[position] = min(result.attempts, 32_767)
        for name, column in self._numbers.items():
            value = getattr(result, name)
            column[position] = _UNKNOWN if value is None else value
        self._duration[position] = math.nan if result.duration_s is None else result.duration_s
        if self._is_open:
            self._add_fields(result.fields or ())
        for name, values in self._values.items():
            values[position] = None if result.fields is None else result.fields.get(name)
        if result.error_type is not None:
            self._errors[position] = (result.error_type, result.error_message)

    def frame(self, index: pd.Index | None = None, *, rows: int = 0) -> pd.DataFrame:
        """The rows as a DataFrame.

        Args:
            index: Index of the result; None means a RangeIndex. Rows that were never put are "cancelled".
            rows: Minimum number of rows without an index.

        Returns:
            Frame of shape (n_rows, 10 + n_fields): one typed column per schema field, `status` category,
            `reply` string, `error_type` category, `error_message` string, `attempts` Int16, `cached` bool,
            `cost_usd` Float64 (NA when unknown), `input_tokens` and `output_tokens` Int64, `duration_s`
            Float64 (seconds).
        """
        import pandas as pd

        self._reach(rows if index is None else len(index))
        count = len(self)  # columns may be longer: they grow in blocks
        errors = [self._errors.get(row, (None, None)) for row in range(count)] if self._errors else None
        replies: Any = self._reply[:count]
        columns = {
            column_name(name): typed_column(self._values[name][:count], dtype)
            for name, dtype in self.fields.items()
        }
        typed = list(columns)
        columns["status"] = pd.Categorical.from_codes(
            _numbers(self._status[:count], "int8"), categories=pd.Index(STATUSES)
        )
        columns["reply"] = _reply_column(replies)
        columns["error_type"] = _labels([pair[0] for pair in errors] if errors else [None] * count)
        columns["error_message"] = _texts([pair[1] for pair in errors] if errors else [None] * count)
        columns["attempts"] = pd.array(_numbers(self._attempts[:count], "int16"), dtype="Int16")
        columns["cached"] = _numbers(self._cached[:count], "bool")
        numbers = {name: column[:count] for name, column in self._numbers.items()}
        columns["cost_usd"] = _masked(numbers["cost_nano_usd"]).astype("Float64") / 1e9
        columns["input_tokens"] = _masked(numbers["input_tokens"])
        columns["output_tokens"] = _masked(numbers["output_tokens"])
        columns["duration_s"] = pd.array(_numbers(self._duration[:count], "float64"), dtype="Float64")
        frame = pd.DataFrame(columns, index=index)
        frame.attrs[TYPED] = typed
        return frame

    def _add_fields(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.fields:
                self.fields[name] = ANY
                self._values[name] = [None] * len(self._status)

    def _reach(self, length: int) -> None:
        self._count = max(self._count, length)
        more = length - len(self._status)
        if more <= 0:
            return
        # Nine columns that each grow by one row take as long as all the rest of `put`.
        more = max(more, BLOCK_ROWS)
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
    """Column name of a schema field; a name that ainb's own columns use gets the suffix ``_reply``."""
    return f"{field}_reply" if field in COLUMNS else field


def typed_column(values: Sequence[Any], dtype: str) -> Any:
    """Column of schema values.

    Args:
        values: Values from `check_fields`; None for missing ones.
        dtype: "string", "Int64", "Float64", "boolean", "category", "json" (text of the value), or "any" (the
            common type of the values).
    """
    import pandas as pd

    if dtype == ANY:
        return _common_column(values)
    if dtype == "category":
        return _labels(values)
    if dtype == "json":
        return _texts([None if value is None else json_text(value) for value in values])
    cells: Any = list(values)
    return _texts(cells) if dtype == "string" else pd.array(cells, dtype=dtype)


def _common_column(values: Sequence[Any]) -> Any:
    """Values of a function, as their common nullable type, or unchanged."""
    import pandas as pd

    plain = [plain_scalar(value) for value in values]
    kinds = {type(value) for value in plain if value is not None}
    for dtype, known in _KINDS.items():
        if kinds and kinds <= known:
            return typed_column([value if _fits(value, dtype) else None for value in plain], dtype)
    return pd.Series(plain, dtype=object).infer_objects().array


def _fits(value: Any, dtype: str) -> bool:
    """Whether the column can hold a number; otherwise the number is unknown in the frame."""
    if isinstance(value, int) and dtype == "Float64":
        return -_BEYOND_FLOAT < value < _BEYOND_FLOAT
    return dtype != "Int64" or value is None or value in INT64


def _reply_column(values: list[Any]) -> Any:
    """Replies as strings; objects that a function returned stay unchanged."""
    import numpy as np

    if all(value is None or isinstance(value, str) for value in values):
        return _texts(values)
    column = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):  # an array must not be spread over several rows
        column[place] = value
    return column


def _texts(values: Sequence[str | None]) -> Any:
    import pandas as pd

    readable: Any = values
    try:
        return pd.array(readable, dtype="string")
    except UnicodeEncodeError:  # half of a surrogate pair, which Arrow cannot hold
        readable = [value if value is None else join_surrogates(value) for value in values]
        return pd.array(readable, dtype="string")


def _labels(values: Sequence[Any]) -> Any:
    """Strings as categories; with the same dtype also without values, so that parts can be concatenated."""
    import pandas as pd

    found = sorted({value for value in values if isinstance(value, str)})
    return pd.Categorical(values, categories=pd.Index(found, dtype=pd.Index(STATUSES).dtype))


def _numbers(values: Any, dtype: str) -> Any:
    import numpy as np

    return np.frombuffer(values, dtype=dtype).copy() if len(values) else np.empty(0, dtype=dtype)


def _masked(values: array[int]) -> Any:
    import pandas as pd

    numbers = _numbers(values, "int64")
    return pd.arrays.IntegerArray(numbers, numbers == _UNKNOWN)
