"""Who is alive: each process locks a file of its own, and the system lets go of the lock when the process dies.

Unlike a process id or a heartbeat this holds across containers, suspended laptops and stepped clocks.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import weakref
from pathlib import Path

from ainb.stores.file_lock import try_lock

MAX_TRIES = 100


class Owner:
    """A name that counts as alive for as long as this process lives or `close` is not called.

    Args:
        folder: Where the lock files of all owners stand; made when it is missing, for this person only.

    Raises:
        OSError: The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.name, self._handle = self._claim()
        self._let_go = weakref.finalize(self, _close, self._handle)

    def dead(self) -> list[str]:
        """Owners whose process has ended."""
        names = (path.stem for path in self._folder.glob("*.lock"))
        return [name for name in names if name != self.name and self._is_free(name)]

    def bury(self, name: str) -> None:
        """Remove the lock file of a dead owner, once nothing is left of it."""
        with contextlib.suppress(OSError):
            self._path(name).unlink()

    def close(self) -> None:
        """End this owner's life."""
        self.bury(self.name)
        self.drop()

    def drop(self) -> None:
        """Let go of the file alone, as a forked child must: the parent lives on."""
        self._let_go()

    def _claim(self) -> tuple[str, int]:
        for _ in range(MAX_TRIES):
            name = secrets.token_hex(8)
            path = self._path(name)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            # Between making and locking the file another process may take it for a dead one's and remove it.
            if _lock(handle) and path.exists():
                return name, handle
            os.close(handle)
        raise OSError(f"no lock file could be kept in {self._folder}")

    def _is_free(self, name: str) -> bool:
        try:
            handle = os.open(self._path(name), os.O_RDWR)
        except OSError:
            return False
        try:
            return _lock(handle)
        finally:
            os.close(handle)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


def _close(handle: int) -> None:
    with contextlib.suppress(OSError):
        os.close(handle)


def _lock(handle: int) -> bool:
    try:
        return try_lock(handle)
    except OSError:  # a file system without locks, where nobody can be known to live
        return False
