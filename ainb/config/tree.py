"""Every option in one frozen tree, and where each may come from.

First found wins: an argument, ``%config Ainb``, the environment (``AINB_…``), ``[tool.ainb]`` of the nearest
pyproject.toml, the default written here or beside the stage.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ainb.config.values import (
    UnsafeTextError,
    one_of,
    option,
    read_flag,
    read_headers,
    read_models,
    read_names,
    read_path,
    read_table,
    read_text,
    read_tokens,
    section,
)
from ainb.errors import ConfigError
from ainb.pipeline.budget.options import Budget, parse_budget
from ainb.pipeline.cache.options import Cache
from ainb.pipeline.circuit.state_machine import Circuit
from ainb.pipeline.deadline.stage import Deadline
from ainb.pipeline.rate_limit.options import RateLimit
from ainb.pipeline.retry.policy import Retry
from ainb.pipeline.validation.options import Validation, parse_validation
from ainb.plain import plain_fields
from ainb.providers.local.child import Local
from ainb.stores.local import default_home
from ainb.stores.redis.address import StateAddress, parse_state
from ainb.suggestions import closest
from ainb.usage.log.log import Log

ON = frozenset({"1", "true", "yes", "on"})
OFF = frozenset({"0", "false", "no", "off", "none"})
REPLAYS = ("off", "record", "replay", "auto")
DISPLAYS = ("auto", "widgets", "html", "text", "static", "off")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every option of a session.

    Raises:
        ConfigError: A value makes no sense; the message names option, value and range.
    """

    model: str | None = option(
        None, read_text, "model of cells that name none, as provider:model or an alias"
    )
    api_base: str | None = option(None, read_text, "base URL in place of the provider's own")
    fallback: tuple[str, ...] = option(
        tuple, read_models, "models that are asked, in order, when the one before is down"
    )
    allow_insecure_http: bool = option(
        default=False,
        read=read_flag,
        text="let prompts and keys go to another machine over plain http (not from pyproject.toml)",
    )
    headers: Mapping[str, Mapping[str, str]] = option(
        dict,
        read_headers,
        'own HTTP headers by service, as in {"openai": {"X-Team": "$TEAM"}}; $VARIABLE is read when a call is made (not from '
        "pyproject.toml)",
    )
    env_file: Path | None = option(
        None,
        read_path,
        "file of NAME=value lines, such as .env, where keys are looked up after the environment (not from pyproject.toml)",
    )
    home: Path | None = option(
        None, read_path, "folder of cache, usage log and journals (default: the user's data folder)"
    )
    chat_tokens: int = option(
        8_000, read_tokens, "tokens of earlier turns that go out with a question of a chat"
    )
    display: str = option(
        "auto", one_of(*DISPLAYS), "how replies and panels are shown: " + ", ".join(DISPLAYS)
    )
    state: StateAddress | None = option(
        None,
        parse_state,
        "Redis URL of limits, circuits, budgets and cache that others share (default: this machine's own)",
    )
    aliases: Mapping[str, str] = option(dict, read_names, "short names for models")
    prices: Mapping[str, Mapping[str, Any]] = option(
        dict, read_table, "prices of models: NAME = { input_usd_per_million = …, … }"
    )
    log: Log = section(Log, "what the usage log keeps")
    log_content: bool = option(
        default=False, read=read_flag, text="keep prompts and replies (redacted) in the usage log"
    )
    otel: bool = option(
        default=False,
        read=read_flag,
        text="a span and metrics a call, to the program's own OpenTelemetry providers",
    )
    otel_content: bool = option(
        default=False,
        read=read_flag,
        text="put prompts and replies (redacted) into the spans (not from pyproject.toml)",
    )
    replay: str = option(
        "off", one_of(*REPLAYS), "answers from the notebook's cassette: " + ", ".join(REPLAYS)
    )
    footer: bool = option(
        default=True, read=read_flag, text="a line below each reply: model, seconds, tokens, cost"
    )
    validation: Validation | None = section(
        Validation, "what is redacted or refused before it is sent", short=parse_validation
    )
    deadline: Deadline | None = section(Deadline, "time limits of a call and of an attempt")
    cache: Cache | None = section(Cache, "answers that are given again")
    budget: Budget | None = section(
        Budget, "what calls may cost, such as 5/day, 2/session", on=False, short=parse_budget
    )
    retry: Retry | None = section(Retry, "attempts after transient faults")
    rate_limit: RateLimit | None = section(
        RateLimit, "requests, tokens and calls in flight per provider and model"
    )
    user_rate_limit: RateLimit | None = section(
        RateLimit, "requests, tokens and calls in flight of each user (--user), inside those of all", on=False
    )
    local: Local = section(Local, "how llama.cpp serves models on this machine")
    circuit: Circuit | None = section(Circuit, "when a provider that fails is left alone")

    def __post_init__(self) -> None:
        plain_fields(self)
        if self.local is None:
            raise ConfigError(
                "local cannot be off; leave local: models aside, or set its slots and context_tokens"
            )
        if self.log is None:
            raise ConfigError(
                "log cannot be off: budgets, costs and errors are read from it; bound it with max_rows"
            )

    def home_folder(self) -> Path:
        """The folder of cache, usage log and journals; not created here."""
        return self.home if self.home is not None else default_home()


