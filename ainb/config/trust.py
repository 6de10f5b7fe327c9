"""Trust in projects: the nearest pyproject.toml, and the folders whose file may set every option.

The list is in the user's data folder, whatever ``home`` is set to: a project that could move the list could
trust itself. Trust covers a folder by its resolved path, without its subfolders, so a repository cloned into
a trusted one is not trusted.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from ainb.errors import ConfigError
from ainb.stores.files import NotPrivateError, prepare, replacement_file

FILE = "pyproject.toml"
VARIABLE = "AINB_TRUST"
LIST_NAME = "trusted.json"
MAX_BYTES = 2**20


def find_pyproject(folder: Path) -> Path | None:
    """The pyproject.toml of a folder or of the nearest one above it, or None."""
    paths = (os.path.join(place, FILE) for place in (folder, *folder.parents))  # noqa: PTH118 - for every cell
    # For a folder without permission os.path.isfile is False, while Path.is_file raises.
    return next((Path(path) for path in paths if os.path.isfile(path)), None)  # noqa: PTH113


def is_trusted(folder: Path, environ: Mapping[str, str]) -> bool:
    """Whether the pyproject.toml of `folder` may set every option.

    Args:
        folder: The folder that holds the file.
        environ: Environment variables; ``AINB_TRUST`` lists folders, separated as in ``PATH``.
    """
    place = os.path.realpath(folder)
    named = environ.get(VARIABLE, "").split(os.pathsep)
    return place in {os.path.realpath(Path(text).expanduser()) for text in named if text} | trusted_folders()


def trusted_folders() -> frozenset[str]:
    """Resolved paths of the folders that were trusted with ``%ai trust``.

    The set is empty if the list cannot be read, or another user may have written it.
    """
    path = _path()
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            if not _is_own(os.fstat(handle)):
                return frozenset()
            listed = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return frozenset()
    if not isinstance(listed, list):
        return frozenset()
    return frozenset(text for text in listed if isinstance(text, str))


def trust(folder: Path) -> None:
    """Add a folder to the list.

    Raises:
        ConfigError: The list cannot be written.
    """
    _write(trusted_folders() | {os.path.realpath(folder)})


def untrust(folder: Path) -> bool:
    """Remove a folder from the list; returns whether it was on it.

    Raises:
        ConfigError: The list cannot be written.
    """
    place, listed = os.path.realpath(folder), trusted_folders()
    if place in listed:
        _write(listed - {place})
    return place in listed


def _path() -> Path:
    import platformdirs

    return platformdirs.user_data_path("ainb") / LIST_NAME


def _is_own(found: os.stat_result) -> bool:
    """Whether only this user can have written the list: own file, no other writer, no hard link."""
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        return False
    return not hasattr(os, "getuid") or (
        found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _write(folders: Iterable[str]) -> None:
    path = _path()
    try:
        # This checks the folder and an older list: a link in place of either is refused, not followed.
        prepare(path)
        with replacement_file(path, json.dumps(sorted(folders), indent=1).encode()) as replacement:
            replacement.replace(path)
    except NotPrivateError as error:
        raise ConfigError(
            f"the list of trusted folders cannot be stored: {error}; remove it and try again"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the list of trusted folders {path} cannot be written ({error.strerror}); set {VARIABLE} in "
            f"the environment"
        ) from None
