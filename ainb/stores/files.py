"""Private files: folders and files of one user, checked before they are opened; replacements and locks."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600
NEW_FILE_MODE = 0o666  # as `open` asks for; the umask of the user applies


class NotPrivateError(OSError):
    """The folder or a file in it is a link, of the wrong type, or owned by another user."""


def make_folders(folder: Path) -> None:
    """Create a folder and its missing parents, each 0700.

    `Path.mkdir` gives parents the mode that the umask leaves: with umask 000 another user could replace the
    folder.

    Raises:
        OSError: A folder cannot be created.
    """
    for missing in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
        missing.mkdir(mode=FOLDER_MODE, exist_ok=True)


def prepare(path: Path, beside: tuple[str, ...] = ()) -> None:
    """Create an empty file (0600) and its folder (0700), or check and tighten existing ones.

    The file is created before a library opens it, because SQLite gives the files beside a database the mode
    of the database.

    Args:
        path: The file; missing parents of its folder are created too.
        beside: Suffixes of further files that may exist beside it.

    Raises:
        NotPrivateError: The folder or a file is a link, of the wrong type, or owned by another user.
        OSError: The folder cannot be created or written.
    """
    if not os.path.lexists(path.parent):
        make_folders(path.parent)
    _check(path.parent, stat.S_ISDIR, "folder", FOLDER_MODE)
    flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    os.close(os.open(path, flags, FILE_MODE))
    _check_files(path, beside)


def make_private(path: Path, beside: tuple[str, ...] = ("-wal", "-shm")) -> None:
    """Create an empty file (0600), in a folder (0700 if created here), or check and tighten an existing file.

    An existing file is not opened: closing it would drop the locks that SQLite holds on it in this process.

    Args:
        path: The file.
        beside: Suffixes of further files that may exist beside it.

    Raises:
        NotPrivateError: A file is a link, of the wrong type, or owned by another user.
        OSError: The folder or the file cannot be created.
    """
    make_folders(path.parent)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE_MODE))
    _check_files(path, beside)


@contextlib.contextmanager
def replacement_file(path: Path, content: bytes) -> Iterator[Path]:
    """Write and sync a replacement beside a file, for an atomic rename; it is removed if that fails.

    It has the mode of the file that it replaces.

    Raises:
        OSError: The replacement cannot be written; the original is unchanged.
    """
    replacement = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    # From the start, or a private file's content could be read for a moment.
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else NEW_FILE_MODE
    try:
        with open(replacement, "xb", opener=functools.partial(os.open, mode=mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, replacement)
        yield replacement
    finally:
        replacement.unlink(missing_ok=True)


def _check_files(path: Path, beside: tuple[str, ...]) -> None:
    for end in ("", *beside):
        # Another process may remove these files at any moment.
        with contextlib.suppress(FileNotFoundError):
            _check(path.with_name(path.name + end), stat.S_ISREG, "file", FILE_MODE)


def _check(path: Path, is_kind: Callable[[int], bool], kind: str, mode: int) -> None:
    found = path.lstat()
    if not is_kind(found.st_mode):
        raise NotPrivateError(f"{path.name} is not a plain {kind}")
    if kind == "file" and found.st_nlink > 1:
        raise NotPrivateError(f"{path.name} has a hard link elsewhere")
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise NotPrivateError(f"the {kind} {path.name} belongs to another user")
    if stat.S_IMODE(found.st_mode) & ~mode:
        path.chmod(mode)


if sys.platform == "win32":
    import msvcrt

    def try_lock(handle: int) -> bool:
        """Lock an open file without waiting.

        Returns:
            Whether the caller now holds the lock; False when another process does.

        Raises:
            OSError: The file system has no locks.
        """
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def try_lock(handle: int) -> bool:
        """Lock an open file or folder without waiting.

        Returns:
            Whether the caller now holds the lock; False when another process does.

        Raises:
            OSError: The file system has no locks.
        """
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
