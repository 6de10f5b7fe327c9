"""Provider adapters, one per protocol; `split_model` and `make_provider` are the entry points."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ainb import keys
from ainb.errors import ConfigError
from ainb.providers import local as local_models
from ainb.providers import plugins
from ainb.providers import pydantic_ai as pydantic_names
from ainb.providers.services import NICKNAMES, OWN_NAMES, SERVICES, SYNONYMS, THROUGH_PYDANTIC
from ainb.suggestions import closest

if TYPE_CHECKING:
    from pathlib import Path

    from ainb.clock import Clock
    from ainb.messages import Provider
    from ainb.providers.local import Local

MAX_ALIAS_STEPS = 10
# Module and class of each protocol's adapter, which are imported on first use.
_ADAPTERS: Mapping[str, tuple[str, str]] = {
    "openai": ("openai", "OpenAIProvider"),
    "anthropic": ("anthropic", "AnthropicProvider"),
    "local": ("local", "LocalProvider"),
    "pydantic": ("pydantic_ai", "PydanticAIProvider"),
    "scripted": ("scripted", "ScriptedProvider"),
}
EMBEDDED = "smollm2"


def split_model(text: str, aliases: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Read ``provider:model`` or ``provider/model``, following aliases.

    Returns:
        Service name and the service's own model name.

    Raises:
        ConfigError: The service is unknown, the model is missing, or the aliases form a cycle.
    """
    name = text.strip()
    for _ in range(MAX_ALIAS_STEPS):
        target = (aliases or {}).get(name)
        if target is None:
            break
        name = target.strip()
    else:
        raise ConfigError(
            f"the alias {text!r} refers to itself through other aliases; set it again with %ai alias NAME "
            "PROVIDER:MODEL"
        )
    name = NICKNAMES.get(name, name)
    if not set(name) & {":", "/"}:
        name = _with_service(name)
    service, model = _divide(name)
    if service not in SERVICES and service not in (others := plugins.names()):
        hint = _nearest(service, [*SERVICES, *others, *(aliases or {})])
        raise ConfigError(f"{name!r} names no provider and no alias; write provider:model; {hint}")
    if not model:
        raise ConfigError(f"{name!r} names a provider but no model; write {service}:MODEL")
    return service, model


def _nearest(word: str, known: list[str]) -> str:
    """A suggestion for a misspelt name: a pulled model with its ``local:``, or a similar known name."""
    near = difflib.get_close_matches(word.lower(), [EMBEDDED, *local_models.pulled()], n=1, cutoff=0.8)
    if near:
        return f"did you mean 'local:{near[0]}'?"
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"providers are: {', '.join(SERVICES)}"


def _divide(name: str) -> tuple[str, str]:
    """Service and model of ``service:model`` or ``service/model``.

    Services that are reached through pydantic-ai become ``pydantic`` and ``service:model``.
    """
    at = min((place for mark in ":/" if (place := name.find(mark)) > 0), default=len(name))
    service, model = name[:at], name[at + 1 :].strip()
    service = SYNONYMS.get(service, service)
    if model and service in THROUGH_PYDANTIC and service not in plugins.names():
        return pydantic_names.SERVICE, f"{THROUGH_PYDANTIC[service]}:{model}"
    return service, model


def _with_service(name: str) -> str:
    """The name with its service in front where only one service has such names; otherwise unchanged."""
    found = (service for pattern, service in OWN_NAMES if re.match(pattern, name))
    service = next(found, None)
    return f"{service}:{name}" if service else name


def make_provider(
    service: str,
    *,
    clock: Clock,
    allow_insecure_http: bool = False,
    local: Local | None = None,
    home: Path | None = None,
    headers: Mapping[str, str] | None = None,
) -> Provider:
    """The adapter of a service. Its module is imported on first use.

    Args:
        service: Service name.
        clock: Clock of the session.
        allow_insecure_http: Whether prompts and keys may go to another machine over plain http.
        local: How llama.cpp serves models; None means the defaults.
        home: Folder for the record of parameters that models refused; None keeps the record in memory.
        headers: The user's own HTTP headers for this service.
    """
    if service not in SERVICES:
        return plugins.make_plugin(service, clock=clock)
    kind = SERVICES[service].protocol
    module, name = _ADAPTERS[kind]
    make = getattr(importlib.import_module(f"ainb.providers.{module}"), name)
    options: dict[str, Any] = {"clock": clock}
    if kind == "local" and local is not None:
        options["options"] = local
    if kind in {"openai", "anthropic", "pydantic"}:
        options["allow_insecure_http"] = allow_insecure_http
    if kind in {"openai", "anthropic"}:
        from ainb.providers.lessons.learnt import memory_of

        make = functools.partial(make, SERVICES[service], memory=memory_of(home), headers=headers)
    adapter: Provider = make(**options)
    return adapter


def check_headers(service: str, headers: Mapping[str, str]) -> None:
    """Check the configured headers of a service: it exists, and each name is a valid header name.

    Raises:
        ConfigError: The service or a name is invalid. The message never holds a header's value.
    """
    from ainb.providers.remote.body import check_header_names

    known = [*SERVICES, *plugins.names()]
    if service not in known:
        raise ConfigError(f"there is no service {service!r}; {closest(service, known)}")
    check_header_names(headers, f"the headers of {service}")


def missing_key(service: str, model: str = "") -> str | None:
    """Environment variable of a service's key if the key is needed and not set, otherwise None.

    Args:
        service: Service name.
        model: The service's own model name; with ``pydantic:`` it determines the provider and so the key.
    """
    if service == pydantic_names.SERVICE:
        provider = pydantic_names.split_name(model)[0]
        names = pydantic_names.key_variables(provider)
        found = not pydantic_names.needs_key(provider) or any(keys.get(name) for name in names)
        return None if found else names[0]
    row = SERVICES.get(service)
    if row is None or not row.key_needed or row.key_variable is None or keys.get(row.key_variable):
        return None
    return row.key_variable


def embedded_model() -> str | None:
    """``local:smollm2`` when llama.cpp is installed and the model is pulled, else None.

    Nothing is downloaded.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        return None
    return f"local:{EMBEDDED}" if local_models.is_pulled(EMBEDDED) else None


def ways_to_choose() -> str:
    """Message for a missing model: how to choose one, and which provider keys are set."""
    names = keys.found()
    found = f"keys found: {', '.join(names)}" if names else "no provider keys found"
    return (
        "no model is configured; write one after %%ai (openai:gpt-5-mini, ollama:llama3.2, …), set "
        "%config Ainb.model, AINB_MODEL or [tool.ainb] model, or get the small local one with "
        f"pip install 'ainb-notebook[local]' and %ai pull smollm2; {found}"
    )
