"""Keys in the OS keyring (macOS Keychain, Windows Credential Manager, Secret Service); see ``%ai login``.

Opening a keyring may prompt the user, so it is opened only for stored keys: a file beside the usage log lists
the names of the variables in it, without their values.
"""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import Any, NamedTuple

from ainb.clock import SYSTEM_CLOCK
from ainb.errors import ConfigError
from ainb.variables import value_of

SERVICE = "ainb"
FILE_NAME = "logins"
# Backends with a priority below 1 store nothing, or store keys in a plain file.
LEAST_PRIORITY = 1
# A look at the file is a system call, up to 9 us, and a batch without a key asks for each row.
LOOK_SECONDS = 0.05


class _Known(NamedTuple):
    path: str
    stamp: tuple[int, ...]
    names: frozenset[str]


_known = _Known("", (), frozenset())
_values: dict[str, str | None] = {}
# Of the last look: the path, the moment, and what was found.
_looked: tuple[str, float, frozenset[str]] = ("", float("-inf"), frozenset())


def names() -> frozenset[str]:
    """Variables whose values are in the keyring; the keyring is not opened.

    What another process has stored counts 0.05 s later at most, what this one has stored at once.
    """
    global _looked  # noqa: PLW0603 - one keyring per user, one cache of it per process
    path = _path_for(value_of("AINB_HOME"), value_of("HOME"), value_of("XDG_DATA_HOME"))
    now = SYSTEM_CLOCK.monotonic()
    if _looked[0] != path or not 0 <= now - _looked[1] < LOOK_SECONDS:
        _looked = (path, now, _look(path))
    return _looked[2]


def _look(path: str) -> frozenset[str]:
    global _known  # noqa: PLW0603 - see names()
    try:
        found = os.stat(path)  # noqa: PTH116 - runs for every call without a key
        # Two writes may have the same time, but each makes a new file.
        stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
        if _known.path != path or _known.stamp != stamp:
            _values.clear()
            _known = _Known(path, stamp, frozenset(Path(path).read_text(encoding="utf-8").split()))
    except (OSError, UnicodeDecodeError):
        return frozenset()
    return _known.names


def read(name: str) -> str | None:
    """The value stored under a name; None when there is none.

    Raises:
        ConfigError: A value was stored, but the keyring cannot be used now.
    """
    if name not in names():
        return None
    if name not in _values:
        _values[name] = _ask(_backend(name), "get_password", name)
    return _values[name]


def check(name: str) -> None:
    """Check that a value can be stored here under a name.

    Raises:
        ConfigError: There is no keyring.
    """
    _backend(name)


def store(name: str, value: str) -> None:
    """Put a value into the keyring.

    Raises:
        ConfigError: There is no keyring, or it refuses.
    """
    _ask(_backend(name), "set_password", name, value)
    _write(names() | {name})
    _values[name] = value


def forget(name: str) -> bool:
    """Remove a value; returns whether there was one.

    Raises:
        ConfigError: There is no keyring, or it refuses.
    """
    if name not in names():
        return False
    _ask(_backend(name), "delete_password", name)
    _write(names() - {name})
    return True


def _ask(backend: Any, method: str, *arguments: str) -> Any:
    # Backends raise errors of many kinds; none may pass the value on.
    try:
        return getattr(backend, method)(SERVICE, *arguments)
    except Exception as error:  # noqa: BLE001 - every backend has errors of its own
        kind = type(error).__name__
    raise ConfigError(f"the keyring refused ({kind}); unlock it, or set {arguments[0]} in the environment")


def _backend(name: str) -> Any:
    try:
        import keyring
    except ImportError:
        raise ConfigError(
            "keys are kept in the OS keyring, but keyring is not installed; pip install "
            f"'ainb-notebook[keyring]', or set {name} in the environment"
        ) from None
    backend: Any = keyring.get_keyring()
    with contextlib.suppress(Exception):
        if backend.priority >= LEAST_PRIORITY:
            return backend
    raise ConfigError(
        f"this machine has no keyring that stores keys securely (none, or a plain file); set {name} in the "
        "environment"
    )


def _path() -> Path:
    home = os.environ.get("AINB_HOME")
    if home:
        return Path(home).expanduser() / FILE_NAME
    import platformdirs

    return platformdirs.user_data_path("ainb") / FILE_NAME


@functools.lru_cache(maxsize=8)
def _path_for(*_where: str | None) -> str:
    # Cached: needed for every call without a key, and determined by these variables alone.
    return str(_path())


def _write(kept: frozenset[str]) -> None:
    global _looked  # noqa: PLW0603 - see names()
    path = _path()
    # One by one: parents that `mkdir` creates get the mode of the umask.
    for missing in reversed([place for place in path.parents if not place.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write("".join(f"{name}\n" for name in sorted(kept)))
        new.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{path.name} cannot be written ({error.strerror}); make the folder writable"
        ) from None
    finally:  # last: another thread may have looked meanwhile
        _looked = ("", float("-inf"), frozenset())
