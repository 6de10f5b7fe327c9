"""Address of the shared state: a Redis URL whose password is never shown."""

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
PASSWORD_VARIABLE = "AINB_STATE_PASSWORD"  # noqa: S105 - the variable's name, not its value
DEFAULT_NAMESPACE = "ainb"
DEFAULT_PORT = 6379
_FORM = "redis://host:6379/0 or rediss://… (?namespace=team keeps teams on one server apart)"
_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class StateAddress:
    """A Redis server and a namespace in it.

    Attributes:
        url: The URL as given, password included; never printed.
        namespace: Prefix of every key; it separates teams on one server.
    """

    url: str = field(repr=False)
    namespace: str = DEFAULT_NAMESPACE

    @property
    def place(self) -> str:
        """Host, port and database, without secrets."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or DEFAULT_PORT}{parts.path}"

    def __str__(self) -> str:
        return f"{urlsplit(self.url).scheme}://{self.place}?namespace={self.namespace}"

    def __repr__(self) -> str:
        return f"StateAddress({str(self)!r})"

    def credentials(self, environ: Mapping[str, str] | None = None) -> dict[str, str]:
        """User name and password from the environment, for those that the URL lacks.

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
        """The address for another machine, which reads user name and password from its own environment."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        query = "&".join(
            item for item in parts.query.split("&") if not item.startswith(("password", "username"))
        )
        return StateAddress(urlunsplit(parts._replace(netloc=host, query=query)), self.namespace)


def parse_state(value: Any) -> StateAddress | None:
    """Read the option ``state``; None and "" mean local state.

    Raises:
        ConfigError: The value is not a Redis URL; the message does not repeat it, since it may contain a
            password.
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
            f"state takes a URL such as {_FORM}; the given value is not one (not shown, it may hold a "
            "password)"
        )
    options = parse_qs(parts.query)
    namespace = options.pop("namespace", [DEFAULT_NAMESPACE])[-1]
    if not _NAMESPACE.fullmatch(namespace):
        raise ConfigError(
            "the namespace of state takes 1 to 64 letters, digits, dots, dashes and underscores; it is "
            f"{namespace!r}"
        )
    query = "&".join(item for item in parts.query.split("&") if item and not item.startswith("namespace="))
    return StateAddress(urlunsplit(parts._replace(query=query)), namespace)


def require_extra() -> None:
    """Check that redis-py is installed, without loading it.

    Raises:
        ConfigError: It is not installed; the message names the extra.
    """
    if importlib.util.find_spec("redis") is None:
        raise ConfigError(
            'state on Redis needs the extra "redis"; pip install "ainb-notebook[redis]", or leave state empty'
        )
