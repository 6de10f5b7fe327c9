"""JSON log lines: one per call, on the logger ``ainb``."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ainb.redaction import redact
from ainb.usage.rows import Row

LOGGER = logging.getLogger("ainb")
_CONTENT = frozenset({"prompt", "reply"})


def log_row(row: Row) -> None:
    """Log a row as one line of JSON, at level INFO for ok and cancelled calls, else ERROR.

    Nothing is logged unless the logger ``ainb`` has a level of its own. ``logging.basicConfig`` alone does
    not enable it, since a line per call would fill the outputs of notebooks.
    """
    level = logging.ERROR if row.status in {"error", "rejected"} else logging.INFO
    if LOGGER.level != logging.NOTSET and LOGGER.isEnabledFor(level):
        LOGGER.log(level, "%s", json_line(row))


def json_line(row: Row) -> str:
    """A row as redacted JSON, without prompt, reply and unknown values; times in ISO 8601."""
    known = {
        name: value
        for name, value in zip(Row._fields, row, strict=True)
        if value is not None and name not in _CONTENT
    }
    return redact(_pack(known))


def _pack(known: Mapping[str, Any]) -> str:
    import orjson

    try:
        line: bytes = orjson.dumps(known, default=_plain)
    except (TypeError, ValueError):  # an integer of more than 64 bits
        return json.dumps(known, default=_plain)
    return line.decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, dt.datetime) else repr(value)
