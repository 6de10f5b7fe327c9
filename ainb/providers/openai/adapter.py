"""The OpenAI chat protocol, which OpenAI, Azure, Ollama, LM Studio, vLLM, Groq, Mistral, Gemini and others speak."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Mapping
from typing import Any

from ainb.clock import Clock
from ainb.messages import Call, Reply, Request
from ainb.providers.batch_service import BatchService, no_batch_api
from ainb.providers.http.remote import RemoteProvider, Settings
from ainb.providers.http.target import Target, make_target
from ainb.providers.openai.request import ChatClient
from ainb.providers.services import Service

AZURE_PATH = "/openai/v1"
_NOT_PARAMETERS = frozenset({"model", "messages", "stream", "stream_options"})
_REASONING = re.compile(r"(o[134]|gpt-5)(?![0-9])")
_NAME = re.compile(r"[^A-Za-z0-9_-]+")


class OpenAIProvider(RemoteProvider):
    """One service that speaks the protocol.

    Keys and base URLs are looked up when a call is made, so a key set in a cell counts from the next call on.

    Args:
        service: Row of the services' table.
        clock: Where time comes from.
        allow_insecure_http: Whether prompts and keys may go to another machine over plain http.
    """

    def __init__(self, service: Service, *, clock: Clock, allow_insecure_http: bool = False) -> None:
        super().__init__(service, clock=clock, allow_insecure_http=allow_insecure_http)
        self._chat = ChatClient(clock=clock)

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

    def send(self, call: Call) -> Awaitable[Reply]:
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
        return self._chat.send(call, target, self.body(request))

    def batches(self, request: Request) -> BatchService:
        """The service's batch API at the endpoint of a request.

        Raises:
            ConfigError: It has none, or the key or the base URL is missing or makes no sense.
        """
        from ainb.providers.openai.batches import make_batches

        if not self._service.batch_api:
            raise no_batch_api(f"{self.name}:{request.model}")
        return make_batches(
            self._place(request.api_base, request.api_key_name, send=True)[0],
            azure=self.name == "azure",
            unix=self._clock.unix,
            body=self.body,
            read=self._chat.read_stored,
        )

    def _reasons(self, model: str) -> bool:
        # Other services take the usual parameters for these models and translate them.
        return (
            self._service.name in {"openai", "azure"}
            and _REASONING.match(model) is not None
            and "chat" not in model
        )

    def _more(self) -> tuple[str | None, ...]:
        if self._service.name != "openai":
            return ()
        return os.environ.get("OPENAI_ORG_ID"), os.environ.get("OPENAI_PROJECT_ID")

    def _target(self, url: str, given: Settings) -> Target:
        service = self._service
        azure = service.name == "azure"
        if azure and not given.by_caller:
            url = url.rstrip("/").removesuffix(AZURE_PATH) + AZURE_PATH
        more = zip(("OpenAI-Organization", "OpenAI-Project"), given.more, strict=False)
        return make_target(
            service.name,
            url,
            headers={name: value for name, value in more if value},
            key=given.key,
            key_header="api-key" if azure else "Authorization",
            key_variable=given.key_name,
            base_url_variable=service.base_url_variable,
        )


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
