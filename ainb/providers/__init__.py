"""One adapter a protocol; `find_model` and `make_provider` are how the rest of the house reaches them."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ainb import keys
from ainb.errors import ConfigError
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
        ConfigError: The text names no known service, no model, or aliases that lead in a circle.
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
    """What was meant: a model of this machine without its ``local:``, else a known name that is similar."""
    from ainb.providers import local as local_models

    near = difflib.get_close_matches(word.lower(), [EMBEDDED, *local_models.pulled()], n=1, cutoff=0.8)
    if near:
        return f"did you mean 'local:{near[0]}'?"
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"providers are: {', '.join(SERVICES)}"


def _divide(name: str) -> tuple[str, str]:
    """Service and model of ``service:model`` or ``service/model``.

    Some services stand behind ``pydantic:``.
    """
    at = min((place for mark in ":/" if (place := name.find(mark)) > 0), default=len(name))
    service, model = name[:at], name[at + 1 :].strip()
    service = SYNONYMS.get(service, service)
    if model and service in THROUGH_PYDANTIC and service not in plugins.names():
        return pydantic_names.SERVICE, f"{THROUGH_PYDANTIC[service]}:{model}"
    return service, model


def _with_service(name: str) -> str:
    """The name behind its service where it can only be one's; else as it is."""
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
    """The adapter of a service; its module is imported here and not before.

    Args:
        service: Service name.
        clock: Where time comes from.
        allow_insecure_http: Whether prompts and keys may go to another machine over plain http.
        local: How llama.cpp serves models; None means the defaults.
        home: Folder in which it is remembered what models refuse; None remembers it in the process alone.
        headers: HTTP headers of the user's own for this service; None means none.
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
        from ainb.providers.learnt import memory_of

        make = functools.partial(make, SERVICES[service], memory=memory_of(home), headers=headers)
    adapter: Provider = make(**options)
    return adapter


def check_headers(service: str, headers: Mapping[str, str]) -> None:
    """Refuse headers for a service that does not exist, and names that are no header names.

    Raises:
        ConfigError: It says which, and never a value.
    """
    from ainb.providers.adapted import check_header_names

    known = [*SERVICES, *plugins.names()]
    if service not in known:
        raise ConfigError(f"there is no service {service!r}; {closest(service, known)}")
    check_header_names(headers, f"the headers of {service}")


def missing_key(service: str, model: str = "") -> str | None:
    """The variable that a service needs its key in and that is not set, or None.

    Args:
        service: Service name.
        model: The service's own model name; behind ``pydantic:`` it says whose key it is.
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
    from ainb.providers import local as local_models

    return f"local:{EMBEDDED}" if local_models.is_pulled(EMBEDDED) else None


def ways_to_choose() -> str:
    """What to say when no model is configured: the ways to choose one, and which keys there are."""
    names = keys.found()
    found = f"keys found: {', '.join(names)}" if names else "no provider keys found"
    return (
        "no model is configured; write one behind %%ai (openai:gpt-5-mini, ollama:llama3.2, …), set %config "
        "Ainb.model, AINB_MODEL "
        "or [tool.ainb] model, or get the small local one with pip install 'ainb-notebook[local]' and %ai "
        f"pull smollm2; {found}"
    )
