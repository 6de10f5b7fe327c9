"""One question and its answer over HTTP, whole or streamed: what the protocols have in common."""

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
    """An answer, whole or as it grows out of the events of a stream."""

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
        """Whether nothing more will come."""
        ...

    def add(self, chunk: Any) -> str:
        """Take the next event; returns the text that it adds, raises UnreadableError when it is none."""
        ...

    def end(self) -> None:
        """The stream is whole."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What differs from protocol to protocol.

    Attributes:
        begin: Makes the answer that a stream grows into.
        read: Reads a whole body; raises UnreadableError that says what it is instead.
        reply: Makes the Reply.
    """

    begin: Callable[[], Any]
    read: Callable[[Any], Any]
    reply: Callable[[Call, Response, Any], Reply]


class Exchange:
    """Sends bodies to targets and makes replies of what comes back.

    Args:
        dialect: How the protocol writes its answers.
        clock: Where time comes from.
    """

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
        """One request, and the reply that comes back.

        Args:
            call: Who asks, and who is shown the pieces.
            target: Where to.
            body: The whole body, stream flags included.
            on_refusal: Called with what an error body says, before the error is raised.

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
        """The reply that a result file of a batch job holds; arguments and faults are those of `send`.

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
            # What comes after the last word is only the account; without it the tokens are unknown.
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
        # Returns whether the stream said that it is done.
        for event in events:
            if isinstance(event, ErrorEvent):
                refusal = read_refusal(event)
                raise self._embedded_fault(call, response, refusal)
            if not event.strip():
                continue  # some gateways keep a connection alive in this way
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
        """Raise where the model or a content filter gave no answer; the same request would get none again."""
        if not answer.refusal and answer.finish_reason != FILTERED:  # nearly every answer
            return
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
    raise TypeError(f"{type(value).__name__} has no place in JSON")
