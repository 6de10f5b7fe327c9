"""Request and reply over HTTP, whole or streamed, shared by all protocols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import orjson

from ainb.clock import Clock
from ainb.errors import (
    ContentFilteredError,
    InvalidPromptError,
    ProviderError,
    RefusedError,
    TransientProviderError,
)
from ainb.messages import Call, Reply
from ainb.providers.http.answer import Answer
from ainb.providers.http.client import Response, StoredResponse, request
from ainb.providers.http.embedded import embedded_refusal, embedded_status
from ainb.providers.http.faults import clean
from ainb.providers.http.json_body import SurrogateJoiner, UnreadableError, joined, parse_json
from ainb.providers.http.refusal import Refusal, read_refusal
from ainb.providers.http.sse import BLANK, ErrorEvent, EventParser, data_of, is_events
from ainb.providers.http.target import Target

DONE = b"[DONE]"
FILTERED = "content_filter"
REFUSED = "refused"
# Some twenty events, about a millisecond of work.
SLICE_BYTES = 4_096


class Exchange:
    """Sends request bodies to targets and parses the replies by the `Answer` of their protocol."""

    def __init__(self, answer: type[Answer], *, clock: Clock) -> None:
        self._answer = answer
        self._clock = clock

    async def send(
        self,
        call: Call,
        target: Target,
        body: Mapping[str, Any],
        *,
        on_refusal: Callable[[Refusal], None] | None = None,
    ) -> Reply:
        """Send one request and return its reply.

        Args:
            call: The call; its ``on_text`` receives the pieces.
            target: The endpoint.
            body: The complete body, stream flags included.
            on_refusal: Called with the parsed error body before the error is raised.

        Raises:
            ProviderError: It failed.
            InvalidPromptError: The body cannot be written as JSON.
        """
        response = await request(target, target.chat_url, body=encode_body(body))
        response.on_refusal = on_refusal
        try:
            if not response.ok:
                raise self._fault(call, response, read_refusal(await response.read()))
            answer = await self._read(call, response)
        finally:
            response.release()
        return _reply(call, response, answer)

    def read_stored(
        self,
        call: Call,
        response: StoredResponse,
        *,
        on_refusal: Callable[[Refusal], None] | None = None,
    ) -> Reply:
        """The reply in a result file of a batch job; arguments and errors as for `send`.

        Raises:
            ProviderError: The request failed.
        """
        response.on_refusal = on_refusal
        if not response.ok:
            raise self._fault(call, response, read_refusal(response.body))
        return _reply(call, response, self._read_whole(call, response, response.body))

    async def _read(self, call: Call, response: Response) -> Answer:
        # Some servers declare a stream as JSON or as text, others answer a stream's request with JSON.
        if not response.is_event_stream:
            body = await response.read()
            if is_events(body):
                return await self._read_stream(call, response, _one(body))
            return self._read_whole(call, response, body)
        async with aclosing(response.pieces()) as pieces:
            head = b""
            async for piece in pieces:
                head += piece
                if head.strip(BLANK):
                    break
            if head.strip(BLANK).startswith((b"{", b"[")):
                return self._read_whole(call, response, head + b"".join([piece async for piece in pieces]))
            return await self._read_stream(call, response, _one(head, pieces))

    def _read_whole(self, call: Call, response: Response, body: bytes) -> Answer:
        try:
            data = parse_json(body)
        except ValueError:
            said = read_refusal(body).said
            what = f"a body that is not JSON: {said}" if said.strip() else "an empty body"
            raise response.unreadable(what) from None
        self._check_error(call, response, data)
        try:
            answer = self._answer.read(data)
        except UnreadableError as error:
            raise response.unreadable(str(error)) from None
        answer.text = joined(answer.text)
        self._check_refused(call, response, answer)
        if answer.text:
            call.emit(answer.text, self._clock.monotonic())
        return answer

    async def _read_stream(self, call: Call, response: Response, pieces: AsyncGenerator[bytes]) -> Answer:
        parser, joiner = EventParser(), SurrogateJoiner()
        answer = self._answer(streamed=True)
        said_done = False
        whole = _until_cut(pieces, answer)
        # A generator that is left open is closed some time later, after the loop may have ended.
        async with aclosing(pieces), aclosing(whole), aclosing(_slices(whole)) as slices:
            async for piece in slices:
                said_done = self._take(call, response, answer, joiner, parser.feed(piece))
                if said_done:
                    await response.drain()
                    break
            else:
                said_done = self._take(call, response, answer, joiner, parser.close())
        if not answer.begun:
            raise response.unreadable("a stream without a choice") if said_done else response.cut()
        answer.end()
        answer.text = joined(answer.text)
        self._check_refused(call, response, answer)
        if answer.finish_reason is None and not call.shown:
            raise response.cut()
        self._emit(call, joiner.close())
        return answer

    def _take(
        self, call: Call, response: Response, answer: Answer, joiner: SurrogateJoiner, events: list[bytes]
    ) -> bool:
        # Returns whether the stream's end marker has arrived.
        for event in events:
            if isinstance(event, ErrorEvent):
                raise self._embedded_fault(call, response, read_refusal(event))
            for data in data_of(event):
                if data.strip() == DONE:
                    return True
                self._emit(call, joiner.feed(self._add(call, response, answer, data)))
                if answer.done:
                    return True
        return False

    def _add(self, call: Call, response: Response, answer: Answer, data: bytes) -> str:
        """Add the data of an event to an answer; returns the text that it adds."""
        try:
            chunk = parse_json(data)
            if chunk is None:
                return ""
            self._check_error(call, response, chunk)
            return answer.add(chunk)
        except ValueError as error:
            # After the last text only the token counts follow; without them the tokens are unknown.
            if answer.finish_reason is not None:
                return ""
            what = (
                str(error) if isinstance(error, UnreadableError) else "a stream of something that is not JSON"
            )
            raise response.unreadable(what) from None

    def _emit(self, call: Call, text: str) -> None:
        if text:
            call.emit(text, self._clock.monotonic())

    def _check_error(self, call: Call, response: Response, data: Any) -> None:
        # OpenRouter, vLLM and llama.cpp send errors with status 200 once they have begun to answer.
        refusal = embedded_refusal(data)
        if refusal is not None:
            raise self._embedded_fault(call, response, refusal)

    def _embedded_fault(self, call: Call, response: Response, refusal: Refusal) -> ProviderError:
        fault = self._fault(call, response, refusal, embedded_status(refusal))
        fault.billed = call.shown
        return fault

    def _check_refused(self, call: Call, response: Response, answer: Answer) -> None:
        """Raise when the model or a content filter refused to answer: the same request would fail again."""
        origin, is_empty = response.target.origin, not answer.text.strip()
        withheld = answer.finish_reason == FILTERED
        category = f" ({answer.category})" if answer.category else ""
        kind: type[RefusedError | ContentFilteredError]
        if answer.refusal and (is_empty or withheld):
            said = clean(answer.refusal, origin.secrets)
            words = "" if said == REFUSED else f": {said}"
            kind, text = RefusedError, f"{call.request.model} refused to answer{category}{words}"
        elif withheld and (is_empty or call.request.schema is not None):
            kind = ContentFilteredError
            text = f"the content filter of {origin.service} withheld the reply{category}"
        else:
            return
        fault = response.billed_fault(kind, f"{text}; change the prompt, or use another model")
        fault.category = answer.category
        raise fault

    def _fault(
        self, call: Call, response: Response, refusal: Refusal, status: int | None = None
    ) -> ProviderError:
        if response.on_refusal is not None:
            response.on_refusal(refusal)
        now = self._clock.unix()
        return response.fault(refusal, unix_now=now, status=status, model=call.request.model)


def _reply(call: Call, response: Response, answer: Answer) -> Reply:
    request = call.request
    if request.schema is not None:
        answer.take_tool_input()
    cost = answer.price(request.provider)
    return Reply(
        text=answer.text,
        model=answer.model or request.model,
        provider=request.provider,
        usage=answer.tokens(request.provider),
        finish_reason=answer.finish_reason,
        reasoning=answer.reasoning.strip() or None,
        service_tier=answer.service_tier,
        request_id=response.request_id,
        cost_usd=cost,
        cost_source=None if cost is None else "provider",
        headers=response.headers,
        complete=answer.is_complete,
    )


def encode_body(body: Mapping[str, Any]) -> bytes:
    """A request's body as JSON.

    Raises:
        InvalidPromptError: It cannot be written as JSON.
    """
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
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


async def _one(first: bytes, others: AsyncIterator[bytes] | None = None) -> AsyncGenerator[bytes]:
    """Pieces that begin with those that were read already."""
    yield first
    if others is not None:
        async for piece in others:
            yield piece


async def _until_cut(pieces: AsyncIterator[bytes], answer: Answer) -> AsyncGenerator[bytes]:
    """The pieces of a stream; a connection that breaks off after the answer's end is its end."""
    try:
        async for piece in pieces:
            yield piece
    except TransientProviderError:
        if answer.finish_reason is None:
            raise


async def _slices(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    # One piece may hold the whole reply of a fast server: other calls go on between two slices of it.
    async for piece in pieces:
        for start in range(0, len(piece), SLICE_BYTES):
            if start:
                await asyncio.sleep(0)
            yield piece[start : start + SLICE_BYTES]
