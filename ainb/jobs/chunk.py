"""Requests of the next job, spooled to disk line by line, up to the provider's limits."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from ainb.jobs.store import PlannedRequest
from ainb.providers.batch_service import BatchLimits


class Chunk:
    """Requests of the next job.

    Args:
        path: Spool file, readable by the user only.
        limits: Size limits of a job.

    Attributes:
        requests: The added requests, in order.
    """

    def __init__(self, path: Path, limits: BatchLimits) -> None:
        self._path = path
        self._limits = limits
        self._sizes: list[int] = []
        self._size = 0
        self.requests: list[PlannedRequest] = []
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b")

    def fits(self, line: bytes) -> bool:
        """Whether another line fits."""
        full = len(self.requests) >= self._limits.requests
        return not full and self._size + len(line) + 1 <= self._limits.size_bytes

    def add(self, request: PlannedRequest, line: bytes) -> None:
        """Add a request; `fits` must be true for its line."""
        self._file.write(line + b"\n")
        self._sizes.append(len(line) + 1)
        self._size += len(line) + 1
        self.requests.append(request)

    def finish(self, places: Sequence[int], to: Path) -> None:
        """Keep the lines at these positions, sync the file to disk, and rename it."""
        if len(places) < len(self.requests):
            self._keep(set(places))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.replace(to)

    def discard(self) -> None:
        """Remove the file."""
        self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _keep(self, places: set[int]) -> None:
        read = write = 0
        for place, size in enumerate(self._sizes):
            if place in places:
                if read != write:
                    self._file.seek(read)
                    line = self._file.read(size)
                    self._file.seek(write)
                    self._file.write(line)
                write += size
            read += size
        self._file.truncate(write)
