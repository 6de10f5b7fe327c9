"""The Messages protocol, which Anthropic and gateways in front of it speak."""

from __future__ import annotations

from typing import Any, Final

from ainb.clock import Clock
from ainb.messages import Call, Reply, Request
from ainb.providers.anthropic.reply import Answer, read_message, read_usage
from ainb.providers.anthropic.request import DROPPED, build_body, wraps
from ainb.providers.batch_service import BatchService
from ainb.providers.http.client import Response
from ainb.providers.http.exchange import Dialect, Exchange
from ainb.providers.http.remote import RemoteProvider, Settings
from ainb.providers.http.target import Target, make_target
from ainb.providers.services import Service

VERSION: Final = "2023-06-01"
PATH: Final = "/v1"


class AnthropicProvider(RemoteProvider):
    """One service that speaks the protocol.

    Parameters carry OpenAI's names and are translated; what the protocol alone has (``thinking``, ``top_k``, …) goes out as it is.
    ``cache_control`` (true, or Anthropic's own dict) marks the system message and the end of the conversation for its prompt cache.

    Args:
        service: Row of the services' table.
        clock: Where time comes from.
        allow_insecure_http: Whether prompts and keys may go to another machine over plain http.
    """

    models_path = "/models?limit=1000"

    def __init__(self, service: Service, *, clock: Clock, allow_insecure_http: bool = False) -> None:
        super().__init__(service, clock=clock, allow_insecure_http=allow_insecure_http)
        self._exchange = Exchange(_MESSAGES, clock=clock)

    def body(self, request: Request) -> dict[str, Any]:
        """The whole outgoing body but for the stream flag, so that streamed and plain answers share a cache entry."""
        return build_body(request)

    async def send(self, call: Call) -> Reply:
        """One attempt; streamed when ``call.options.on_text`` is set.

        Raises:
            ProviderError: It failed.
            ConfigError: The key or the base URL is missing, or a part of a message makes no sense.
            InvalidPromptError: The body cannot be written as JSON.
        """
        request = call.request
        target = self._place(request.api_base, request.api_key_name, send=True)[0]
        for name in sorted(DROPPED & request.parameters.keys()):
            note = f"{self.name} takes no {name}; it was left out"
            if note not in call.notes:
                call.notes.append(note)
        body = build_body(request)
        if call.options.on_text is not None:
            body["stream"] = True
        return await self._exchange.send(call, target, body)

    def batches(self, request: Request) -> BatchService:
        """The service's batch API at the endpoint of a request.

        Raises:
            ConfigError: The key or the base URL is missing or makes no sense.
        """
        from ainb.providers.anthropic.batches import AnthropicBatches
        from ainb.providers.http.batches import BatchHttp

        target = self._place(request.api_base, request.api_key_name, send=True)[0]
        http = BatchHttp(target, self._clock.unix)
        return AnthropicBatches(http, body=self.body, read=self._exchange.read_stored)

    def _target(self, url: str, given: Settings) -> Target:
        # Anthropic's own clients take the base URL without the version, gateways often write it with.
        return make_target(
            self.name,
            url.strip().rstrip("/").removesuffix(PATH) + PATH,
            headers={"anthropic-version": VERSION},
            key=given.key,
            key_header="x-api-key",
            key_variable=given.key_name,
            base_url_variable=self._service.base_url_variable,
            path="/messages",
        )


def _reply(call: Call, response: Response, answer: Answer) -> Reply:
    schema = call.request.schema
    if schema is not None:
        answer.give_tool_input(wrapped=wraps(schema.json_schema))
    return Reply(
        text=answer.text,
        model=answer.model or call.request.model,
        provider=call.request.provider,
        usage=read_usage(answer.usage),
        finish_reason=answer.finish_reason,
        request_id=response.request_id,
        headers=response.headers,
    )


_MESSAGES = Dialect(begin=Answer, read=read_message, reply=_reply)
