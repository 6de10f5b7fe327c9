"""Adapter for the Messages protocol of Anthropic and of gateways in front of it."""

from __future__ import annotations

from typing import Any, Final

from ainb.errors import PermanentProviderError
from ainb.messages import Call, Reply, ReplySchema, Request
from ainb.providers.adapted import Wire, add_limit_notice, add_notices
from ainb.providers.anthropic.reply import Answer, read_message, read_usage
from ainb.providers.anthropic.request import DROPPED, build, read_schema_lesson
from ainb.providers.batch_service import BatchService
from ainb.providers.http import (
    Dialect,
    Exchange,
    Response,
    StoredResponse,
    Target,
    make_target,
    without_path,
    word_or_none,
)
from ainb.providers.lessons import Lesson, Refused
from ainb.providers.remote import RemoteProvider, Settings
from ainb.providers.services import Service

VERSION: Final = "2023-06-01"
PATH: Final = "/v1"


class AnthropicProvider(RemoteProvider):
    """Provider for one service of the Messages protocol.

    Parameters with OpenAI's names are translated; those that only this protocol has (``thinking``, ``top_k``,
    …) are sent unchanged. ``cache_control`` (true, or Anthropic's own dict) marks the system message and the
    end of the conversation for its prompt cache.

    Args:
        service: Row of the table of services.
        options: Keyword arguments of `RemoteProvider`.
    """

    models_path = "/models?limit=1000"
    required = frozenset({"max_tokens"})

    def __init__(self, service: Service, **options: Any) -> None:
        super().__init__(service, **options)
        self._exchange = Exchange(_MESSAGES, clock=self._clock)

    def body(self, request: Request) -> dict[str, Any]:
        """The outgoing body without the stream flag, by the rules of the model's family."""
        return build(request).body

    async def send(self, call: Call) -> Reply:
        """One attempt; streamed when ``call.options.on_text`` is set.

        Raises:
            ProviderError: It failed.
            ConfigError: The key or the base URL is missing, or a part of a message is invalid.
            InvalidPromptError: The body cannot be written as JSON.
        """
        request = call.request
        target = self._target_for(request)
        flags = {} if call.options.on_text is None else {"stream": True}
        wire = build(request, self._lessons(target, request), flags=flags)
        dropped = [
            f"{self.name} does not accept {name}; it was left out"
            for name in sorted(DROPPED & request.parameters.keys())
        ]
        add_notices(call, [*dropped, *wire.notes])
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
        wire = build(request, self._lessons(self._target_for(request), request))
        return None if wire.cache is None else wire.cache.life_seconds

    def _read_schema_lesson(self, refused: Refused, wire: Wire, schema: ReplySchema) -> Lesson | None:
        return read_schema_lesson(refused, wire, schema)

    def batches(self, request: Request) -> BatchService:
        """The service's batch API at the endpoint of a request.

        Raises:
            ConfigError: The key or the base URL is missing or invalid.
        """
        from ainb.providers.anthropic.batches import AnthropicBatches
        from ainb.providers.http import BatchHttp

        target = self._target_for(request)
        return AnthropicBatches(
            BatchHttp(target, self._clock.unix),
            # Jobs run longer than the five minutes that a prefix is kept by default.
            body=lambda asked: build(asked, self._lessons(target, asked), cache_hour=True).body,
            read=self._read_stored,
        )

    def _read_stored(self, call: Call, response: StoredResponse) -> Reply:
        """The reply that a result file of a batch job holds, in the form of the user's schema."""
        request, target = call.request, response.target
        asks_plainly = request.schema is None and "tools" not in request.parameters
        plain = asks_plainly and 200 <= response.status < 300  # noqa: PLR2004 - success
        wire = Wire({}) if plain else build(request, self._lessons(target, request))
        try:
            reply = self._exchange.read_stored(call, response, on_refusal=wire.take_refusal)
        except PermanentProviderError as error:
            self._learn(call, target, wire, error)
            raise
        if request.schema is not None or wire.tools is not None:
            reply.text = wire.read_back(reply.text, request.schema)
        add_limit_notice(call, reply)
        return reply

    def _target(self, url: str, given: Settings) -> Target:
        # Anthropic's own clients take the base URL without the version, gateways often include it.
        return make_target(
            self.name,
            _with_version(url),
            headers={"anthropic-version": VERSION},
            key=given.key,
            key_header="x-api-key",
            key_variable=given.key_name,
            base_url_variable=self._service.base_url_variable,
            path="/messages",
        )


def _with_version(url: str) -> str:
    base, mark, query = without_path(url, "/messages").partition("?")
    return base.removesuffix(PATH) + PATH + mark + query


def _reply(call: Call, response: Response, answer: Answer) -> Reply:
    schema = call.request.schema
    if schema is not None:
        answer.give_tool_input()
    return Reply(
        text=answer.text,
        model=answer.model or call.request.model,
        provider=call.request.provider,
        usage=read_usage(answer.usage),
        finish_reason=answer.finish_reason,
        reasoning=answer.reasoning.strip() or None,
        service_tier=word_or_none(answer.usage.get("service_tier")),
        request_id=response.request_id,
        headers=response.headers,
    )


_MESSAGES = Dialect(begin=Answer, read=read_message, reply=_reply)
