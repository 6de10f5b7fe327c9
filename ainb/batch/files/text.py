"""Decoding of text files: detects the encoding, and reports errors with line and fix."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from ainb.errors import ConfigError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HEAD_BYTES = 400
_LEAST_BYTES = 8
_MOSTLY = 0.7
_PIECE_BYTES = 1 << 20


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed if its name ends in .gz.

    Raises:
        ConfigError: It is not a complete gzip file.
    """
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as raw:
            yield cast("IO[bytes]", raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ConfigError(
            f"{path.name} is not a complete gzip file ({error}); unpack it and give the file inside"
        ) from None


def find_encoding(path: Path, given: str | None) -> str:
    """The encoding of a file: the given one, the one of its byte order mark, or UTF-8.

    Raises:
        ConfigError: There is no such encoding, or the file looks like UTF-16 without a mark.
    """
    with open_bytes(path) as raw:
        head = raw.read(_HEAD_BYTES)
    if given is not None:
        try:
            name = codecs.lookup(given).name
        except LookupError:
            raise ConfigError(
                f"read={{'encoding': {given!r}}} names no encoding; "
                "known are 'utf-8', 'cp1252', 'utf-16' and others"
            ) from None
        return "utf-8-sig" if name == "utf-8" else name
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    odd, even = head[1::2].count(0) * 2, head[::2].count(0) * 2
    if len(head) >= _LEAST_BYTES and max(odd, even) >= len(head) * _MOSTLY > min(odd, even):
        order = "le" if odd > even else "be"
        raise ConfigError(
            f"{path.name} is not UTF-8; it looks like UTF-16: give read={{'encoding': 'utf-16-{order}'}}"
        )
    return "utf-8-sig"


@contextlib.contextmanager
def open_text(path: Path, encoding: str) -> Iterator[io.TextIOWrapper]:
    """The text of a file with unchanged line breaks.

    Raises:
        ConfigError: It holds bytes that are invalid in this encoding; the message says where.
    """
    try:
        with open_bytes(path) as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as text:
            yield text
    except UnicodeDecodeError:
        raise ConfigError(_wrong_encoding(path, encoding)) from None


def _wrong_encoding(path: Path, encoding: str) -> str:
    """The message about the first byte that cannot be decoded."""
    decoder = codecs.getincrementaldecoder(encoding)()
    consumed = lines = 0
    with open_bytes(path) as raw:
        while True:
            piece = raw.read(_PIECE_BYTES)
            held = len(decoder.getstate()[0])
            try:
                lines += decoder.decode(piece, final=not piece).count("\n")
            except UnicodeDecodeError as error:
                at = consumed - held + error.start
                lines += error.object[: error.start].decode(encoding, "replace").count("\n")
                return _encoding_message(path, encoding, at, lines + 1, error.object[error.start :])
            consumed += len(piece)
            if not piece:
                return f"{path.name} changed while it was read; run the cell again"


def _encoding_message(path: Path, encoding: str, at: int, line: int, rest: bytes) -> str:
    name = "UTF-8" if encoding.startswith("utf-8") else encoding
    try:
        rest.decode("cp1252")
        other = "cp1252"
    except UnicodeDecodeError:
        other = "latin-1"
    fix = (
        f"give read={{'encoding': '{other}'}}"
        if name == "UTF-8"
        else "give the file's own encoding in read={'encoding': …}"
    )
    return f"{path.name}, line {line:,}: not {name} at byte {at:,}; {fix}"
