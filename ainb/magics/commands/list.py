"""``%ai list``: providers, pulled models and aliases; of a key only whether its variable is set."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping

from ainb import keys
from ainb.engine import ENGINE
from ainb.errors import AinbError, ConfigError
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import NotebookShell
from ainb.panels.markup import Report, Table
from ainb.providers import plugins
from ainb.providers.pydantic_ai import names as pydantic_names
from ainb.providers.services import SERVICES, SYNONYMS, Service
from ainb.suggestions import closest


def show_list(shell: NotebookShell, arguments: Arguments) -> Report:
    """Providers, pulled models and aliases; for one provider, the models that it offers now."""
    config = shell.session().config
    service = arguments.words[0] if arguments.words else None
    if service is None:
        return Report(tables=[services_table(None), *local_table(), *aliases_table(config.aliases)])
    tables = [services_table(service), *(local_table() if service == "local" else ())]
    provider = shell.session().provider(SYNONYMS.get(service, service))
    if not hasattr(provider, "list_models"):
        return Report(tables=tables)
    try:
        names = ENGINE.run(provider.list_models())
    except AinbError as error:
        return Report([str(error)], tables)
    models = Table(
        caption="Models", columns=("model",), rows=[(f"{provider.name}:{name}",) for name in names]
    )
    return Report(tables=[*tables, models])


def services_table(name: str | None) -> Table:
    """Table of the providers with base URL and key variable.

    Args:
        name: One provider; None means all.

    Raises:
        ConfigError: There is no provider of that name.
    """
    wanted = SYNONYMS.get(name, name) if name else None
    others = plugins.packages()
    if wanted is not None and wanted not in SERVICES and wanted not in others:
        raise ConfigError(f"there is no provider {name!r}; {closest(wanted, [*SERVICES, *others])}")
    rows = [(service.name, _base_url(service), _key(service)) for service in SERVICES.values()]
    rows += [(other, f"package {package}", "see the package") for other, package in others.items()]
    rows = [row for row in rows if wanted in {None, row[0]}]
    return Table(caption="Providers", columns=("provider", "base URL", "key"), rows=rows)


def provider_names() -> list[str]:
    """Provider names: the built-in services, then those of plugins."""
    return [*SERVICES, *plugins.names()]


def model_prefixes() -> list[str]:
    """Prefixes of model names, for Tab: ``openai:``, and with pydantic-ai installed ``pydantic:google:``."""
    found = [f"{name}:" for name in provider_names()]
    if importlib.util.find_spec("pydantic_ai") is not None:
        found += [f"{pydantic_names.SERVICE}:{name}:" for name in pydantic_names.OFFERED]
    return found


def _base_url(service: Service) -> str:
    if service.protocol == "pydantic":
        return "pydantic:PROVIDER:MODEL, through pydantic-ai"
    url = os.environ.get(service.base_url_variable or "") or service.base_url
    if url is None:
        return f"set {service.base_url_variable}" if service.base_url_variable else "on this machine"
    # A URL may carry a password or a token, and this table ends up in a saved notebook.
    return re.sub(r"^(\w+://)[^/?#]*@", r"\1", url).partition("?")[0]


def _key(service: Service) -> str:
    if service.protocol == "pydantic":
        return "the provider's own"
    if service.key_variable is None:
        return "none needed"
    place = keys.where(service.key_variable)
    if place is not None:
        return f"{service.key_variable} is set" + ("" if place == "environment" else f" ({place})")
    return f"{service.key_variable} is not set" if service.key_needed else "none needed"


def pulled_models() -> list[str]:
    """Names of the models on this machine."""
    from ainb.providers.local import weights

    return sorted(weights.pulled())


def local_table() -> list[Table]:
    """The pulled models as a table; an empty list without any."""
    models = pulled_models()
    rows = [(f"local:{model}",) for model in models]
    return [Table(caption="Models on this machine", columns=("model",), rows=rows)] if rows else []


def aliases_table(aliases: Mapping[str, str]) -> list[Table]:
    """The aliases as a table; an empty list without any."""
    rows = sorted(aliases.items())
    return [Table(caption="Aliases", columns=("alias", "model"), rows=rows)] if rows else []
