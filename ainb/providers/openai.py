"""The OpenAI chat protocol, which OpenAI, Azure, Ollama, LM Studio, vLLM, Groq, Mistral, Gemini and others speak."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from yarl import URL

from ainb import keys
from ainb.clock import Clock
from ainb.errors import ConfigError, TransientProviderError
from ainb.messages import Call, Reply, Request
from ainb.providers.chat import ChatClient
from ainb.providers.faults import response_fault
from ainb.providers.hosts import goes_in_the_clear
from ainb.providers.services import Service
from ainb.providers.target import Target, make_target
from ainb.providers.wire import Response, request

MAX_TARGETS = 64
DIGEST_CHARS = 8
AZURE_PATH = "/openai/v1"
_NOT_PARAMETERS = frozenset({"model", "messages", "stream", "stream_options"})
_REASONING = re.compile(r"(o[134]|gpt-5)(?![0-9])")
_NAME = re.compile(r"[^A-Za-z0-9_-]+")


class _Settings(NamedTuple):
    # What the environment and the caller say now; a target is kept for each.
    by_caller: bool
    base: str | None
    key_name: str | None
    key: str | None
    organization: str | None
    project: str | None


class OpenAIProvider:
    """One service that speaks the protocol.

    Keys and base URLs are looked up when a call is made, so a key set in a cell counts from the next call on.

    Args:
        service: Row of the services' table.
        clock: Where time comes from.
        allow_insecure_http: Whether prompts and keys may go to another machine over plain http.
    """

    def __init__(self, service: Service, *, clock: Clock, allow_insecure_http: bool = False) -> None:
        self._service = service
        self._allow_insecure_http = allow_insecure_http
        self._clock = clock
        self._chat = ChatClient(clock=clock)
        self._targets: dict[_Settings, tuple[Target, str]] = {}

    @property
    def name(self) -> str:
        """Service name, as in ``provider:model``."""
        return self._service.name

    @property
    def free(self) -> bool:
        """Whether calls cost nothing, because the model runs on the person's own machine."""
        return self._service.free

    def body(self, request: Request) -> dict[str, Any]:
        """The whole outgoing body but for the stream flags, so that streamed and plain answers share a cache entry."""
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [{"role": item.role, "content": item.content} for item in request.messages],
        }
        if request.parameters:
            body.update(
                (name, value) for name, value in request.parameters.items() if name not in _NOT_PARAMETERS
            )
            if self._reasons(request.model):
                _for_reasoning(body)
        if request.schema is not None:
            body["response_format"] = response_format(request.schema.json_schema)
        return body

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

    async def send(self, call: Call) -> Reply:
        """One attempt; streamed when ``call.options.on_text`` is set.

        Raises:
            ProviderError: It failed.
            ConfigError: The key or the base URL is missing or makes no sense.
            InvalidPromptError: The body cannot be written as JSON.
        """
        request = call.request
        target = self._place(request.api_base, request.api_key_name, send=True)[0]
        if "temperature" in request.parameters and self._reasons(request.model):
            note = f"{request.model} takes no temperature; it was left out"
            if note not in call.notes:
                call.notes.append(note)
        return await self._chat.send(call, target, self.body(request))

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
        response = await request(target, URL(target.url + "/models"), body=None)
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

    def _reasons(self, model: str) -> bool:
        # Other services take the usual parameters for these models and translate them.
        return (
            self._service.name in {"openai", "azure"}
            and _REASONING.match(model) is not None
            and "chat" not in model
        )

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
        openai = service.name == "openai"
        organization = os.environ.get("OPENAI_ORG_ID") if openai else None
        project = os.environ.get("OPENAI_PROJECT_ID") if openai else None
        known = _Settings(bool(api_base), base, key_name, key, organization, project)
        place = self._targets.get(known)
        if place is None:
            if len(self._targets) >= MAX_TARGETS:
                self._targets.clear()
            place = self._targets[known] = self._make(known)
        return place

    def _make(self, given: _Settings) -> tuple[Target, str]:
        service = self._service
        url = given.base or service.base_url
        if url is None:
            raise ConfigError(
                f"{service.name} has no base URL; set {service.base_url_variable} or give --api-base"
            )
        if goes_in_the_clear(url) and not self._allow_insecure_http:
            raise ConfigError(
                f"the base URL of {service.name} is plain http to another machine: prompts and keys could be read on the way; use https, "
                "or set %config Ainb.allow_insecure_http = True (AINB_ALLOW_INSECURE_HTTP=1) on a network that you trust"
            )
        azure = service.name == "azure"
        if azure and not given.by_caller:
            url = url.rstrip("/").removesuffix(AZURE_PATH) + AZURE_PATH
        extra = {"OpenAI-Organization": given.organization, "OpenAI-Project": given.project}
        target = make_target(
            service.name,
            url,
            headers={name: value for name, value in extra.items() if value},
            key=given.key,
            key_header="api-key" if azure else "Authorization",
            key_variable=given.key_name,
            base_url_variable=service.base_url_variable,
        )
        digest = hashlib.sha256(given.key.encode()).hexdigest()[:DIGEST_CHARS] if given.key else ""
        return target, f"{target.url}#{digest}" if digest else target.url


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The parameter that asks for JSON of this schema; strict where the schema is one that strict mode takes."""
    title = schema.get("title")
    name = _NAME.sub("_", title)[:64] if isinstance(title, str) else ""
    return {
        "type": "json_schema",
        "json_schema": {"name": name or "reply", "schema": schema, "strict": is_strict(schema)},
    }


def is_strict(schema: Any) -> bool:
    """Whether every object in the schema names all its properties as required and allows no others.

    Source: OpenAI, "Structured outputs", supported schemas.
    """
    if isinstance(schema, list | tuple):
        return all(is_strict(item) for item in schema)
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object":
        properties = schema.get("properties")
        required = schema.get("required")
        if not isinstance(properties, Mapping) or not isinstance(required, list | tuple):
            return False
        if schema.get("additionalProperties") is not False or set(map(str, required)) != set(properties):
            return False
    return all(is_strict(item) for item in schema.values())


def _for_reasoning(body: dict[str, Any]) -> None:
    body.pop("temperature", None)
    if "max_tokens" in body:
        limit = body.pop("max_tokens")
        body.setdefault("max_completion_tokens", limit)


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
