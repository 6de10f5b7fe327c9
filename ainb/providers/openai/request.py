"""Client of chat completions over HTTP, whole or streamed, for all services of the OpenAI protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Final

from ainb.clock import Clock
from ainb.messages import Call, Reply
from ainb.providers.http import Exchange, Target
from ainb.providers.openai.reply import Answer

STREAM_FLAGS: Final = {"stream": True, "stream_options": {"include_usage": True}}


class ChatClient:
    """Sends bodies unchanged, for servers that accept every parameter, such as llama.cpp on this machine."""

    def __init__(self, *, clock: Clock) -> None:
        self._exchange = Exchange(Answer, clock=clock)

    def send(self, call: Call, target: Target, body: Mapping[str, Any]) -> Awaitable[Reply]:
        """One attempt; streamed where ``call.options.on_text`` is set.

        Args:
            call: The call; its ``on_text`` receives the pieces.
            target: The endpoint.
            body: The complete body without stream flags.

        Raises:
            ProviderError: It failed.
            InvalidPromptError: The body cannot be written as JSON.
        """
        flags = {} if call.options.on_text is None else STREAM_FLAGS
        return self._exchange.send(call, target, {**body, **flags})
