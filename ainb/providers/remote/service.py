"""A service over HTTP: its endpoint, key and headers for each call."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from ainb import keys
from ainb.errors import ConfigError
from ainb.messages import Request
from ainb.providers.http import Target, refuse_cleartext
from ainb.providers.services import Service, base_url_of

MAX_TARGETS = 64
DIGEST_CHARS = 8
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)


class Settings(NamedTuple):
    """Settings of a target from the environment and the caller; one target is cached per set of settings.

    Attributes:
        by_caller: Whether the base URL comes from the call.
        base: Base URL from the call or the environment; None means the service's own.
        key_name: Variable that holds the key, or None.
        key: The key, or None.
        more: Further values of the environment that the protocol sends.
        headers: The user's own headers, with variables replaced.
    """

    by_caller: bool
    base: str | None
    key_name: str | None
    key: str | None
    more: tuple[str | None, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class HttpService:
    """Endpoint, key and headers of a service over HTTP, read on each call.

    Args:
        service: Row of the table of services.
        allow_insecure_http: Whether prompts and keys may go to another machine over plain http.
        headers: The user's own headers for this service; ``$VARIABLE`` in a value is replaced on each call.
    """

    def __init__(
        self, service: Service, *, allow_insecure_http: bool, headers: Mapping[str, str] | None
    ) -> None:
        self._service = service
        self._headers = dict(headers or {})
        self._allow_insecure_http = allow_insecure_http
        self._targets: dict[Settings, tuple[Target, str]] = {}

    @property
    def name(self) -> str:
        """Service name, as in ``provider:model``."""
        return self._service.name

    @property
    def free(self) -> bool:
        """Whether calls cost nothing, because the model runs on the user's own machine."""
        return self._service.free

    def endpoint(self, request: Request) -> str:
        """The base URL; it holds no key.

        Raises:
            ConfigError: There is none, or it is invalid.
        """
        return self._place(request.api_base, request.api_key_name)[0].url

    def account(self, request: Request) -> str:
        """The base URL and the first 8 hex digits of the key's SHA-256, or the base URL alone without a key.

        Raises:
            ConfigError: There is no base URL, or it is invalid.
        """
        return self._place(request.api_base, request.api_key_name)[1]

    def _more(self) -> tuple[str | None, ...]:
        """Further values of the environment that the protocol sends."""
        return ()

    def _target(self, url: str, given: Settings) -> Target:
        """The target of `url`, with the headers of the protocol."""
        raise NotImplementedError

    def _place(
        self, api_base: str | None, api_key_name: str | None, *, send: bool = False
    ) -> tuple[Target, str]:
        # Returns the target and the account, cached per URL and key.
        service = self._service
        variable = service.base_url_variable
        base = api_base or (base_url_of(variable) if variable else None)
        key_name = api_key_name or service.key_variable
        key = keys.get(key_name) if key_name else None
        if key is None and send and (service.key_needed or api_key_name):
            raise ConfigError(
                f"{service.name} needs a key and {key_name} is not set; set it with %ai login "
                f"{service.name if key_name == service.key_variable else key_name}, or in the environment "
                "before Jupyter starts"
            )
        known = Settings(bool(api_base), base, key_name, key, self._more(), self._own_headers(send=send))
        place = self._targets.get(known)
        if place is None:
            if len(self._targets) >= MAX_TARGETS:
                self._targets.clear()
            place = self._targets[known] = self._make(known)
        return place

    def _own_headers(self, *, send: bool) -> tuple[tuple[str, str], ...]:
        if not self._headers:
            return ()
        return tuple((name, _fill(value, name, send=send)) for name, value in self._headers.items())

    def _make(self, given: Settings) -> tuple[Target, str]:
        url = given.base or self._service.base_url
        if url is None:
            raise ConfigError(
                f"{self.name} has no base URL; set {self._service.base_url_variable} or give --api-base"
            )
        if not self._allow_insecure_http:
            refuse_cleartext(url, self.name)
        target = self._target(url, given)
        if given.headers:
            target = target.with_headers(dict(given.headers))
        return target, account_name(target.url, given.key)


def account_name(endpoint: str, key: str | None) -> str:
    """The endpoint and the first 8 hex digits of the key's SHA-256; the endpoint alone without a key."""
    return f"{endpoint}#{hashlib.sha256(key.encode()).hexdigest()[:DIGEST_CHARS]}" if key else endpoint


def _fill(value: str, name: str, *, send: bool) -> str:
    """The value of a header with its variables replaced."""

    def read(match: re.Match[str]) -> str:
        variable = match.group(1) or match.group(2)
        found = keys.get(variable)
        if found is None and send:
            raise ConfigError(
                f"the header {name} takes its value from {variable}, which is not set; set it in the "
                "environment"
            )
        return found or ""

    return _VARIABLE.sub(read, value)
