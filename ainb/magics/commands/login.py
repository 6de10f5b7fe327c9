"""``%ai login`` and ``%ai logout``: API keys in the OS keyring, never in the notebook."""

from __future__ import annotations

import getpass

from ainb import keys
from ainb.errors import ConfigError
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import NotebookShell
from ainb.providers.services import SYNONYMS
from ainb.suggestions import closest


def login(_shell: NotebookShell, arguments: Arguments) -> str:
    """Ask for a key and store it.

    Raises:
        ConfigError: There is no way to type the key, no keyring, or the text cannot be a key.
    """
    name = _variable(arguments.words[0])
    keys.check_keyring(name)
    try:
        # In a kernel this is the front end's password box: the key is neither in the cell nor in its output.
        value = getpass.getpass(f"{name} (is not shown): ")
    except (EOFError, NotImplementedError):
        raise ConfigError(
            f"%ai login needs a prompt for the key, and there is none here; set {name} in the environment"
        ) from None
    return keys.login(name, value)


def logout(_shell: NotebookShell, arguments: Arguments) -> str:
    """Remove a stored key."""
    return keys.logout(_variable(arguments.words[0]))


def _variable(word: str) -> str:
    """The key variable of a provider, or the word itself if it is a variable in capitals."""
    name = SYNONYMS.get(word, word)
    if name in keys.KEY_VARIABLES:
        return keys.KEY_VARIABLES[name]
    known = keys.variable(word)
    if known.isupper():
        return known
    raise ConfigError(f"there is no provider {word!r} that takes a key; {closest(word, keys.KEY_VARIABLES)}")
