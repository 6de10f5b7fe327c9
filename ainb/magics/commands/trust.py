"""``%ai trust`` and ``%ai untrust``: let the pyproject.toml of a folder set every option, or not."""

from __future__ import annotations

import os
from pathlib import Path

from ainb import config
from ainb import session as sessions
from ainb.config import VARIABLE
from ainb.errors import ConfigError
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import NotebookShell


def trust_folder(shell: NotebookShell, arguments: Arguments) -> str:
    """Trust the project of a folder.

    Raises:
        ConfigError: There is no such folder, its pyproject.toml cannot be read, or the list of trusted
            folders cannot be written.
    """
    folder = _project_folder(arguments)
    needing = config.needs_trust(folder)
    config.trust(folder)
    _read_options_again(shell)
    now = f"it sets {', '.join(sorted(needing))}" if needing else "it sets none that needs trust now"
    return f"{folder} is trusted: its pyproject.toml may set every option; {now}"


def untrust_folder(shell: NotebookShell, arguments: Arguments) -> str:
    """Withdraw the trust in the project of a folder."""
    folder = _named_folder(arguments)
    # A folder that was deleted stays on the list: a later one in its place would be trusted.
    if folder.is_dir() or str(folder) not in config.trusted_folders():
        folder = _project_folder(arguments)
    was_listed = config.untrust(folder)
    _read_options_again(shell)
    if config.is_trusted(folder, os.environ):
        return f"{folder} is trusted by {VARIABLE} of the environment; remove it there"
    others = sorted(config.trusted_folders())
    rest = f"; still trusted: {', '.join(others)}" if others else ""
    return f"{folder} {'is no longer trusted' if was_listed else 'was not trusted'}{rest}"


def _project_folder(arguments: Arguments) -> Path:
    """The folder whose pyproject.toml applies to the named folder, with links resolved."""
    folder = _named_folder(arguments)
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {_name(arguments)!r}; give the folder of a pyproject.toml")
    found = config.find_pyproject(folder)
    return folder if found is None else Path(os.path.realpath(found.parent))


def _named_folder(arguments: Arguments) -> Path:
    return Path(os.path.realpath(Path(_name(arguments)).expanduser()))


def _name(arguments: Arguments) -> str:
    return arguments.words[0] if arguments.words else os.curdir


def _read_options_again(shell: NotebookShell) -> None:
    """Read the options again for the next call, which also raises their errors."""
    try:
        if shell.settings.changed is not None:
            shell.settings.changed()
    except ConfigError:
        sessions.use(None)
