"""Keys from a file of ``NAME=value`` lines, such as .env, which is read only if the user names it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ainb.errors import ConfigError

MAX_BYTES = 2**20
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
_COMMENT = re.compile(r"\s#.*")


class _Kept(NamedTuple):
    path: Path
    stamp: tuple[int, ...]
    values: Mapping[str, str]


_NO_FILE: Mapping[str, str] = {}
_path: Path | None = None
_kept: _Kept | None = None


def use(path: str | os.PathLike[str] | None) -> None:
    """Use this file for keys that the environment lacks; None means no file."""
    global _path, _kept
    _path, _kept = (None if path is None else Path(path)), None


def name() -> str | None:
    """Name of the key file without its folders; None when no file is used."""
    return None if _path is None else _path.name


def read() -> Mapping[str, str]:
    """The values of the key file, read again when it has changed; empty when no file is used.

    Raises:
        ConfigError: The file cannot be read.
    """
    global _kept  # noqa: PLW0603 - see use()
    if _path is None:
        return _NO_FILE
    try:
        found = _path.stat()
        stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
        if _kept is None or _kept.path != _path or _kept.stamp != stamp:
            if found.st_size > MAX_BYTES:
                raise ConfigError(
                    f"env_file {_path.name} is larger than 1 MB; name a file of NAME=value lines"
                )
            _kept = _Kept(_path, stamp, parse(_path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"env_file {_path.name} cannot be read ({type(error).__name__}); correct env_file or set it "
            f"to None"
        ) from None
    return _kept.values


def parse(text: str) -> dict[str, str]:
    r"""Parse lines ``NAME=value``, with or without ``export`` and quotes.

    Nothing is expanded or executed.

    >>> parse("export A='1 2' # note\nB=3 # three\n# C=4")
    {'A': '1 2', 'B': '3'}
    """
    values = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is not None:
            values[match[1]] = _value(match[2])
    return values


def _value(text: str) -> str:
    quote = text[:1]
    if quote in {"'", '"'}:
        end = text.find(quote, 1)
        if end > 0:
            return text[1:end].strip()
    return _COMMENT.sub("", f" {text}", count=1).strip()
