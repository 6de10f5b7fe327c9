"""Cassettes: recorded answers in a text file beside a notebook.

`line` is the format of one record, `file` reads and writes a whole cassette.
"""

from ainb.stores.cassette.file import Cassette, UnreadableFileError, shared_cassette
from ainb.stores.cassette.line import MEASURED, Line, is_reply, request_key, write_line

__all__ = [
    "MEASURED",
    "Cassette",
    "Line",
    "UnreadableFileError",
    "is_reply",
    "request_key",
    "shared_cassette",
    "write_line",
]
