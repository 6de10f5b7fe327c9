"""Temporary file beside a target, moved into place when complete; keeps bytes whose write failed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ainb.errors import AinbError

FILE_MODE = 0o666  # minus the umask, as for files of other programs
TIMES_TRIED = 2


class TemporaryFile(io.RawIOBase):
    """Append-only temporary file with size and digest.

    A failed write (disk full, I/O error, …) causes a notice: its bytes wait in memory and are written again
    with the next ones, after the last byte that was written completely.

    Args:
        target: Final path of the file.
        notify: Receives a notice about a failed write.
    """

    def __init__(self, target: Path, notify: Callable[[str], object]) -> None:
        super().__init__()
        self._target = target
        self._notify = notify
        self._temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        self._descriptor: int | None = None
        self._whole = 0
        self._waiting: list[bytes] = []
        self._has_failed = False
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        """Append bytes."""
        kept = bytes(data)
        self._digest.update(kept)
        self.size += len(kept)
        self._waiting.append(kept)
        try:
            self._write_waiting()
        except OSError as error:
            self._report(error)
        return len(kept)

    def writable(self) -> bool:
        """True: bytes are appended; reading and seeking are not supported."""
        return True

    def digest(self) -> str:
        """SHA-256 of all bytes written, in hex."""
        return self._digest.hexdigest()

    def put_in_place(self, target: Path) -> Path:
        """Give the file its name.

        Returns:
            The target; if it cannot be written, a file in the system's folder of temporary files.

        Raises:
            AinbError: Neither can be written; the rows are in the journal.
        """
        for _ in range(TIMES_TRIED):
            try:
                self._write_waiting()
                if self._descriptor is not None:
                    os.fsync(self._descriptor)
                self._take_mode(target)
                os.replace(self._temporary, target)  # noqa: PTH105 - beside the other calls of os
            except OSError as error:
                self._report(error)
            else:
                self.discard()
                return target
        return self._put_elsewhere(target)

    def discard(self) -> None:
        """Delete the temporary file unless it was moved into place."""
        descriptor, self._descriptor = self._descriptor, None
        with contextlib.suppress(OSError):
            if descriptor is not None:
                os.close(descriptor)
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _write_waiting(self) -> None:
        if self._descriptor is None:
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
            self._descriptor = os.open(self._temporary, flags, FILE_MODE)
        while self._waiting:
            # A failed write may have written a part of its bytes.
            os.ftruncate(self._descriptor, self._whole)
            os.lseek(self._descriptor, self._whole, os.SEEK_SET)
            data = memoryview(self._waiting[0])
            while data:
                data = data[os.write(self._descriptor, data) :]
            self._whole += len(self._waiting.pop(0))

    def _take_mode(self, target: Path) -> None:
        # A result that replaces another file takes over its permissions.
        with contextlib.suppress(FileNotFoundError):
            self._temporary.chmod(target.stat().st_mode & 0o777)

    def _report(self, error: OSError) -> None:
        if not self._has_failed:
            self._has_failed = True
            text = (
                f"{self._target.name} cannot be written ({error.strerror or error}); its rows wait in memory"
            )
            self._notify(text)

    def _put_elsewhere(self, target: Path) -> Path:
        folder = Path(tempfile.gettempdir())
        other = folder / f"{secrets.token_hex(4)}.{target.name}"
        try:
            with other.open("xb") as file:
                file.writelines(self._pieces())
        except OSError as error:
            raise AinbError(
                f"{target.name} cannot be written ({error}), nor a file in {folder}; "
                "the answers are in the journal: run the batch again with another out="
            ) from None
        self._notify(f"{target.name} cannot be written; the result is in {other}")
        self.discard()
        return other

    def _pieces(self) -> list[bytes]:
        if self._descriptor is None:
            return self._waiting
        return [self._temporary.read_bytes()[: self._whole], *self._waiting]
