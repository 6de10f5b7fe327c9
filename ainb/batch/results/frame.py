"""Results of all rows in compact columns, and the DataFrame made of them."""

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
ANY = "any"
_BEYOND_FLOAT = 2**1023
_KINDS: dict[str, set[type]] = {"string": {str}, "boolean": {bool}, "Int64": {int}, "Float64": {int, float}}


class Results:
    """Results by row position in typed arrays: about 60 bytes a row beyond the reply itself.

    Args:
        fields: Schema fields and the dtype of their column, in order; None means that every field of a result
            gets a column, of the type that its values have in common.
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

    def __len__(self) -> int:
        return len(self._status)

    def put(self, position: int, result: RowResult) -> None:
        """Store the result of the row at `position`; rows in between are cancelled until they are put."""
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
            rows: Rows there are at least, where no index says so.

        Returns:
            Frame of shape (n_rows, 10 + n_fields): one typed column a schema field, `status` category,
            `reply` string, `error_type` category, `error_message` string, `attempts` Int16, `cached` bool,
            `cost_usd` Float64 (NA when unknown), `input_tokens` and `output_tokens` Int64, `duration_s`
            Float64 (seconds).
        """
        import pandas as pd

        self._reach(rows if index is None else len(index))
        count = len(self)
        errors = [self._errors.get(row, (None, None)) for row in range(count)] if self._errors else None
        replies: Any = self._reply
        columns = {
            column_name(name): typed_column(self._values[name], dtype) for name, dtype in self.fields.items()
        }
        typed = list(columns)
        columns["status"] = pd.Categorical.from_codes(
            _numbers(self._status, "int8"), categories=pd.Index(STATUSES)
        )
        columns["reply"] = _reply_column(replies)
        columns["error_type"] = _labels([pair[0] for pair in errors] if errors else [None] * count)
        columns["error_message"] = _texts([pair[1] for pair in errors] if errors else [None] * count)
        columns["attempts"] = pd.array(_numbers(self._attempts, "int16"), dtype="Int16")
        columns["cached"] = _numbers(self._cached, "bool")
        columns["cost_usd"] = _masked(self._numbers["cost_nano_usd"]).astype("Float64") / 1e9
        columns["input_tokens"] = _masked(self._numbers["input_tokens"])
        columns["output_tokens"] = _masked(self._numbers["output_tokens"])
        columns["duration_s"] = pd.array(_numbers(self._duration, "float64"), dtype="Float64")
        frame = pd.DataFrame(columns, index=index)
        frame.attrs[TYPED] = typed
        return frame

    def _add_fields(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.fields:
                self.fields[name] = ANY
                self._values[name] = [None] * len(self._status)

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
        values: Values that `check_fields` let through; None where missing.
        dtype: "string", "Int64", "Float64", "boolean", "category", "json" (text of the value), or "any" (the
            type that the values have in common).
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
    """Values of a function, as the nullable type that all of them have, or as they are."""
    import pandas as pd

    plain = [plain_scalar(value) for value in values]
    kinds = {type(value) for value in plain if value is not None}
    for dtype, known in _KINDS.items():
        if kinds and kinds <= known:
            return typed_column([value if _fits(value, dtype) else None for value in plain], dtype)
    return pd.Series(plain, dtype=object).infer_objects().array


def _fits(value: Any, dtype: str) -> bool:
    """Whether the column can hold a number; where it cannot, the number is unknown there."""
    if isinstance(value, int) and dtype == "Float64":
        return -_BEYOND_FLOAT < value < _BEYOND_FLOAT
    return dtype != "Int64" or value is None or value in INT64


def _reply_column(values: list[Any]) -> Any:
    """Replies as texts; as they are where a function returned something else."""
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
    """Texts as categories; of the same dtype also without values, so that parts of a table can be joined."""
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
