"""Request and reply over HTTP, whole or streamed, shared by all protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

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
from ainb.providers.http.client import Response, StoredResponse, request
from ainb.providers.http.embedded import embedded_refusal, embedded_status
from ainb.providers.http.faults import clean, response_fault
from ainb.providers.http.json_body import SurrogateJoiner, UnreadableError, joined, parse_json
from ainb.providers.http.refusal import Refusal, read_refusal
from ainb.providers.http.sse import ErrorEvent, EventParser
from ainb.providers.http.target import Target

DONE = b"[DONE]"
FILTERED = "content_filter"
REFUSED = "refused"


class Growing(Protocol):
    """An answer, complete or still growing from the events of a stream."""

    text: str
    finish_reason: str | None
    refusal: str
    category: str | None

    @property
    def begun(self) -> bool:
        """Whether the model has begun to answer."""
        ...

    @property
    def done(self) -> bool:
        """Whether the answer is complete."""
        ...

    def add(self, chunk: Any) -> str:
        """Add the next event; returns the text that it adds. Raises UnreadableError for invalid data."""
        ...

    def end(self) -> None:
        """Finish a complete stream."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Parsing functions of one protocol.

    Attributes:
        begin: Makes the empty answer to which a stream's events are added.
        read: Parses a complete body; raises UnreadableError, which says what the body is instead.
        reply: Builds the Reply.
    """

    begin: Callable[[], Any]
    read: Callable[[Any], Any]
    reply: Callable[[Call, Response, Any], Reply]


class Exchange:
    """Sends request bodies to targets and parses the replies by the dialect of their protocol."""

    def __init__(self, dialect: Dialect, *, clock: Clock) -> None:
        self._dialect = dialect
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
            if not 200 <= response.status < 300:  # noqa: PLR2004 - success
                raise self._fault(call, response, response.status, read_refusal(await response.read()))
            streamed = response.is_event_stream
            if streamed:
                answer = await self._read_stream(call, response)
            else:
                answer = self._read_whole(call, response, await response.read())
        finally:
            response.release()
        reply = self._dialect.reply(call, response, answer)
        reply.complete = not streamed or answer.finish_reason is not None
        return reply

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
        if not 200 <= response.status < 300:  # noqa: PLR2004 - success
            raise self._fault(call, response, response.status, read_refusal(response.body))
        return self._dialect.reply(call, response, self._read_whole(call, response, response.body))

    def _read_whole(self, call: Call, response: Response, body: bytes) -> Growing:
        try:
            data = parse_json(body)
        except ValueError:
            said = read_refusal(body).said
            what = f"a body that is not JSON: {said}" if said.strip() else "an empty body"
            raise response.unreadable(what) from None
        self._check_error(call, response, data)
        try:
            answer: Growing = self._dialect.read(data)
        except UnreadableError as error:
            raise response.unreadable(str(error)) from None
        answer.text = joined(answer.text)
        self._check_refused(call, response, answer)
        if answer.text:
            call.emit(answer.text, self._clock.monotonic())
        return answer

    async def _read_stream(self, call: Call, response: Response) -> Growing:
        parser, joiner = EventParser(), SurrogateJoiner()
        answer: Growing = self._dialect.begin()
        said_done = False
        try:
            async for piece in response.pieces():
                said_done = self._take(call, response, answer, joiner, parser.feed(piece))
                if said_done:
                    await response.drain()
                    break
            else:
                said_done = self._take(call, response, answer, joiner, parser.close())
        except TransientProviderError:
            # After the last text only the token counts follow; without them the tokens are unknown.
            if answer.finish_reason is None:
                raise
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
        self, call: Call, response: Response, answer: Growing, joiner: SurrogateJoiner, events: list[bytes]
    ) -> bool:
        # Returns whether the stream's end marker has arrived.
        for event in events:
            if isinstance(event, ErrorEvent):
                refusal = read_refusal(event)
                raise self._embedded_fault(call, response, refusal)
            if not event.strip():
                continue  # an empty event, with which some gateways keep the connection alive
            if event.strip() == DONE:
                return True
            try:
                chunk = parse_json(event)
            except ValueError:
                raise response.unreadable("a stream of something that is not JSON") from None
            self._check_error(call, response, chunk)
            try:
                text = answer.add(chunk)
            except UnreadableError as error:
                raise response.unreadable(str(error)) from None
            self._emit(call, joiner.feed(text))
            if answer.done:
                return True
        return False

    def _emit(self, call: Call, text: str) -> None:
        if text:
            call.emit(text, self._clock.monotonic())

    def _check_error(self, call: Call, response: Response, data: Any) -> None:
        # OpenRouter, vLLM and llama.cpp send errors with status 200 once they have begun to answer.
        refusal = embedded_refusal(data)
        if refusal is not None:
            raise self._embedded_fault(call, response, refusal)

    def _embedded_fault(self, call: Call, response: Response, refusal: Refusal) -> ProviderError:
        fault = self._fault(call, response, embedded_status(refusal), refusal)
        fault.billed = call.shown
        return fault

    def _check_refused(self, call: Call, response: Response, answer: Growing) -> None:
        """Raise when the model or a content filter refused to answer: the same request would fail again."""
        origin = response.target.origin
        said = clean(answer.refusal, origin.secrets)
        fault: RefusedError | ContentFilteredError
        if answer.refusal and (not answer.text.strip() or answer.finish_reason == FILTERED):
            words = "" if said == REFUSED else f": {said}"
            category = f" ({answer.category})" if answer.category else ""
            fault = RefusedError(
                f"{call.request.model} refused to answer{category}{words}; change the prompt, or use another "
                "model",
                status_code=response.status,
                request_id=response.request_id,
                billed=True,
                headers=response.headers,
            )
        elif answer.finish_reason == FILTERED and (
            not answer.text.strip() or call.request.schema is not None
        ):
            fault = ContentFilteredError(
                f"the content filter of {origin.service} withheld the reply"
                f"{f' ({answer.category})' if answer.category else ''}; change the prompt, or use another "
                "model",
                status_code=response.status,
                request_id=response.request_id,
                billed=True,
                headers=response.headers,
            )
        else:
            return
        fault.category = answer.category
        raise fault

    def _fault(self, call: Call, response: Response, status: int, refusal: Refusal) -> ProviderError:
        if response.on_refusal is not None:
            response.on_refusal(refusal)
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
    if isinstance(value, list | tuple | str):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
