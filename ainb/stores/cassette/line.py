"""Cassette record: one line with a request, its outcome and a checksum, in one canonical form.

A line is a JSON object with its fields in a fixed order and the keys inside the request sorted, so that equal
records are equal bytes and a diff of two cassettes is readable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ainb.errors import ConfigError
from ainb.messages import is_duration

# 2: `body` holds the request as the user made it, in place of the outgoing body (0.2.0).
VERSION = 2
CHECKSUM_DIGITS = 16
MEASURED = "measured"
_CHECKSUM = b',"sha256":"'
_MODEL, _BODY = b'{"model":', b',"body":'
_MARKERS = (b"<<<<<<<", b"=======", b">>>>>>>", b"|||||||")
# Fields that identify a request, in the order of the line; all but the first two are optional.
_REQUEST = ("model", "body", "schema", "replica", "rows_per_call")
_SPENT = frozenset({"usage", "cost_usd", "cost_source", "replies", "provider_saved_usd"})
_REST = ("weights", "reply", "error", "notes", MEASURED)


class LineError(ValueError):
    """A line is not a valid record; the message gives reason and fix, without the line number."""


@dataclass(slots=True, eq=False)
class Line:
    """A record of a cassette, kept as text: most records of a long cassette are never decoded.

    Attributes:
        key: Key of the request; equal bytes mean the same request.
        text: The line as in the file, without its line break; validated.
    """

    key: bytes
    text: bytes
    _fields: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The record without version and checksum.

        `model`, `body` and, if they apply, `schema`, `replica`, `weights`, `reply` or `error`, `notes`,
        `measured`.
        """
        if self._fields is None:
            self._fields = _without_frame(orjson.loads(self.text))
        return self._fields

    @property
    def model(self) -> str:
        """``provider:model``, the first field of the line."""
        return str(orjson.loads(self.text[len(_MODEL) : self.text.index(_BODY)]))

    @property
    def is_reply(self) -> bool:
        """Whether the outcome is a reply, not an error."""
        return "reply" in self.fields

    def same_outcome(self, other: Line) -> bool:
        """Whether two records have the same answer or error, regardless of time, tokens and cost.

        The cost of the same answer varies with the provider's own cache.
        """
        return self.key == other.key and _lasting(self.fields) == _lasting(other.fields)


def request_key(fields: Mapping[str, Any]) -> bytes:
    """Key of a request with these fields; the keys of its body must be sorted, as in a line."""
    return orjson.dumps([fields.get(name) for name in _REQUEST])


def write_line(fields: Mapping[str, Any]) -> Line:
    """Make a record from fields.

    Raises:
        ConfigError: A field cannot be encoded as JSON.
    """
    ordered = {name: fields[name] for name in (*_REQUEST, *_REST) if fields.get(name) is not None}
    ordered["body"] = orjson.loads(orjson.dumps(ordered["body"], option=orjson.OPT_SORT_KEYS))
    try:
        head = orjson.dumps({**ordered, "version": VERSION})[:-1]
    except TypeError as error:
        raise ConfigError(
            f"the request cannot be stored in a cassette ({error}); switch replay off for it"
        ) from None
    return Line(request_key(ordered), head + _CHECKSUM + _checksum(head) + b'"}')


def read_line(text: bytes) -> Line:
    """Read the record of a line.

    Args:
        text: The line without its line break.

    Raises:
        LineError: The text is not exactly what `write_line` writes.
    """
    if text.startswith(_MARKERS):
        raise LineError("is a merge marker; keep the lines of both sides and delete the markers")
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise LineError(
            "is cut off or was edited by hand; restore the file from git, or delete the line and record it "
            "again"
        ) from None
    version = record.get("version") if type(record) is dict else None
    if type(version) is int and version > VERSION:
        raise LineError(f"is of version {version}, but this ainb reads version {VERSION}; upgrade ainb")
    if type(version) is int and 0 < version < VERSION:
        raise LineError(
            f"is of version {version}, which stores requests in another form than version {VERSION}; record "
            "the notebook again: "
            "delete the file and run it with %ai replay record"
        )
    if type(version) is not int or version != VERSION:
        raise LineError("is not a record of ainb; delete it")
    head, found, checksum = text.rpartition(_CHECKSUM)
    if not found or checksum != _checksum(head) + b'"}':
        raise LineError(
            "was edited by hand (its sha256 does not match); restore the file from git, or delete the line "
            "and record it again"
        )
    if not _is_whole(_without_frame(record)) or not text.startswith(_MODEL) or _BODY not in text:
        raise LineError("is not a record of ainb; delete it and record it again")
    return Line(request_key(record), text)


def _without_frame(record: dict[str, Any]) -> dict[str, Any]:
    del record["version"], record["sha256"]
    return record


def _checksum(head: bytes) -> bytes:
    return hashlib.sha256(head).hexdigest()[:CHECKSUM_DIGITS].encode()


def _lasting(fields: Mapping[str, Any]) -> dict[str, Any]:
    lasting = {name: value for name, value in fields.items() if name != MEASURED}
    for outcome in ("reply", "error"):
        if outcome in lasting:
            lasting[outcome] = {name: lasting[outcome][name] for name in lasting[outcome].keys() - _SPENT}
    return lasting


def _is_whole(record: Mapping[str, Any]) -> bool:
    """Whether the fields have the right types; checked because a checksum can be forged."""
    if not record.keys() >= _NEEDED or ("reply" in record) == ("error" in record):
        return False
    return all(name in _CHECKS and _CHECKS[name](value) for name, value in record.items())


def _is_of(kind: type) -> Callable[[object], bool]:
    return lambda value: type(value) is kind


def _is_texts(value: object) -> bool:
    return type(value) is list and all(type(item) is str for item in value)


def is_reply(value: object) -> bool:
    """Whether a value is a recorded reply."""
    return type(value) is dict and type(value.get("text")) is str


def _is_error(value: object) -> bool:
    return type(value) is dict and type(value.get("type")) is str and type(value.get("message")) is str


def _is_measured(value: object) -> bool:
    return type(value) is dict and is_duration(value.get("duration_s")) and type(value.get("attempts")) is int


_CHECKS: Mapping[str, Callable[[object], bool]] = {
    "model": _is_of(str),
    "body": _is_of(dict),
    "schema": _is_of(str),
    "replica": _is_of(int),
    "rows_per_call": _is_of(int),
    "weights": _is_of(str),
    "reply": is_reply,
    "error": _is_error,
    "notes": _is_texts,
    MEASURED: _is_measured,
}
_NEEDED = frozenset({"model", "body", MEASURED})
