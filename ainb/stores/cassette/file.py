"""Cassette file: recorded answers beside a notebook, one line per request, sorted for readable diffs.

Several kernels may record into one file at once: each write takes a lock, reads the file, adds its own
records and replaces the whole file atomically. A damaged file is never overwritten.
"""

from __future__ import annotations

import collections
import contextlib
import os
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.errors import ConfigError
from ainb.fork import new_lock
from ainb.stores.cassette.line import Line, LineError, read_line
from ainb.stores.files import replacement_file, try_lock

OWN_FUNCTION = "function:"
LOCK_SECONDS = 10.0
LOCK_POLL_SECONDS = 0.005

Stamp = tuple[int, int, int]


class UnreadableFileError(ConfigError):
    """The system refuses to read the file; its content may be intact."""


class Cassette:
    """The records of one file.

    Args:
        path: The file, which need not exist. A symbolic link is followed and stays a link.
        clock: Used to wait while another kernel writes.

    Attributes:
        path: The file itself.
        used: Keys of the records that this process has replayed or recorded.
    """

    def __init__(self, path: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        self.path = Path(os.path.realpath(path))
        self.used: set[bytes] = set()
        self._clock = clock
        self._reading = new_lock()
        self._flushing = new_lock()
        self._stamp: Stamp | None = None
        self._lines: Mapping[bytes, Line] = {}
        self._pending: dict[bytes, Line] = {}
        self._usual_model: str | None = None

    @property
    def name(self) -> str:
        """The file name without its folder, which differs between machines."""
        return self.path.name

    def lines(self) -> Mapping[bytes, Line]:
        """Every record by key, including those written by other kernels.

        Raises:
            ConfigError: The file cannot be read or is damaged; the message names file and line.
        """
        with self._reading:
            self._refresh()
            return self._lines

    def find(self, key: bytes) -> Line | None:
        """The record of a request, or None.

        Raises:
            ConfigError: As for `lines`.
        """
        line = self._pending.get(key)
        return line if line is not None else self.lines().get(key)

    def usual_model(self) -> str | None:
        """The most frequent model, ``provider:model``, without the user's functions; None if unknown."""
        lines = self.lines()
        if self._usual_model is None and lines:
            models = (line.model for line in lines.values())
            counts = collections.Counter(model for model in models if not model.startswith(OWN_FUNCTION))
            self._usual_model = min(counts, key=lambda model: (-counts[model], model), default=None)
        return self._usual_model

    def put(self, line: Line) -> None:
        """Add a record; `find` returns it at once, `flush` writes it."""
        self._pending[line.key] = line

    def flush(self) -> None:
        """Write pending records; when several threads flush at once, the first writes for all.

        Raises:
            OSError: The file cannot be written, or another kernel keeps it locked; the records stay pending.
            ConfigError: The file is damaged; it is left as it is.
        """
        with self._flushing:
            if not self._pending:
                return
            with self._writing():
                pending = dict(self._pending)
                self._write(lambda lines: {**lines, **_changed(lines, pending)})
                for key, line in pending.items():
                    if self._pending.get(key) is line:
                        del self._pending[key]

    def keep_only(self, keys: Collection[bytes]) -> int:
        """Drop all records but those of `keys`; returns the number dropped.

        Raises:
            OSError: The file cannot be written.
            ConfigError: The file is damaged; it is left as it is.
        """
        self.flush()
        with self._flushing, self._writing():
            before = len(self.lines())
            self._write(lambda lines: {key: line for key, line in lines.items() if key in keys})
            return before - len(self.lines())

    def size_bytes(self) -> int:
        """Size of the file; 0 when it does not exist."""
        stamp = self._find_stamp()
        return 0 if stamp is None else stamp[1]

    def _find_stamp(self) -> Stamp | None:
        try:
            found = os.stat(self.path)  # noqa: PTH116 - runs for every call, and a Path takes twice the time
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnreadableFileError(f"{self.name} cannot be read ({error.strerror})") from None
        if not stat.S_ISREG(found.st_mode):  # reading a pipe or a device would not end
            raise ConfigError(f"{self.name} is not a plain file and is not read; delete it")
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _refresh(self) -> None:
        stamp = self._find_stamp()
        if stamp == self._stamp:
            return
        self._lines = {} if stamp is None else read_cassette(self.path)
        self._stamp = stamp
        self._usual_model = None

    def _write(self, change: Callable[[Mapping[bytes, Line]], Mapping[bytes, Line]]) -> None:
        old = self.lines()
        new = change(old)
        if new == old:
            return
        texts = sorted(line.text for line in new.values())
        with (
            replacement_file(self.path, b"".join(text + b"\n" for text in texts)) as replacement,
            self._reading,
        ):
            # File and memory change together for readers in this process, which need not read the file again.
            replacement.replace(self.path)
            self._lines, self._stamp, self._usual_model = new, self._find_stamp(), None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the write lock of this file, across threads and processes."""
        handle = _open_lock(self.path)
        try:
            until = self._clock.monotonic() + LOCK_SECONDS
            while not _lock(handle):
                if self._clock.monotonic() >= until:
                    raise OSError(f"another kernel has kept it locked for {LOCK_SECONDS:g} s")
                self._clock.block(LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(handle)


def _changed(lines: Mapping[bytes, Line], pending: Mapping[bytes, Line]) -> dict[bytes, Line]:
    """The pending records with a new outcome; unchanged ones keep their line."""
    return {
        key: line for key, line in pending.items() if key not in lines or not lines[key].same_outcome(line)
    }


def read_cassette(path: Path) -> dict[bytes, Line]:
    """Read every record of a file, by key.

    Raises:
        ConfigError: The file cannot be read or is damaged; the message names file and line.
    """
    try:
        texts = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UnreadableFileError(f"{path.name} cannot be read ({error.strerror})") from None
    if not texts[-1]:
        texts.pop()
    lines: dict[bytes, Line] = {}
    for number, text in enumerate(texts, 1):
        try:
            line = read_line(text.removesuffix(b"\r"))
        except LineError as error:
            raise ConfigError(f"{path.name}, line {number} {error}; nothing was changed") from None
        if line.key in lines:
            first = next(place for place, key in enumerate(lines, 1) if key == line.key)
            raise ConfigError(
                f"{path.name}, line {number} repeats the request of line {first}; delete one of the two; "
                "nothing was changed"
            )
        lines[line.key] = line
    return lines


_shared: dict[Path, Cassette] = {}
_sharing = new_lock()


def shared_cassette(path: Path) -> Cassette:
    """The cassette of a file that all sessions of this process share."""
    place = Path(os.path.realpath(path))
    with _sharing:
        return _shared.setdefault(place, Cassette(place))


def _open_lock(path: Path) -> int:
    if sys.platform == "win32":
        return os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    # The folder is locked, so that no lock file is left beside the notebook.
    return os.open(path.parent, os.O_RDONLY)


def _lock(handle: int) -> bool:
    try:
        return try_lock(handle)
    except OSError:  # a file system without locks: the last writer wins
        return True
