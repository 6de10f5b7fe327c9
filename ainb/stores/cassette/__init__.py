"""Cassettes: recorded answers in a text file beside a notebook.

`line` is the format of one record, `file` reads and writes a whole cassette.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.stores.cassette.file import Cassette, UnreadableFileError, shared_cassette
    from ainb.stores.cassette.line import MEASURED, Line, is_reply, is_seconds, request_key, write_line
else:
    __getattr__ = lazy_exports(
        __name__,
        file="Cassette UnreadableFileError shared_cassette",
        line="Line MEASURED is_reply is_seconds request_key write_line",
    )

__all__ = [
    "MEASURED",
    "Cassette",
    "Line",
    "UnreadableFileError",
    "is_reply",
    "is_seconds",
    "request_key",
    "shared_cassette",
    "write_line",
]
