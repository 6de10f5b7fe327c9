"""One JSON line a call on the logger ``ainb``, for those who collect logs rather than frames."""

from __future__ import annotations

import datetime as dt
import logging
from decimal import Decimal
from typing import Any

from ainb.redaction import redact
from ainb.usage.rows import Row

LOGGER = logging.getLogger("ainb")
_CONTENT = frozenset({"prompt", "reply"})


def log_row(row: Row) -> None:
    """Log the row as one line of JSON, redacted, unknown fields left out; ok and cancelled as INFO, the rest as ERROR."""
    level = logging.ERROR if row.status in {"error", "rejected"} else logging.INFO
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, "%s", json_line(row))


def json_line(row: Row) -> str:
    """The row as one line of JSON without prompt and reply; money and durations as numbers, the time in ISO 8601."""
    import orjson

    known = {
        name: value
        for name, value in zip(Row._fields, row, strict=True)
        if value is not None and name not in _CONTENT
    }
    line: bytes = orjson.dumps(known, default=_plain)
    return redact(line.decode())


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, dt.datetime) else repr(value)
