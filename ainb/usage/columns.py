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
            "text" unchanged, "count" as an integer, "money" as integer nano-dollars, "seconds" as integer
            microseconds, "flag" as 0 or 1.
        dtype: Dtype in a frame.
        stored: Name in SQLite; it ends in the unit if that differs from the frame's.
        meaning: Description in one line.
        content: Whether it contains text of prompt or reply; such columns are read only by name.
    """

    name: str
    kind: Kind
    dtype: str
    stored: str
    meaning: str
    content: bool = False


# By kind: usual dtype, suffix in a frame, suffix in SQLite.
_KINDS: dict[Kind, tuple[str, str, str]] = {
    "time": ("datetime64[us, UTC]", "_at", "_us"),
    "word": ("category", "", ""),
    "text": ("str", "", ""),
    "count": ("Int64", "", ""),
    "money": ("Float64", "_usd", "_nano"),
    "seconds": ("Float64", "_s", "_us"),
    "flag": ("bool", "", ""),
}


def _column(
    name: str, kind: Kind, meaning: str, *, dtype: str | None = None, content: bool = False
) -> Column:
    usual, shown, stored = _KINDS[kind]
    return Column(name, kind, dtype or usual, name.removesuffix(shown) + stored, meaning, content)


_ALL = (
    _column("call_id", "text", "unique id of the call; ids sort by time"),
    _column("started_at", "time", "when the call was submitted"),
    _column("operation_name", "word", '"chat", or the name given to `monitored` or `record`'),
    _column("provider_name", "word", "service of the request, as in provider:model"),
    _column("request_model", "word", "model named in the request"),
    _column("response_model", "word", "model that answered, in the provider's spelling"),
    _column("input_tokens", "count", "tokens of the prompt, those read from the provider's cache included"),
    _column("output_tokens", "count", "tokens of the reply, those of its reasoning included"),
    _column(
        "cache_read_input_tokens", "count", "part of the input that the provider read from its own cache"
    ),
    _column(
        "cache_creation_input_tokens", "count", "part of the input that the provider wrote to its own cache"
    ),
    _column("reasoning_output_tokens", "count", "part of the output that was reasoning"),
    _column("tokens_source", "word", "source of the token counts: provider, estimate, unknown"),
    _column("cost_usd", "money", "cost in USD; 0 for cache hits and free models, NA where no price is known"),
    _column("cost_source", "word", "where the price comes from: table, provider, free, unpriced"),
    _column("saved_usd", "money", "what a cache hit would have cost in USD"),
    _column(
        "provider_saved_usd",
        "money",
        "what reads from the provider's cache saved in USD, less the extra price of writes to it",
    ),
    _column("duration_s", "seconds", "seconds from submission to the end, waits included"),
    _column("queue_wait_s", "seconds", "seconds spent waiting for the rate limit"),
    _column("time_to_first_chunk_s", "seconds", "seconds until the first streamed piece of the reply"),
    _column(
        "attempts",
        "count",
        "requests sent to the provider; 0 for cache hits and rejected calls",
        dtype="Int16",
    ),
    _column("status", "word", "ok, error (sent and failed), rejected (not sent), cancelled"),
    _column("error_type", "word", "class of the error"),
    _column("http_status", "count", "HTTP status of the last attempt that failed", dtype="Int16"),
    _column("error_message", "text", "message of the error, redacted"),
    _column("cache_hit", "flag", "whether ainb's cache answered"),
    _column("coalesced", "flag", "whether an identical call in flight answered"),
    _column("stale", "flag", "whether an expired answer was used because the circuit was open"),
    _column("replayed", "flag", "whether a cassette answered"),
    _column("delivery", "word", "live, or batch for a provider's batch API"),
    _column("request_id", "text", "the provider's id of the request"),
    _column("finish_reason", "word", "why the reply ended: stop, length, or the provider's own word"),
    _column("notebook", "word", "name of the notebook or path of the script", dtype="str"),
    _column("cell_id", "word", "id of the cell, as the front end gives it", dtype="str"),
    _column("session_id", "word", "id of the session", dtype="str"),
    _column("batch_id", "word", "run of a batch that the call belongs to", dtype="str"),
    _column("rows", "count", "table rows that the call answers; NA for calls outside a table"),
    _column("row_key", "text", "digest of the table row that the call answers"),
    _column("user", "word", "user that the call was made for", dtype="str"),
    _column("tags", "word", "labels of the call, as JSON", dtype="str"),
    _column("prompt_sha256", "text", "SHA-256 of the messages"),
    _column(
        "prompt", "text", "the prompt, redacted; only with `log_content`, and read only by name", content=True
    ),
    _column(
        "reply", "text", "the reply, redacted; only with `log_content`, and read only by name", content=True
    ),
)
COLUMNS: dict[str, Column] = {column.name: column for column in _ALL}
DEFAULT_COLUMNS = tuple(column.name for column in _ALL if not column.content)
# Integers first: a scan that sums numbers need not skip long texts.
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
    """Check names of columns and return them as a tuple.

    Raises:
        ConfigError: A name is unknown; the message lists the known ones.
    """
    wanted, allowed = tuple(names), tuple(known)
    for name in wanted:
        if name not in allowed:
            raise ConfigError(
                f"{what} names no column of the log: {name!r}; columns are: {', '.join(allowed)}"
            )
    return wanted
