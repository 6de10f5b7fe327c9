"""One chat completion over HTTP, whole or streamed: what every service of the OpenAI protocol has in common."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from ainb.clock import Clock
from ainb.errors import PermanentProviderError
from ainb.messages import Call, Reply
from ainb.providers.http.client import Response, StoredResponse
from ainb.providers.http.exchange import Dialect, Exchange
from ainb.providers.http.target import Target
from ainb.providers.openai.reply import Answer, read_completion, read_cost, read_usage

_REFUSES_A_FIELD = frozenset({400, 422})


class ChatClient:
    """Sends bodies to targets and makes replies of what comes back.

    It remembers which places refuse ``stream_options``, so that they are asked without it.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._exchange = Exchange(_CHAT, clock=clock)
        self._without_options: set[str] = set()

    def send(self, call: Call, target: Target, body: Mapping[str, Any]) -> Awaitable[Reply]:
        """One attempt; streamed when somebody watches (``call.options.on_text``).

        Args:
            call: Who asks, and who is shown the pieces.
            target: Where to.
            body: The whole body without stream flags.

        Raises:
            ProviderError: It failed.
            InvalidPromptError: The body cannot be written as JSON.
        """
        if call.options.on_text is None:
            return self._exchange.send(call, target, body)
        return self._stream(call, target, body)

    def read_stored(self, call: Call, response: StoredResponse) -> Reply:
        """The reply that a result file of a batch job holds.

        Raises:
            ProviderError: The request failed.
        """
        return self._exchange.read_stored(call, response)

    async def _stream(self, call: Call, target: Target, body: Mapping[str, Any]) -> Reply:
        body = {**body, "stream": True}
        if target.url in self._without_options:
            return await self._exchange.send(call, target, body)
        try:
            return await self._exchange.send(
                call, target, {**body, "stream_options": {"include_usage": True}}
            )
        except PermanentProviderError as error:
            if error.status_code not in _REFUSES_A_FIELD or "stream_options" not in str(error):
                raise
        self._without_options.add(target.url)
        return await self._exchange.send(call, target, body)


def _reply(call: Call, response: Response, answer: Answer) -> Reply:
    service = call.request.provider
    cost = read_cost(answer.usage) if service == "openrouter" else None
    return Reply(
        text=answer.text,
        model=answer.model or call.request.model,
        provider=service,
        usage=read_usage(answer.usage, reasoning_apart=service == "gemini"),
        finish_reason=answer.finish_reason,
        request_id=response.request_id,
        cost_usd=cost,
        cost_source=None if cost is None else "provider",
        headers=response.headers,
    )


_CHAT = Dialect(begin=Answer, read=read_completion, reply=_reply)
