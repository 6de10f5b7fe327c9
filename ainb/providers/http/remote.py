"""What services behind HTTP have in common: a place and a key for each call, and a list of their models."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import NamedTuple

import orjson
from yarl import URL

from ainb import keys
from ainb.clock import Clock
from ainb.errors import ConfigError, TransientProviderError
from ainb.messages import Request
from ainb.providers.http.client import Response, request
from ainb.providers.http.faults import response_fault
from ainb.providers.http.hosts import goes_in_the_clear
from ainb.providers.http.target import Target
from ainb.providers.services import Service

MAX_TARGETS = 64
DIGEST_CHARS = 8


class Settings(NamedTuple):
    """What the environment and the caller say now; a target is kept for each.

    Attributes:
        by_caller: Whether the base URL comes from the call.
        base: Base URL from the call or the environment; None means the service's own.
        key_name: Variable that holds the key, or None.
        key: The key, or None.
        more: Further values of the environment that the protocol sends along.
    """

    by_caller: bool
    base: str | None
    key_name: str | None
    key: str | None
    more: tuple[str | None, ...] = ()


class RemoteProvider:
    """A service behind HTTP; adapters add the protocol.

    Keys and base URLs are looked up when a call is made, so a key set in a cell counts from the next call on.

    Args:
        service: Row of the services' table.
        clock: Where time comes from.
        allow_insecure_http: Whether prompts and keys may go to another machine over plain http.
    """

    models_path = "/models"

    def __init__(self, service: Service, *, clock: Clock, allow_insecure_http: bool = False) -> None:
        self._service = service
        self._allow_insecure_http = allow_insecure_http
        self._clock = clock
        self._targets: dict[Settings, tuple[Target, str]] = {}

    @property
    def name(self) -> str:
        """Service name, as in ``provider:model``."""
        return self._service.name

    @property
    def free(self) -> bool:
        """Whether calls cost nothing, because the model runs on the person's own machine."""
        return self._service.free

    def endpoint(self, request: Request) -> str:
        """The base URL; it holds no key.

        Raises:
            ConfigError: There is none, or it makes no sense.
        """
        return self._place(request.api_base, request.api_key_name)[0].url

    def account(self, request: Request) -> str:
        """The base URL and the first 8 hex digits of the key's SHA-256, or the base URL alone without a key.

        Raises:
            ConfigError: There is no base URL, or it makes no sense.
        """
        return self._place(request.api_base, request.api_key_name)[1]

    async def list_models(
        self, *, api_base: str | None = None, api_key_name: str | None = None, timeout_seconds: float = 3.0
    ) -> list[str]:
        """Names of the models that the service offers now, sorted.

        Args:
            api_base: Base URL in place of the service's own.
            api_key_name: Variable that holds the key, in place of the service's own.
            timeout_seconds: How long to wait.

        Raises:
            ProviderError: It cannot be reached, refuses, or answers something else.
            ConfigError: The key or the base URL is missing or makes no sense.
        """
        target = self._place(api_base, api_key_name, send=True)[0]
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._fetch_models(target)
        except TimeoutError:
            raise TransientProviderError(
                f"{self.name} did not list its models within {timeout_seconds:g} s; check that it runs and {target.origin.base_url_option}"
            ) from None

    async def _fetch_models(self, target: Target) -> list[str]:
        response = await request(target, URL(target.url + self.models_path), body=None)
        try:
            body = await response.read()
        finally:
            response.release()
        if not 200 <= response.status < 300:  # noqa: PLR2004 - success
            raise response_fault(
                target.origin,
                response.status,
                body,
                headers=response.headers,
                request_id=response.request_id,
                location=response.location,
                unix_now=self._clock.unix(),
            )
        return _model_names(response, body)

    def _more(self) -> tuple[str | None, ...]:
        """Values of the environment that the protocol sends along."""
        return ()

    def _target(self, url: str, given: Settings) -> Target:
        """The place behind `url`, with the headers of the protocol."""
        raise NotImplementedError

    def _place(
        self, api_base: str | None, api_key_name: str | None, *, send: bool = False
    ) -> tuple[Target, str]:
        # Returns the target and the account; one of each is kept for every set of URL and key in use.
        service = self._service
        variable = service.base_url_variable
        base = api_base or (os.environ.get(variable) if variable else None)
        key_name = api_key_name or service.key_variable
        key = keys.get(key_name) if key_name else None
        if key is None and send and (service.key_needed or api_key_name):
            raise ConfigError(
                f"{service.name} needs a key and {key_name} is not set; set it in the environment, "
                "or name another variable with --api-key-name"
            )
        known = Settings(bool(api_base), base, key_name, key, self._more())
        place = self._targets.get(known)
        if place is None:
            if len(self._targets) >= MAX_TARGETS:
                self._targets.clear()
            place = self._targets[known] = self._make(known)
        return place

    def _make(self, given: Settings) -> tuple[Target, str]:
        url = given.base or self._service.base_url
        if url is None:
            raise ConfigError(
                f"{self.name} has no base URL; set {self._service.base_url_variable} or give --api-base"
            )
        if goes_in_the_clear(url) and not self._allow_insecure_http:
            raise ConfigError(
                f"the base URL of {self.name} is plain http to another machine: prompts and keys could be read on the way; use https, "
                "or set %config Ainb.allow_insecure_http = True (AINB_ALLOW_INSECURE_HTTP=1) on a network that you trust"
            )
        target = self._target(url, given)
        digest = hashlib.sha256(given.key.encode()).hexdigest()[:DIGEST_CHARS] if given.key else ""
        return target, f"{target.url}#{digest}" if digest else target.url


def _model_names(response: Response, body: bytes) -> list[str]:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise response.unreadable("a list of models that is no JSON") from None
    if isinstance(data, dict):
        data = data.get("data") or data.get("models") or []
    items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
    names = {item.get("id") or item.get("name") for item in items}
    return sorted(name.removeprefix("models/") for name in names if isinstance(name, str) and name)
