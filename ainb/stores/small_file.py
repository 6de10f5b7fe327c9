"""Small JSON files in the home, read and replaced as a whole; a fault of the file never fails a call."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path
from typing import Any, Final

import orjson

from ainb.stores.files import prepare

MAX_FILE_BYTES: Final = 2_000_000


def read_small(path: Path, name: str, version: int) -> Any:
    """Read the value that `write_small` stored under `name`.

    Returns:
        The value, or None when the file is missing, too large, of another version or not ours.
    """
    try:
        found = path.stat()
        # Opening a pipe would block.
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_FILE_BYTES:
            return None
        stored = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return stored.get(name) if isinstance(stored, dict) and stored.get("version") == version else None


def write_small(path: Path, name: str, version: int, value: Any) -> None:
    """Replace a file (0600) atomically by one value under `name`; after a fault the old file remains.

    Nothing is written when the folder belongs to another user or the file is a link.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        prepare(path)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps({"version": version, name: value}, option=orjson.OPT_INDENT_2))
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
