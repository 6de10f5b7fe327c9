"""Parser of server-sent events: takes bytes in pieces of any size, returns the data of complete events."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ainb.providers.http.json_body import parse_json

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Bytes in front of a body that say nothing about its format.
BLANK: Final = b"\xef\xbb\xbf \t\r\n"
MAX_BLANK: Final = 1_024
_FIRST_LINE = re.compile(rb"(?:data|event|id|retry|error)?:")


class ErrorEvent(bytes):
    """The data of an error event, marked by its name (``event: error``) or its field (``error: …``)."""

    __slots__ = ()


class EventParser:
    """Incremental parser of an event stream; pieces may be split anywhere, even inside a character.

    Only the data of an event (its lines joined by line breaks) and whether it is an error are kept; comments,
    other names, ids and retry times are skipped.

    Source: WHATWG HTML, "Interpreting an event stream". Difference: at a clean end of the stream a last event
    without its blank line counts.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._is_error = False
        self._after_cr = False
        self._at_start = True

    def feed(self, piece: bytes) -> list[bytes]:
        """Parse the next bytes.

        Returns:
            The data of every event that they complete.
        """
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
            self._after_cr = False
        if not piece:
            return []
        # A lone CR ends a line at once; the LF of a CRLF that comes with the next piece is dropped there.
        self._after_cr = piece.endswith(b"\r")
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *others = piece.split(b"\n")
        self._line.append(first)
        if not others:
            return []
        lines = [b"".join(self._line), *others[:-1]]
        self._line = [others[-1]]
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        return [data for line in lines if (data := self._take(line)) is not None]

    def close(self) -> list[bytes]:
        """End the stream cleanly.

        Returns:
            The data of a last event without its blank line, if any.
        """
        return self.feed(b"\n\n")

    def _take(self, line: bytes) -> bytes | None:
        if not line:
            has_data, data, self._data = bool(self._data), b"\n".join(self._data), []
            is_error, self._is_error = self._is_error, False
            if is_error:
                return ErrorEvent(data)
            return data if has_data else None
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name in {b"data", b"error"}:
            self._data.append(value)
        self._is_error = (
            self._is_error or name == b"error" or (name == b"event" and value.strip() == b"error")
        )
        return None


def is_events(body: bytes) -> bool:
    """Whether a body that is not declared as an event stream is one."""
    return _FIRST_LINE.match(body[:MAX_BLANK].lstrip(BLANK)) is not None


def data_of(event: bytes) -> Sequence[bytes]:
    """The data of an event; () for an empty one, with which some gateways keep a connection alive.

    Servers that leave out the blank line between events make one of several: each of its lines counts.
    """
    if not event.strip():
        return ()
    if b"\n" not in event:
        return (event,)
    try:
        parse_json(event)
    except ValueError:
        return [line for line in event.split(b"\n") if line.strip()]
    return (event,)
