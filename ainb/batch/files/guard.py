"""List of the files that ainb wrote, so that a result never replaces any other file."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from ainb.errors import ConfigError
from ainb.stores.files import make_private

LIST_FILE = "outputs.jsonl"
MAX_LINES = 2_000


class OutputGuard:
    """List of written result files by path, size and digest, kept in the home folder."""

    def __init__(self, home: Path) -> None:
        self._list = home / LIST_FILE

    def check(self, out: str | Path, *, source: Path | None, overwrite: bool) -> None:
        """Check that a result may be written to `out`.

        Args:
            out: The target.
            source: The input file, or None.
            overwrite: Whether a file that ainb did not write may be replaced.

        Raises:
            ConfigError: `out` is the input, under any name, or a file that ainb did not write and must not
                replace.
        """
        path = Path(out).expanduser()
        if source is not None and _is_same(path, source):
            raise ConfigError(
                f"out={str(out)!r} is the input itself, which a result never replaces; "
                "nothing was sent; give another name"
            )
        if overwrite or not os.path.lexists(path):
            return
        if not path.is_file():
            raise ConfigError(f"out={str(out)!r} is not a plain file; give another name")
        if not self.owns(path):
            raise ConfigError(
                f"out={str(out)!r} exists and is not a result of ainb, or was changed since; "
                "nothing was sent; give another name, or overwrite=True to replace it"
            )

    def owns(self, path: Path) -> bool:
        """Whether the file is unchanged since ainb wrote it."""
        wanted = str(path.resolve())
        written = [item for item in self._read() if item[0] == wanted]
        if not written or not path.is_file() or path.stat().st_size != written[-1][1]:
            return False
        return _digest_of(path) == written[-1][2]

    def record(self, path: Path, size: int, digest: str) -> None:
        """Add a file that was just written.

        Raises:
            OSError: The list cannot be written.
        """
        make_private(self._list, beside=())
        line = json.dumps([str(path.resolve()), size, digest])
        # One write of one short line: several processes may append at the same time.
        with self._list.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        known = self._read()
        if len(known) > MAX_LINES:
            newest = list({item[0]: item for item in known}.values())[-MAX_LINES // 2 :]
            shorter = self._list.with_name(f"{LIST_FILE}.{os.getpid()}")
            make_private(shorter, beside=())
            shorter.write_text("".join(f"{json.dumps(item)}\n" for item in newest), encoding="utf-8")
            shorter.replace(self._list)

    def _read(self) -> list[tuple[str, int, str]]:
        try:
            lines = self._list.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [item for line in lines if (item := _entry(line)) is not None]


def _entry(line: str) -> tuple[str, int, str] | None:
    try:
        path, size, digest = json.loads(line)
    except (ValueError, TypeError):
        return None
    valid = isinstance(path, str) and type(size) is int and isinstance(digest, str)
    return (path, size, digest) if valid else None


def _is_same(path: Path, source: Path) -> bool:
    try:
        return path.samefile(source)
    except OSError:
        return path.resolve() == source.resolve()


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
