"""API keys: looked up in the environment, in ``env_file`` and in the OS keyring; never shown.

A key is a `Key`: a string whose repr is ``'***'``, so that neither a cell's output nor a verbose traceback
shows it. Keys are looked up when a call is made, first in the environment, then in the file given as
``env_file``, then among the keys that ``%ai login`` has stored.
"""

from __future__ import annotations

import functools
import os

from ainb.errors import ConfigError
from ainb.keys import env_file, vault
from ainb.keys.plausible import fault_of, is_variable_name
from ainb.variables import KEY_VARIABLES, value_of

__all__ = [
    "KEY_VARIABLES", "Key", "check_keyring", "found", "get", "login", "logout", "require", "use_env_file",
    "variable", "where",
]  # fmt: skip

use_env_file = env_file.use


class Key(str):
    """A secret string; its repr is ``'***'``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def unquoted(value: str) -> str:
    """The value without outer white space and enclosing quotes."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1].strip()
    return value


@functools.lru_cache(maxsize=64)  # valid names only: an error is not cached
def variable(name: str) -> str:
    """The environment variable of `name`: a service's key variable, else `name` itself.

    Raises:
        ConfigError: `name` cannot be the name of a variable and may be the key itself; the message does not
            repeat it.
    """
    known = KEY_VARIABLES.get(name)
    if known is not None:
        return known
    if not is_variable_name(name):
        raise ConfigError(
            "a key is looked up by the name of its variable (letters, digits, _), such as "
            "OPENAI_API_KEY; the given text is no such name, and is not repeated here because it may be "
            "the key itself"
        )
    return name


def get(name: str) -> str | None:
    """The key of a service (``"openai"``) or the value of a variable (``"DATABASE_URL"``).

    Returns:
        The value without outer white space and enclosing quotes, shown as ``'***'``; None when it is not set
        or empty.

    Raises:
        ConfigError: `name` cannot be the name of a variable, or the file of keys or the keyring cannot be
            read.
    """
    known = KEY_VARIABLES.get(name)
    value = value_of(known or name)
    value = unquoted(value) if value else value
    if value:
        if known is None:
            _watch(name)
        return Key(value)
    return _find_elsewhere(variable(name))


def require(*names: str) -> dict[str, str]:
    """Get several keys and variables at once.

    Args:
        names: Services or variable names.

    Returns:
        Value by name as given; values are shown as ``'***'``.

    Raises:
        ConfigError: Some are not set; the message names all of them.
    """
    values = {name: get(name) for name in names}
    missing = [variable(name) for name, value in values.items() if value is None]
    if missing:
        raise ConfigError(
            f"not set: {', '.join(missing)}; set {'it' if len(missing) == 1 else 'them'} in the environment "
            "(before Jupyter starts, or with os.environ[…] = … in a cell that is not kept)"
        )
    return {name: value for name, value in values.items() if value is not None}


def found() -> list[str]:
    """Names of the providers' key variables that are set anywhere, in the order of the table."""
    return [name for name in KEY_VARIABLES.values() if where(name) is not None]


def where(name: str) -> str | None:
    """Source of a key: "environment", the name of the key file, or "keyring"; None when it is not set.

    The keyring itself is not opened, since it may ask the user for a password.
    """
    wanted = variable(name)
    if os.environ.get(wanted, "").strip():
        return "environment"
    if env_file.read().get(wanted):
        return env_file.name()
    return "keyring" if wanted in vault.names() else None


def check_keyring(name: str) -> None:
    """Check that `login` can store a key, before anybody types one.

    Args:
        name: A service or a variable name.

    Raises:
        ConfigError: There is no keyring.
    """
    vault.check(variable(name))


def login(name: str, value: str) -> str:
    """Store a key in the OS keyring, where `get` finds it when the environment has none.

    Args:
        name: A service or a variable name.
        value: The key; outer white space is stripped.

    Returns:
        A line that describes the result, without the key.

    Raises:
        ConfigError: The text cannot be a key (the message gives the reason without the key), or there is no
            keyring.
    """
    wanted, key = variable(name), value.strip()
    fault = fault_of(wanted, key)
    if fault is not None:
        raise ConfigError(f"{fault}; nothing was stored")
    vault.store(wanted, key)
    if where(wanted) != "keyring":
        return f"{wanted} is in the keyring now, but the key from the {where(wanted)} comes first"
    return f"{wanted} is in the keyring now"


def logout(name: str) -> str:
    """Remove a key from the OS keyring.

    Returns:
        A line that describes the result.

    Raises:
        ConfigError: There is no keyring.
    """
    wanted = variable(name)
    if vault.forget(wanted):
        return f"{wanted} is no longer in the keyring"
    return f"{wanted} was not in the keyring"


def _find_elsewhere(name: str) -> Key | None:
    value = env_file.read().get(name) or vault.read(name)
    if not value:
        return None
    from ainb import redaction

    redaction.remember(value, name)
    return Key(value)


@functools.lru_cache(maxsize=64)
def _watch(name: str) -> None:
    # Imported here: a session without user-defined key variables need not load the patterns.
    from ainb import redaction

    redaction.watch(name)
