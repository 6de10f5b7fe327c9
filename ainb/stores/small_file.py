"""A small JSON file in the home: read whole, replaced whole; a fault of it is never a fault of a call."""

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
    """What `write_small` stored under `name`.

    None where the file is missing, too large, not one of ours or of another version.
    """
    try:
        found = path.stat()
        # A pipe would be waited for.
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_FILE_BYTES:
            return None
        stored = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return stored.get(name) if isinstance(stored, dict) and stored.get("version") == version else None


def write_small(path: Path, name: str, version: int, value: Any) -> None:
    """Replace a file (0600) by one value under `name`, whole for every reader; a fault leaves the old one.

    A folder of another user, and a link in the file's place, are left alone.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        prepare(path.parent, path.name, ())
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps({"version": version, name: value}, option=orjson.OPT_INDENT_2))
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
