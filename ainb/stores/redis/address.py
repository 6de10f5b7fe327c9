"""Where shared state lives: a Redis URL whose password is never shown."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from ainb.errors import ConfigError

SCHEMES = ("redis", "rediss")
USERNAME_VARIABLE = "AINB_STATE_USERNAME"
PASSWORD_VARIABLE = "AINB_STATE_PASSWORD"  # noqa: S105 - the variable's name, not what is in it
DEFAULT_NAMESPACE = "ainb"
DEFAULT_PORT = 6379
_FORM = "redis://host:6379/0 or rediss://… (?namespace=team keeps teams on one server apart)"
_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class StateAddress:
    """A Redis server and a namespace in it.

    Attributes:
        url: The whole URL as it was given, password included; never printed.
        namespace: In front of every key, so that teams on one server do not meet.
    """

    url: str = field(repr=False)
    namespace: str = DEFAULT_NAMESPACE

    @property
    def place(self) -> str:
        """Host, port and database, with nothing secret in it."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or DEFAULT_PORT}{parts.path}"

    def __str__(self) -> str:
        return f"{urlsplit(self.url).scheme}://{self.place}?namespace={self.namespace}"

    def __repr__(self) -> str:
        return f"StateAddress({str(self)!r})"

    def credentials(self, environ: Mapping[str, str] | None = None) -> dict[str, str]:
        """Name and password that the URL leaves out, from the environment.

        Args:
            environ: Environment variables; None means the process's own.
        """
        variables = os.environ if environ is None else environ
        parts = urlsplit(self.url)
        wanted = (
            ("username", parts.username, USERNAME_VARIABLE),
            ("password", parts.password, PASSWORD_VARIABLE),
        )
        return {
            name: variables[variable]
            for name, given, variable in wanted
            if not given and variables.get(variable)
        }

    def without_secrets(self) -> StateAddress:
        """The same place for another machine, which reads name and password from its own environment."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        query = "&".join(
            item for item in parts.query.split("&") if not item.startswith(("password", "username"))
        )
        return StateAddress(urlunsplit(parts._replace(netloc=host, query=query)), self.namespace)


def parse_state(value: Any) -> StateAddress | None:
    """Read the option ``state``; None and "" mean state of this machine.

    Raises:
        ConfigError: It is no Redis URL; the value is not repeated, since it may hold a password.
    """
    if value is None or isinstance(value, StateAddress):
        return value
    if not isinstance(value, str):
        raise ConfigError(f"state takes a URL such as {_FORM}; it is {type(value).__name__}")
    if value == "":
        return None
    try:
        parts = urlsplit(value)
        valid = parts.scheme in SCHEMES and bool(parts.hostname) and (parts.port or DEFAULT_PORT) > 0
        valid = valid and (parts.path.strip("/") or "0").isdigit()
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(
            f"state takes a URL such as {_FORM}; what was given is none (not shown, it may hold a password)"
        )
    options = parse_qs(parts.query)
    namespace = options.pop("namespace", [DEFAULT_NAMESPACE])[-1]
    if not _NAMESPACE.fullmatch(namespace):
        raise ConfigError(
            f"the namespace of state takes 1 to 64 letters, digits, dots, dashes and underscores; it is {namespace!r}"
        )
    query = "&".join(item for item in parts.query.split("&") if item and not item.startswith("namespace="))
    return StateAddress(urlunsplit(parts._replace(query=query)), namespace)


def require_extra() -> None:
    """Make sure that redis-py is there, without loading it.

    Raises:
        ConfigError: It is not; the message names the extra.
    """
    if importlib.util.find_spec("redis") is None:
        raise ConfigError(
            'state on Redis needs the extra "redis"; pip install "ainb-notebook[redis]", or leave state empty'
        )
