"""Tables of ``%ai list``: providers, pulled models, aliases. A key is never shown, only whether its variable is set."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from ainb import keys
from ainb.config import closest
from ainb.errors import ConfigError
from ainb.magics.markup import Table
from ainb.providers.services import SERVICES, SYNONYMS, Service


def services_table(name: str | None) -> Table:
    """Providers with base URL and key variable.

    Args:
        name: One provider; None means all.

    Raises:
        ConfigError: There is no provider of that name.
    """
    wanted = SYNONYMS.get(name, name) if name else None
    if wanted is not None and wanted not in SERVICES:
        raise ConfigError(f"there is no provider {name!r}; {closest(wanted, SERVICES)}")
    rows = [
        (service.name, _base_url(service), _key(service))
        for service in SERVICES.values()
        if wanted in {None, service.name}
    ]
    return Table(caption="Providers", columns=("provider", "base URL", "key"), rows=rows)


def _base_url(service: Service) -> str:
    url = os.environ.get(service.base_url_variable or "") or service.base_url
    if url is None:
        return f"set {service.base_url_variable}" if service.base_url_variable else "on this machine"
    # A URL may carry a password or a token, and this table ends up in a saved notebook.
    return re.sub(r"^(\w+://)[^/?#]*@", r"\1", url).partition("?")[0]


def _key(service: Service) -> str:
    if service.key_variable is None:
        return "none needed"
    place = keys.where(service.key_variable)
    if place is not None:
        return f"{service.key_variable} is set" + ("" if place == "environment" else f" ({place})")
    return f"{service.key_variable} is not set" if service.key_needed else "none needed"


def pulled_models() -> list[str]:
    """Names of the models on this machine."""
    from ainb.providers import weights

    return sorted(weights.pulled())


def local_table() -> list[Table]:
    """The pulled models, as a table or none."""
    models = pulled_models()
    rows = [(f"local:{model}",) for model in models]
    return [Table(caption="Models on this machine", columns=("model",), rows=rows)] if rows else []


def aliases_table(aliases: Mapping[str, str]) -> list[Table]:
    """The aliases, as a table or none."""
    rows = sorted(aliases.items())
    return [Table(caption="Aliases", columns=("alias", "model"), rows=rows)] if rows else []
