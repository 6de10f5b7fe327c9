"""``%ai login``: a key from a password box into the OS keyring, never into the notebook."""

from __future__ import annotations

import getpass

from ainb import keys
from ainb.errors import ConfigError
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import Front
from ainb.providers.services import SYNONYMS
from ainb.suggestions import closest


def login(_front: Front, arguments: Arguments) -> str:
    """Ask for a key and store it.

    Raises:
        ConfigError: There is nobody to ask, no keyring, or what was typed can be no key.
    """
    name = _variable(arguments.words[0])
    try:
        # In a kernel this is the front end's password box; what is typed goes neither into the cell nor into its output.
        value = getpass.getpass(f"{name} (is not shown): ")
    except (EOFError, NotImplementedError):
        raise ConfigError(
            f"%ai login needs somebody to type the key, and nobody can here; set {name} in the environment"
        ) from None
    return keys.login(name, value)


def logout(_front: Front, arguments: Arguments) -> str:
    """Forget a stored key."""
    return keys.logout(_variable(arguments.words[0]))


def _variable(word: str) -> str:
    """The key variable of a provider, or a variable's own name, which is written in capitals."""
    name = SYNONYMS.get(word, word)
    if name in keys.KEY_VARIABLES:
        return keys.KEY_VARIABLES[name]
    known = keys.variable(word)
    if known.isupper():
        return known
    raise ConfigError(f"there is no provider {word!r} that takes a key; {closest(word, keys.KEY_VARIABLES)}")
