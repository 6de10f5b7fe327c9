"""Sources of options, highest priority first: arguments, ``%config Ainb``, environment, pyproject.toml."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ainb.config import project
from ainb.config.tree import OPTIONS, Config
from ainb.config.trust import FILE, find_pyproject, is_trusted
from ainb.config.values import OFF, ON, UnsafeTextError
from ainb.errors import ConfigError
from ainb.suggestions import closest

MAX_FILE_BYTES = 2**24


@dataclass(frozen=True)
class _Project:
    """``[tool.ainb]`` of the nearest pyproject.toml; `folder` is None when there is no such file."""

    folder: Path | None
    table: Mapping[str, Any]
    values: Mapping[str, Any]

    def needs_trust(self) -> dict[str, str]:
        """Reason by name of an option that needs trust."""
        return {} if self.folder is None else project.refused(self.values, self.table, self.folder)


def load_config(
    arguments: Mapping[str, Any] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Config:
    """Merge the options from all sources.

    Args:
        arguments: Options from the caller; values are used unchanged, None included.
        settings: Options from ``%config Ainb``: raw values, only those that the user has set.
        environ: Environment variables; None means the process's own.
        folder: Folder in which the search for pyproject.toml starts; None means the working folder.

    Raises:
        ConfigError: A key is unknown (the message names the nearest known one), a value is not valid, or a
            project that is not trusted sets an option that needs trust.
    """
    variables = os.environ if environ is None else environ
    found = _read_project(folder)
    own = _read_environment(variables)
    own.update(read_settings(settings or {}))
    own.update(arguments or {})
    _check_project(found, own, variables)
    merged = {**found.values, **own}
    unknown = merged.keys() - OPTIONS.keys()
    if unknown:
        name = min(unknown)
        raise ConfigError(f"there is no option {name!r}; {closest(name, OPTIONS)}")
    return Config(**merged)


def read_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Parse values set with ``%config Ainb`` into options.

    Raises:
        ConfigError: A name is unknown or a value is not valid.
    """
    return _read_table(settings, "%config Ainb")


def needs_trust(folder: Path) -> dict[str, str]:
    """The options in the pyproject.toml of `folder` that are accepted only when the folder is trusted.

    Returns:
        Reason by name of the option.

    Raises:
        ConfigError: The file cannot be read.
    """
    return _read_project(folder).needs_trust()


def _read_project(folder: Path | None) -> _Project:
    path = find_pyproject(folder or _working_folder())
    if path is None:
        return _Project(None, {}, {})
    table = _ainb_table(path)
    values = _read_table(table, "[tool.ainb]")
    # A relative path is relative to the project, whichever of its folders the kernel was started in.
    values |= {name: path.parent / value for name, value in values.items() if isinstance(value, Path)}
    return _Project(path.parent, table, values)


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it was deleted
        return Path("/")


def _ainb_table(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(f"{FILE} is larger than 16 MB and is not read; start the kernel elsewhere")
        tool = tomllib.loads(content.decode("utf-8")).get("tool", {})
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{FILE} cannot be read ({error}); correct it or start the kernel elsewhere"
        ) from None
    table = tool.get("ainb", {}) if isinstance(tool, Mapping) else {}
    return table if isinstance(table, Mapping) else {}


def _check_project(found: _Project, own: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Refuse options that need trust, unless the folder has it or the user has set the same option."""
    for name, reason in found.needs_trust().items():
        if found.folder and name.partition(".")[0] not in own and not is_trusted(found.folder, environ):
            raise project.refusal(name, reason, found.folder)


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read scalars from ``AINB_NAME`` and options of stages from ``AINB_STAGE_NAME``.

    An example is AINB_RETRY_ATTEMPTS.
    """
    read: dict[str, Any] = {}
    for name, item in OPTIONS.items():
        variable = f"AINB_{name.upper()}"
        if "section" not in item.metadata:
            if variable in environ and name not in project.WITHOUT_VARIABLE:
                read[name] = _read_option(name, environ[variable], variable)
            continue
        table: dict[str, Any] = {
            inner.name: _from_text(environ[key])
            for inner in dataclasses.fields(item.metadata["section"])
            if (key := f"{variable}_{inner.name.upper()}") in environ
        }
        if table or environ.get(variable):
            read[name] = _read_option(name, table or environ[variable], variable)
    return read


def _read_table(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, value in table.items():
        if name not in OPTIONS:
            raise ConfigError(f"{where} has no option {name!r}; {closest(name, OPTIONS)}")
        read[name] = _read_option(name, value, where)
    return read


def _read_option(name: str, value: Any, where: str) -> Any:
    item = OPTIONS[name]
    if "section" in item.metadata:
        return _read_stage(item, value, where)
    try:
        return item.metadata["read"](value)
    except UnsafeTextError as error:
        raise ConfigError(f"{where}: {name} takes {error}") from None
    except ValueError as error:
        raise ConfigError(f"{where}: {name} takes {error}; it is {value!r}") from None


def read_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parse a session's arguments by option name; a stage takes its options object, a dict or a short form.

    Raises:
        ConfigError: An argument has another form.
    """
    read = dict(given)
    for name, value in given.items():
        if "section" in OPTIONS[name].metadata or name == "headers":
            read[name] = _read_option(name, value, "Session")
    return read


def _read_stage(item: dataclasses.Field[Any], value: Any, where: str) -> Any:
    """Read options of a stage: a table, a short form, true for the defaults, false or None for off."""
    kind, short = item.metadata["section"], item.metadata["short"]
    if value is None or value is False:
        return None
    if isinstance(value, kind):
        return value
    if isinstance(value, Mapping):
        return _read_section(item, value, where)
    if isinstance(value, str) and value.lower() in {*OFF, "none"}:
        return None
    if short is not None and isinstance(value, str | int | float) and value is not True:
        return short(str(value))
    if value is True or (isinstance(value, str) and value.lower() in ON):
        return _read_section(item, {}, where)
    raise ConfigError(f"{where}: {item.name} takes a table of options or false; it is {value!r}")


def _read_section(item: dataclasses.Field[Any], table: Mapping[str, Any], where: str) -> Any:
    kind = item.metadata["section"]
    known = {inner.name for inner in dataclasses.fields(kind)}
    for name in table:
        if name not in known:
            raise ConfigError(f"{where}: {item.name} has no option {name!r}; {closest(name, known)}")
    return kind(**table)


def _from_text(text: str) -> Any:
    """Parse a text as a TOML value (number, true, list) if it is one, else return the text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return None if text.lower() in {"none", "null", ""} else text
