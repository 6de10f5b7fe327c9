"""`RunLock`: lock file of the kernel that drives the jobs of a run."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ainb.stores.files import try_lock


class RunLock:
    """A lock file that is held until `release`, or until the process dies."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path = path
        self._handle = handle

    @classmethod
    def take(cls, path: Path) -> RunLock | None:
        """Take the lock without waiting; None while another process holds it."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # The previous holder may have removed the file between opening and locking.
            if try_lock(handle) and path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                return cls(path, handle)
        except OSError:
            pass
        os.close(handle)
        return None

    def release(self) -> None:
        """Release the lock."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        with contextlib.suppress(OSError):
            os.close(self._handle)
