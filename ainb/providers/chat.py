"""One chat completion over HTTP, whole or streamed: what every service of the OpenAI protocol has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ainb.clock import Clock
from ainb.errors import InvalidPromptError, PermanentProviderError, ProviderError, TransientProviderError
from ainb.messages import Call, Reply
from ainb.providers.completion import Answer, UnreadableError, read_completion, read_cost, read_usage
from ainb.providers.faults import embedded_status, response_fault
from ainb.providers.refusal import Refusal, read_refusal, refusal_of
from ainb.providers.sse import EventParser
from ainb.providers.target import Target
from ainb.providers.wire import Response, request

DONE = b"[DONE]"
_REFUSES_A_FIELD = frozenset({400, 422})


class ChatClient:
    """Sends bodies to targets and makes replies of what comes back.

    It remembers which places refuse ``stream_options``, so that they are asked without it.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._without_options: set[str] = set()

    async def send(self, call: Call, target: Target, body: Mapping[str, Any]) -> Reply:
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
            return await self._exchange(call, target, body)
        body = {**body, "stream": True}
        if target.url in self._without_options:
            return await self._exchange(call, target, body)
        try:
            return await self._exchange(call, target, {**body, "stream_options": {"include_usage": True}})
        except PermanentProviderError as error:
            if error.status_code not in _REFUSES_A_FIELD or "stream_options" not in str(error):
                raise
        self._without_options.add(target.url)
        return await self._exchange(call, target, body)

    async def _exchange(self, call: Call, target: Target, body: Mapping[str, Any]) -> Reply:
        response = await request(target, target.chat_url, body=_encode(body))
        try:
            if not 200 <= response.status < 300:  # noqa: PLR2004 - success
                raise self._fault(call, response, response.status, read_refusal(await response.read()))
            if response.is_event_stream:
                answer = await self._read_stream(call, response)
            else:
                answer = self._read_whole(call, response, await response.read())
        finally:
            response.release()
        return _reply(call, response, answer)

    def _read_whole(self, call: Call, response: Response, body: bytes) -> Answer:
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            said = read_refusal(body).said
            what = f"a body that is no JSON: {said}" if said.strip() else "an empty body"
            raise response.unreadable(what) from None
        self._check_error(call, response, data)
        try:
            answer = read_completion(data)
        except UnreadableError as error:
            raise response.unreadable(str(error)) from None
        if answer.text:
            call.emit(answer.text, self._clock.monotonic())
        return answer

    async def _read_stream(self, call: Call, response: Response) -> Answer:
        parser, answer = EventParser(), Answer()
        try:
            async for piece in response.pieces():
                if self._take(call, response, answer, parser.feed(piece)):
                    await response.drain()
                    break
            else:
                if not self._take(call, response, answer, parser.close()) and answer.finish_reason is None:
                    raise response.cut()
        except TransientProviderError:
            # What comes after the last word is only the account; without it the tokens are unknown.
            if answer.finish_reason is None:
                raise
        if not answer.begun:
            raise response.unreadable("a stream without a choice")
        answer.end()
        return answer

    def _take(self, call: Call, response: Response, answer: Answer, events: list[bytes]) -> bool:
        # Returns whether the stream said that it is done.
        for event in events:
            if event == DONE:
                return True
            try:
                chunk = orjson.loads(event)
            except orjson.JSONDecodeError:
                raise response.unreadable("a stream of something that is no JSON") from None
            self._check_error(call, response, chunk)
            try:
                text = answer.add(chunk)
            except UnreadableError as error:
                raise response.unreadable(str(error)) from None
            if text:
                call.emit(text, self._clock.monotonic())
        return False

    def _check_error(self, call: Call, response: Response, data: Any) -> None:
        # OpenRouter, vLLM and llama.cpp send errors with status 200 once they have begun to answer.
        if isinstance(data, dict) and data.get("error") and not data.get("choices"):
            refusal = refusal_of(data)
            fault = self._fault(call, response, embedded_status(refusal), refusal)
            fault.billed = call.shown
            raise fault

    def _fault(self, call: Call, response: Response, status: int, refusal: Refusal) -> ProviderError:
        return response_fault(
            response.target.origin,
            status,
            refusal,
            headers=response.headers,
            request_id=response.request_id,
            location=response.location,
            model=call.request.model,
            unix_now=self._clock.unix(),
        )


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


def _encode(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body, default=_plain)
    except TypeError as error:
        raise InvalidPromptError(
            f"the request cannot be written as JSON ({error}); nothing was sent; "
            "use texts in valid Unicode, numbers, true or false, lists, and tables with text keys"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple | str):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")
