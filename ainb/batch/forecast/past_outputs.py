"""Mean output of past batches by template, schema and model: a small file in the home."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from ainb.batch.input.calls import TemplateCalls
from ainb.model_rules import asked_effort
from ainb.stores.small_file import read_small, write_small

FILE_NAME: Final = "outputs.json"
VERSION: Final = 1
MAX_RECORDS: Final = 500
FEWEST_ROWS: Final = 3
# Largest weight of past rows in the mean, so that new rows still change it.
MOST_ROWS: Final = 1_000


class Past(NamedTuple):
    """Past replies.

    Attributes:
        rows: Number of replies.
        output_tokens: Mean output tokens, thinking included.
    """

    rows: int
    output_tokens: float


class PastOutputs:
    """Output tokens of replies in earlier batches; an error of the file never fails a batch.

    Args:
        home: Folder of the session's files; None stores nothing.
    """

    def __init__(self, home: Path | None) -> None:
        self._path = None if home is None else home / FILE_NAME

    def mean(self, calls: TemplateCalls) -> float | None:
        """Mean output tokens of the same template, else the same schema; None with fewer than 3 replies."""
        known = self._read()
        for key in keys_of(calls):
            past = known.get(key)
            if past is not None and past.rows >= FEWEST_ROWS:
                return past.output_tokens
        return None

    def add(self, calls: TemplateCalls, *, rows: int, output_tokens: int) -> None:
        """Add the replies of a batch: their number and the sum of their output tokens."""
        if self._path is None or not rows:
            return
        known = self._read()
        for key in keys_of(calls):
            past = known.pop(key, Past(0, 0.0))
            before = min(past.rows, MOST_ROWS)
            mean = (past.output_tokens * before + output_tokens) / (before + rows)
            known[key] = Past(before + rows, round(mean, 2))
        newest = dict(list(known.items())[-MAX_RECORDS:])
        write_small(self._path, "outputs", VERSION, {key: list(past) for key, past in newest.items()})

    def _read(self) -> dict[str, Past]:
        if self._path is None:
            return {}
        outputs = read_small(self._path, "outputs", VERSION)
        found = outputs.items() if isinstance(outputs, dict) else ()
        return {key: Past(*value) for key, value in found if _is_past(value)}


def _is_past(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != len(Past._fields):
        return False
    rows, mean = value
    return (
        type(rows) is int and rows > 0 and isinstance(mean, int | float) and math.isfinite(mean) and mean >= 0
    )


def keys_of(calls: TemplateCalls) -> list[str]:
    """Keys of a template and of its schema, if there is one, the most specific first."""
    request = calls.request
    place = [request.provider, request.model, asked_effort(request.parameters), _limits(request.parameters)]
    schema = None if request.schema is None else dict(request.schema.json_schema)
    system = [message.text for message in request.messages[:-1]]
    exact = [*place, schema, system, calls.template.text]
    return [_digest(exact)] if schema is None else [_digest(exact), _digest([*place, schema])]


def _limits(parameters: Mapping[str, Any]) -> list[Any]:
    return [parameters.get(name) for name in ("max_tokens", "max_completion_tokens")]


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]
