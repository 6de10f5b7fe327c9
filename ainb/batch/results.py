"""What became of each row, kept in compact columns, and the DataFrame made of them."""

from __future__ import annotations

import dataclasses
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import orjson

from ainb.errors import AinbError
from ainb.redaction.filter import redact

if TYPE_CHECKING:
    import pandas as pd

    from ainb.messages import Reply

Status = Literal["ok", "error", "rejected", "cancelled"]
STATUSES: tuple[Status, ...] = ("ok", "error", "rejected", "cancelled")
COLUMNS = (
    "reply", "status", "error_type", "error_message", "attempts", "cached",
    "cost_usd", "input_tokens", "output_tokens", "duration_s",
)  # fmt: skip
NANO = Decimal(1_000_000_000)
_UNKNOWN = -1


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of one row.

    Attributes:
        status: ok, error (it was sent and failed), rejected (nothing was sent), cancelled.
        reply: The text that came; None when none did. An InvalidReplyError row keeps its raw text here.
        fields: Checked values by schema field; None without a schema or without a valid reply.
        error_type: Class name of the error, or None.
        error_message: Its text, redacted, or None.
        attempts: Provider calls made.
        cached: Whether the answer came from the cache or from another's identical call.
        cost_nano_usd: What it cost in 1e-9 USD; None when unknown.
        input_tokens: None when unknown.
        output_tokens: None when unknown.
        duration_s: Seconds from submit to end; None when it was not sent.
        http_status: Of the error; None when there was none.
    """

    status: Status
    reply: str | None = None
    fields: dict[str, Any] | None = None
    error_type: str | None = None
    error_message: str | None = None
    attempts: int = 0
    cached: bool = False
    cost_nano_usd: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    duration_s: float | None = None
    http_status: int | None = None

    def to_json(self) -> str:
        """The outcome as the journal keeps it."""
        return orjson.dumps([getattr(self, name) for name in _NAMES], default=str).decode()

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Read what `to_json` wrote.

        Raises:
            ValueError: The text is something else.
        """
        values = orjson.loads(text)
        # One without its last value was written before there was an http_status.
        lengths = {len(_NAMES) - 1, len(_NAMES)}
        if not isinstance(values, list) or len(values) not in lengths or values[0] not in STATUSES:
            raise ValueError("it is no outcome of a row")
        return cls(**dict(zip(_NAMES, values, strict=False)))


_NAMES = tuple(item.name for item in dataclasses.fields(Outcome))


def nano(usd: Decimal | None) -> int | None:
    """Money as a whole number of 1e-9 USD, so that sums are exact."""
    return None if usd is None else int((usd * NANO).to_integral_value())


def answered(reply: Reply, fields: dict[str, Any] | None = None) -> Outcome:
    """The outcome of a row that was answered."""
    return Outcome(
        status="ok",
        reply=reply.text,
        fields=fields,
        attempts=reply.attempts,
        cached=reply.cached,
        cost_nano_usd=nano(reply.cost_usd),
        input_tokens=reply.usage.input_tokens,
        output_tokens=reply.usage.output_tokens,
        duration_s=reply.duration_s,
    )


def failed(
    error: BaseException, *, status: Status, attempts: int = 0, duration_s: float | None = None
) -> Outcome:
    """The outcome of a row that was not answered."""
    message = str(error) if isinstance(error, AinbError) else f"{error}" or type(error).__name__
    return Outcome(
        status=status,
        reply=getattr(error, "text", None),
        error_type=type(error).__name__,
        error_message=redact(" ".join(message.split())),
        attempts=attempts,
        duration_s=duration_s,
        http_status=getattr(error, "status_code", None),
    )


class Results:
    """Outcomes by row position in typed arrays: about 60 bytes a row beyond the reply itself.

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

    def put(self, position: int, outcome: Outcome) -> None:
        """Keep the outcome of the row at `position`; rows in between count as cancelled until they are put."""
        self._reach(position + 1)
        self._status[position] = STATUSES.index(outcome.status)
        self._reply[position] = outcome.reply
        self._cached[position] = outcome.cached
        self._attempts[position] = min(outcome.attempts, 32_767)
        for name, column in self._numbers.items():
            value = getattr(outcome, name)
            column[position] = _UNKNOWN if value is None else value
        self._duration[position] = math.nan if outcome.duration_s is None else outcome.duration_s
        for name, values in self._values.items():
            values[position] = None if outcome.fields is None else outcome.fields.get(name)
        if outcome.error_type is not None:
            self._errors[position] = (outcome.error_type, outcome.error_message)

    def first_error(self) -> tuple[int, str | None, str | None] | None:
        """Position, type and message of the first row that failed, or None."""
        if not self._errors:
            return None
        position = min(self._errors)
        return (position, *self._errors[position])

    def frame(self, index: pd.Index | None = None, *, rows: int = 0) -> pd.DataFrame:
        """The rows as a DataFrame.

        Args:
            index: Index of the result; None means a RangeIndex. Rows that were never put are "cancelled".
            rows: Rows there are at least, where no index says so.

        Returns:
            Frame of shape (n_rows, 10 + n_fields): `reply` string, one typed column a schema field, `status` category,
            `error_type` category, `error_message` string, `attempts` Int16, `cached` bool, `cost_usd` Float64 (NA when
            unknown), `input_tokens` and `output_tokens` Int64, `duration_s` Float64 (seconds).
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
    """A column of schema values: "string", "Int64", "Float64", "boolean", "category", or "json" (text of the value)."""
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
    """Texts as categories, of the same type also where there are none, so that parts of a table go together."""
    import pandas as pd

    found = sorted({value for value in values if isinstance(value, str)})
    return pd.Categorical(values, categories=pd.Index(found, dtype=pd.Index(STATUSES).dtype))


def _readable(values: Iterable[Any], dtype: str) -> list[Any]:
    """Optional and union fields may hold another type than the column's; such a value is kept as NA or as text."""
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