OPTIONS: Mapping[str, dataclasses.Field[Any]] = {item.name: item for item in dataclasses.fields(Config)}


def load_config(
    arguments: Mapping[str, Any] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Config:
    """Merge all places an option may come from.

    Args:
        arguments: From the caller; values are taken as they are, None included.
        settings: From ``%config Ainb``; raw values, only those that the person set.
        environ: Environment variables; None means the process's own.
        folder: Where the search for pyproject.toml starts; None means the working folder.

    Raises:
        ConfigError: A key is unknown (the message names the nearest known one) or a value makes no sense.
    """
    variables = os.environ if environ is None else environ
    project = _read_table(_pyproject_table(folder or Path.cwd()), "[tool.ainb]")
    own = _read_environment(variables)
    own.update(_read_table(settings or {}, "%config Ainb"))
    own.update(arguments or {})
    _check_project(project, own)
    merged = project | own
    unknown = merged.keys() - OPTIONS.keys()
    if unknown:
        name = min(unknown)
        raise ConfigError(f"there is no option {name!r}; {closest(name, OPTIONS)}")
    return Config(**merged)


def find_pyproject(folder: Path) -> Path | None:
    """The pyproject.toml of a folder or of the nearest one above it, or None."""
    paths = (place / "pyproject.toml" for place in (folder, *folder.parents))
    return next((path for path in paths if path.is_file()), None)


def _pyproject_table(folder: Path) -> Mapping[str, Any]:
    path = find_pyproject(folder)
    if path is None:
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("ainb", {})
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"pyproject.toml cannot be read ({error}); mend it or start the kernel elsewhere"
        ) from None
    return table if isinstance(table, Mapping) else {}


def _check_project(project: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse what a project that was merely opened must not decide: where keys come from, and where they and prompts go.

    Raises:
        ConfigError: It says so, and how the person says the same.
    """
    for name in ("allow_insecure_http", "env_file", "headers", "otel_content"):
        if project.get(name):
            raise ConfigError(
                f"pyproject.toml sets {name}, which is for you to decide and not for a project; take it out there and set "
                f"AINB_{name.upper()} or %config Ainb.{name}"
            )
    base = project.get("api_base")
    if base is None or "api_base" in own:
        return
    from ainb.providers.http.hosts import is_local_url

    if not is_local_url(base):
        raise ConfigError(
            f"pyproject.toml sends your prompts and keys to {base}; if you trust this project set AINB_API_BASE={base} "
            "(or %config Ainb.api_base), else set AINB_API_BASE to nothing"
        )


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Scalars from ``AINB_NAME``; options of a stage from ``AINB_STAGE_NAME``, such as AINB_RETRY_ATTEMPTS."""
    read: dict[str, Any] = {}
    for name, item in OPTIONS.items():
        variable = f"AINB_{name.upper()}"
        if "section" not in item.metadata:
            if variable in environ and not str(item.type).startswith("Mapping"):
                read[name] = _read_value(name, item, environ[variable], variable)
            continue
        table: dict[str, Any] = {
            inner.name: _from_text(environ[key])
            for inner in dataclasses.fields(item.metadata["section"])
            if (key := f"{variable}_{inner.name.upper()}") in environ
        }
        if table or environ.get(variable):
            read[name] = _read_stage(item, table or environ[variable], variable)
    return read


def _read_table(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, value in table.items():
        if name not in OPTIONS:
            raise ConfigError(f"{where} has no option {name!r}; {closest(name, OPTIONS)}")
        item = OPTIONS[name]
        if "section" not in item.metadata:
            read[name] = _read_value(name, item, value, where)
        else:
            read[name] = _read_stage(item, value, where)
    return read


def _read_value(name: str, item: dataclasses.Field[Any], value: Any, where: str) -> Any:
    try:
        return item.metadata["read"](value)
    except UnsafeTextError as error:
        raise ConfigError(f"{where}: {name} takes {error}") from None
    except ValueError as error:
        raise ConfigError(f"{where}: {name} takes {error}; it is {value!r}") from None


def read_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a session by name of their option: those of a stage may be given as options, a dict or a short form.

    Raises:
        ConfigError: One of them is none of these.
    """
    read = dict(given)
    for name, value in given.items():
        if "section" in OPTIONS[name].metadata:
            read[name] = _read_stage(OPTIONS[name], value, "Session")
        elif name == "headers":
            read[name] = _read_value(name, OPTIONS[name], value, "Session")
    return read


def _read_stage(item: dataclasses.Field[Any], value: Any, where: str) -> Any:
    """Options of a stage: a table, a short form, true for the defaults, false or None for off."""
    kind, short = item.metadata["section"], item.metadata["short"]
    if value is None or value is False:
        return None
    if isinstance(value, kind):
        return value
    if isinstance(value, Mapping):
        return _read_section(item, value, where)
    if isinstance(value, str) and value.lower() in OFF:
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
    """A TOML value where it is one (number, true, list), else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return None if text.lower() in {"none", "null", ""} else text
