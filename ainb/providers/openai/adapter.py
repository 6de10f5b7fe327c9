"""Adapter for the OpenAI chat protocol: OpenAI, Azure, Ollama, LM Studio, vLLM, Groq, Gemini and others."""

from __future__ import annotations

import os
from typing import Any

from ainb.errors import PermanentProviderError
from ainb.messages import Call, Reply, ReplySchema, Request
from ainb.providers.adapted import Wire, add_limit_notice, add_notices
from ainb.providers.batch_service import BatchService, no_batch_api
from ainb.providers.cache_layout import CacheKeys
from ainb.providers.http import Exchange, StoredResponse, Target, make_target, without_path
from ainb.providers.lessons import Lesson, Refused
from ainb.providers.openai.body import build, read_schema_lesson
from ainb.providers.openai.request import CHAT, STREAM_FLAGS
from ainb.providers.remote import RemoteProvider, Settings
from ainb.providers.services import Service

AZURE_PATH = "/openai/v1"
CHAT_PATH = "/chat/completions"


class OpenAIProvider(RemoteProvider):
    """Provider for one service of the OpenAI chat protocol.

    Keys and base URLs are read on each call, so a key set in a cell applies from the next call on.

    Args:
        service: Row of the table of services.
        options: Keyword arguments of `RemoteProvider`.
    """

    def __init__(self, service: Service, **options: Any) -> None:
        super().__init__(service, **options)
        self._exchange = Exchange(CHAT, clock=self._clock)
        self._cache_keys = CacheKeys()

    def body(self, request: Request) -> dict[str, Any]:
        """The outgoing body without the stream flags, by the rules of the model's family."""
        return self.wire(request).body

    def wire(self, request: Request) -> Wire:
        """The outgoing body with the data to convert the reply back."""
        return build(request, self.name)

    async def send(self, call: Call) -> Reply:
        """One attempt; streamed when ``call.options.on_text`` is set.

        Raises:
            ProviderError: It failed.
            ConfigError: The key or the base URL is missing or invalid.
            InvalidPromptError: The body cannot be written as JSON.
        """
        request = call.request
        target = self._target_for(request)
        flags = {} if call.options.on_text is None else STREAM_FLAGS
        lessons = self._lessons(target, request)
        wire = build(request, self.name, lessons, flags=flags, cache_key=self._cache_key)
        if wire.notes:
            add_notices(call, wire.notes)
        try:
            reply = await self._exchange.send(call, target, wire.body, on_refusal=wire.take_refusal)
        except PermanentProviderError as error:
            self._learn(call, target, wire, error)
            raise
        if request.schema is not None or wire.tools is not None:
            reply.text = wire.read_back(reply.text, request.schema)
        add_limit_notice(call, reply)
        return reply

    def cache_seconds(self, request: Request) -> float | None:
        """How long the provider keeps the prefix that this request marks; None when it marks none."""
        wire = build(request, self.name, self._lessons(self._target_for(request), request))
        return None if wire.cache is None else wire.cache.life_seconds

    def _cache_key(self, prefix: str) -> str:
        return self._cache_keys.next(prefix, self._clock.monotonic())

    def batches(self, request: Request) -> BatchService:
        """The service's batch API at the endpoint of a request.

        Raises:
            ConfigError: There is none, or the key or the base URL is missing or invalid.
        """
        from ainb.providers.openai.batches import make_batches

        if not self._service.batch_api:
            raise no_batch_api(f"{self.name}:{request.model}")
        target = self._target_for(request)
        return make_batches(
            target,
            azure=self.name == "azure",
            unix=self._clock.unix,
            body=lambda asked: build(asked, self.name, self._lessons(target, asked)).body,
            read=self._read_stored,
        )

    def _read_stored(self, call: Call, response: StoredResponse) -> Reply:
        """The reply that a result file of a batch job holds, in the form of the user's schema."""
        request, target = call.request, response.target
        asks_plainly = request.schema is None and "tools" not in request.parameters
        plain = asks_plainly and 200 <= response.status < 300  # noqa: PLR2004 - success
        wire = Wire({}) if plain else build(request, self.name, self._lessons(target, request))
        try:
            reply = self._exchange.read_stored(call, response, on_refusal=wire.take_refusal)
        except PermanentProviderError as error:
            self._learn(call, target, wire, error)
            raise
        if request.schema is not None or wire.tools is not None:
            reply.text = wire.read_back(reply.text, request.schema)
        add_limit_notice(call, reply)
        return reply

    def _read_schema_lesson(self, refused: Refused, wire: Wire, schema: ReplySchema) -> Lesson | None:
        return read_schema_lesson(refused, wire, schema)

    def _more(self) -> tuple[str | None, ...]:
        if self._service.name != "openai":
            return ()
        return os.environ.get("OPENAI_ORG_ID"), os.environ.get("OPENAI_PROJECT_ID")

    def _target(self, url: str, given: Settings) -> Target:
        service = self._service
        azure = service.name == "azure"
        if azure and not given.by_caller:
            url = _azure_url(url)
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


def _azure_url(url: str) -> str:
    """URL of an Azure resource with the path of the v1 API; a URL with a deployment (the older API) stays."""
    base, mark, query = without_path(url, CHAT_PATH).partition("?")
    if "/deployments/" in base:
        return base + mark + query
    return base.removesuffix(AZURE_PATH).removesuffix("/openai") + AZURE_PATH + mark + query
