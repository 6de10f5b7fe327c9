"""``%ai alias`` and ``%ai dealias``: aliases of models, for this kernel or saved in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

from ainb.config import find_pyproject
from ainb.errors import ConfigError
from ainb.magics.commands.alias_file import TABLE, forget_alias, save_alias
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.parsing.flags import Flag
from ainb.magics.shell import NotebookShell
from ainb.providers import split_model
from ainb.suggestions import closest

SAVE = Flag(
    name="save",
    goes_to="cell",
    help="keep it in [tool.ainb.aliases] of the nearest pyproject.toml",
    example="%ai alias fast openai:gpt-5-mini --save",
)
UNSAVE = Flag(
    name="save",
    goes_to="cell",
    help="remove it from pyproject.toml as well",
    example="%ai dealias fast --save",
)


def set_alias(shell: NotebookShell, arguments: Arguments) -> str:
    """Set an alias of a model until the kernel ends, or permanently with ``--save``."""
    name, target = arguments.words
    known = dict(shell.session().config.aliases)
    if not name or set(name) & set(":/"):
        raise ConfigError(f"an alias is one word without : and /; it is {name!r}")
    service, model = split_model(target, {key: value for key, value in known.items() if key != name})
    shell.settings.set_option("aliases", {**known, name: target})
    if "save" not in arguments.cell:
        return f"{name} is {service}:{model} now; --save keeps it in {TABLE} of pyproject.toml"
    path = _pyproject()
    save_alias(path, name, target)
    return f"{name} is {service}:{model} now, and kept in {path}"


def drop_alias(shell: NotebookShell, arguments: Arguments) -> str:
    """Remove an alias."""
    (name,) = arguments.words
    known = dict(shell.session().config.aliases)
    if name not in known:
        way_out = closest(name, known) if known else "there are none"
        raise ConfigError(f"there is no alias {name!r}; {way_out}")
    del known[name]
    shell.settings.set_option("aliases", known)
    if "save" not in arguments.cell:
        return f"{name} is no longer an alias"
    path = _pyproject()
    was_kept = forget_alias(path, name)
    return f"{name} is no longer an alias, and {'taken out of' if was_kept else 'was not in'} {path}"


def _pyproject() -> Path:
    """The nearest pyproject.toml, from which options are read; else a new one in the working folder."""
    return find_pyproject(Path.cwd()) or Path.cwd() / "pyproject.toml"
