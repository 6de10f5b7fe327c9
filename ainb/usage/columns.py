"""Columns of a usage row: name, dtype in a frame, and storage in SQLite.

Numbers are stored as integers, so that sums in SQL are exact and scans are short: money in
nano-dollars, durations in microseconds, repeated texts as numbers of the ``words`` table.

Source: OpenTelemetry GenAI semantic conventions v1.41 for the names (dots to underscores, prefix dropped).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ainb.errors import ConfigError

Kind = Literal["time", "word", "text", "count", "money", "seconds", "flag"]
NANO = 1_000_000_000
MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the log.

    Attributes:
        name: Name in frames and in the row.
        kind: How it is stored: "time" as microseconds since 1970 UTC, "word" as a number of the words table,
            "text" as it is, "count" as an integer, "money" as integer nano-dollars, "seconds" as integer
            microseconds, "flag" as 0 or 1.
        dtype: Dtype in a frame.
        stored: Name in SQLite; it has the unit where that differs from the frame's.
        content: Whether it holds text of prompt or reply; such columns are read only by name.
    """

    name: str
    kind: Kind
    dtype: str
    stored: str
    content: bool = False


# Suffix in a frame, suffix in SQLite.
_UNITS = {"time": ("_at", "_us"), "money": ("_usd", "_nano"), "seconds": ("_s", "_us")}


def _column(name: str, kind: Kind, dtype: str, *, content: bool = False) -> Column:
    shown, stored = _UNITS.get(kind, ("", ""))
    return Column(name, kind, dtype, name.removesuffix(shown) + stored, content)


_ALL = (
    _column("call_id", "text", "str"),
    _column("started_at", "time", "datetime64[us, UTC]"),
    _column("operation_name", "word", "category"),
    _column("provider_name", "word", "category"),
    _column("request_model", "word", "category"),
    _column("response_model", "word", "category"),
    _column("input_tokens", "count", "Int64"),
    _column("output_tokens", "count", "Int64"),
    _column("cache_read_input_tokens", "count", "Int64"),
    _column("cache_creation_input_tokens", "count", "Int64"),
    _column("reasoning_output_tokens", "count", "Int64"),
    _column("tokens_source", "word", "category"),
    _column("cost_usd", "money", "Float64"),
    _column("cost_source", "word", "category"),
    _column("saved_usd", "money", "Float64"),
    _column("provider_saved_usd", "money", "Float64"),
    _column("duration_s", "seconds", "Float64"),
    _column("queue_wait_s", "seconds", "Float64"),
    _column("time_to_first_chunk_s", "seconds", "Float64"),
    _column("attempts", "count", "Int16"),
    _column("status", "word", "category"),
    _column("error_type", "word", "category"),
    _column("http_status", "count", "Int16"),
    _column("error_message", "text", "str"),
    _column("cache_hit", "flag", "bool"),
    _column("coalesced", "flag", "bool"),
    _column("stale", "flag", "bool"),
    _column("replayed", "flag", "bool"),
    _column("delivery", "word", "category"),
    _column("request_id", "text", "str"),
    _column("finish_reason", "word", "category"),
    _column("notebook", "word", "str"),
    _column("cell_id", "word", "str"),
    _column("session_id", "word", "str"),
    _column("batch_id", "word", "str"),
    _column("rows", "count", "Int64"),
    _column("row_key", "text", "str"),
    _column("user", "word", "str"),
    _column("tags", "word", "str"),
    _column("prompt_sha256", "text", "str"),
    _column("prompt", "text", "str", content=True),
    _column("reply", "text", "str", content=True),
)
COLUMNS: dict[str, Column] = {column.name: column for column in _ALL}
DEFAULT_COLUMNS = tuple(column.name for column in _ALL if not column.content)
# Integers first: a scan that sums need not skip long texts to reach a number.
STORED = tuple(sorted(_ALL, key=lambda column: column.kind == "text"))
LABEL_COLUMNS = (
    "day",
    *(column.name for column in _ALL if column.kind in {"word", "flag"}),
    "http_status",
    "attempts",
    "row_key",
    "prompt_sha256",
)


def check_names(what: str, names: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """The names as a tuple.

    Raises:
        ConfigError: One of them is not known; the message lists those that are.
    """
    wanted, allowed = tuple(names), tuple(known)
    for name in wanted:
        if name not in allowed:
            raise ConfigError(
                f"{what} names no column of the log: {name!r}; columns are: {', '.join(allowed)}"
            )
    return wanted
