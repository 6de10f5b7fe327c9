"""Lock file of the kernel that drives the jobs of a run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ainb.stores.files import try_lock


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[bool]:
    """Hold the lock in this block, or until the process dies; False while another process holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    is_held = _lock(handle, path)
    try:
        yield is_held
    finally:
        if is_held:
            with contextlib.suppress(OSError):
                path.unlink()
        with contextlib.suppress(OSError):
            os.close(handle)


def _lock(handle: int, path: Path) -> bool:
    try:
        # The previous holder may have removed the file between opening and locking.
        return try_lock(handle) and path.exists() and os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False
