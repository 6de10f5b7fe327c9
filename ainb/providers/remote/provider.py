"""Base class of HTTP providers: one attempt, batches, list of models, lessons from refusals."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from yarl import URL

from ainb.clock import Clock
from ainb.errors import PermanentProviderError, ProviderError, TransientProviderError
from ainb.event_loop import is_long
from ainb.messages import Call, Reply, ReplySchema, Request
from ainb.providers.batch_service import BatchService, no_batch_api
from ainb.providers.http import (
    Answer,
    BatchHttp,
    Exchange,
    Refusal,
    Response,
    StoredResponse,
    Target,
    request,
)
from ainb.providers.lessons.learnt import Memory
from ainb.providers.lessons.lesson import Lesson
from ainb.providers.lessons.reading import (
    NO_CACHE_LAYOUT,
    REFUSING_STATUSES,
    names_missing,
    read_lessons,
    refuses_cache_layout,
)
from ainb.providers.remote.body import Wire, add_limit_notice, add_notices, extra_headers
from ainb.providers.remote.service import HttpService
from ainb.providers.services import Service


class RemoteProvider(HttpService):
    """Base class of providers over HTTP; subclasses add the protocol.

    Keys and base URLs are read on each call, so a key set in a cell applies from the next call on.

    Args:
        service: Row of the table of services.
        clock: Clock of the session.
        allow_insecure_http: Whether prompts and keys may go to another machine over plain http.
        memory: Lessons from earlier refusals; None starts without any.
        headers: The user's own headers for this service; ``$VARIABLE`` in a value is replaced on each call.
    """

    models_path = "/models"
    required: frozenset[str] = frozenset()
    answer: type[Answer]
    stream_flags: Mapping[str, Any]
    # How to request a schema next time; None when a refusal is about something else.
    read_schema_lesson: Callable[[Refusal, Wire, ReplySchema], Lesson | None]

    def __init__(
        self,
        service: Service,
        *,
        clock: Clock,
        allow_insecure_http: bool = False,
        memory: Memory | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(service, allow_insecure_http=allow_insecure_http, headers=headers)
        self._memory = memory or Memory()
        self._clock = clock
        self._exchange = Exchange(self.answer, clock=clock)

    def body(self, request: Request) -> dict[str, Any]:
        """The outgoing body without the stream flags, by the rules of the model's family."""
        return self.wire(request).body

    def wire(self, request: Request, lessons: Sequence[Lesson] = (), **how: Any) -> Wire:
        """The outgoing body with the data to convert the reply back.

        Args:
            request: The request.
            lessons: Lessons from earlier refusals of this model.
            how: `flags` of a stream; `purpose`, which is "send" or "job".
        """
        raise NotImplementedError

    async def send(self, call: Call) -> Reply:
        """One attempt; streamed when ``call.options.on_text`` is set.

        Raises:
            ProviderError: It failed.
            ConfigError: The key or the base URL is missing, or a part of a message is invalid.
            InvalidPromptError: The body cannot be written as JSON.
        """
        request = call.request
        target = self._target_for(request)
        flags = {} if call.options.on_text is None else self.stream_flags
        lessons = self._lessons(target, request)
        write = functools.partial(self.wire, request, lessons, flags=flags, purpose="send")
        wire = await asyncio.to_thread(write) if is_long(request.parameters) else write()
        if wire.notes:
            add_notices(call, wire.notes)
        try:
            reply = await self._exchange.send(call, target, wire.body, on_refusal=wire.take_refusal)
        except PermanentProviderError as error:
            self._learn(call, target, wire, error)
            raise
        return _read_back(call, wire, reply)

    def cache_seconds(self, request: Request) -> float | None:
        """How long the provider keeps the prefix that this request marks; None when it marks none."""
        wire = self.wire(request, self._lessons(self._target_for(request), request))
        return None if wire.cache is None else wire.cache.life_seconds

    def batches(self, request: Request) -> BatchService:
        """The service's batch API at the endpoint of a request.

        Raises:
            ConfigError: There is none, or the key or the base URL is missing or invalid.
        """
        if not self._service.batch_api:
            raise no_batch_api(f"{self.name}:{request.model}")
        target = self._target_for(request)
        return self._batches(
            BatchHttp(target, self._clock.unix),
            body=lambda asked: self.wire(asked, self._lessons(target, asked), purpose="job").body,
            read=self._read_stored,
        )

    def _batches(self, http: BatchHttp, **how: Any) -> BatchService:
        """The batch API of the protocol; arguments as of `HttpBatches`."""
        raise NotImplementedError

    def _read_stored(self, call: Call, response: StoredResponse) -> Reply:
        """The reply that a result file of a batch job holds, in the form of the user's schema."""
        request, target = call.request, response.target
        plain = response.ok and request.schema is None and "tools" not in request.parameters
        wire = Wire({}) if plain else self.wire(request, self._lessons(target, request))
        try:
            reply = self._exchange.read_stored(call, response, on_refusal=wire.take_refusal)
        except PermanentProviderError as error:
            self._learn(call, target, wire, error)
            raise
        return _read_back(call, wire, reply)

    async def list_models(
        self, *, api_base: str | None = None, api_key_name: str | None = None, timeout_seconds: float = 3.0
    ) -> list[str]:
        """Names of the models that the service offers now, sorted.

        Args:
            api_base: Base URL instead of the service's own.
            api_key_name: Variable of the key instead of the service's own.
            timeout_seconds: Time limit.

        Raises:
            ProviderError: The service cannot be reached, refuses, or does not answer with a list of models.
            ConfigError: The key or the base URL is missing or invalid.
        """
        target = self._place(api_base, api_key_name, send=True)[0]
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._fetch_models(target)
        except TimeoutError:
            raise TransientProviderError(
                f"{self.name} did not list its models within {timeout_seconds:g} s; check that it runs and "
                f"{target.origin.base_url_option}"
            ) from None

    async def _fetch_models(self, target: Target) -> list[str]:
        response = await request(
            target, URL(target.url + self.models_path).update_query(URL(target.query).query), body=None
        )
        try:
            body = await response.read()
        finally:
            response.release()
        if not response.ok:
            raise response.fault(body, unix_now=self._clock.unix())
        return _model_names(response, body)

    def _lessons(self, target: Target, request: Request) -> list[Lesson]:
        return self._memory.lessons(target.url, request.model, self._clock.unix())

    def _target_for(self, request: Request) -> Target:
        """The target of a request, with the request's own headers."""
        target = self._place(request.api_base, request.api_key_name, send=True)[0]
        if "extra_headers" not in request.parameters:
            return target
        return target.with_headers(extra_headers(request))

    def _learn(self, call: Call, target: Target, wire: Wire, error: ProviderError) -> None:
        """Store the lessons of a refusal, and mark the error as one after which the request changes."""
        refused = wire.refused
        if refused is None or error.status_code not in REFUSING_STATUSES or call.shown:
            return
        place = target.url, call.request.model
        now = self._clock.unix()
        if wire.cache is not None and refuses_cache_layout(refused):
            self._memory.learn(*place, Lesson(field=NO_CACHE_LAYOUT, value="off"), now)
            error.adapted = 1
            return
        missing = names_missing(refused, [lesson.field for lesson in wire.lessons])
        for name in missing:
            self._memory.forget(*place, name, now)
        error.adapted = len(missing)
        schema = call.request.schema
        found = None if schema is None or missing else self.read_schema_lesson(refused, wire, schema)
        lessons = [found] if found else []
        if not (missing or lessons):
            lessons = read_lessons(refused, wire.body, kept=self.required)
        for lesson in lessons:
            self._memory.learn(*place, lesson, now)
            if lesson.instead:
                add_notices(call, [lesson.describe(call.request.model)])
        error.adapted += len(lessons)


def _read_back(call: Call, wire: Wire, reply: Reply) -> Reply:
    schema = call.request.schema
    if schema is not None or wire.tools is not None:
        reply.text = wire.read_back(reply.text, schema)
    add_limit_notice(call, reply)
    return reply


def _model_names(response: Response, body: bytes) -> list[str]:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise response.unreadable("a list of models that is not JSON") from None
    if isinstance(data, dict):
        data = data.get("data") or data.get("models") or []
    items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
    names = {item.get("id") or item.get("name") for item in items}
    return sorted(name.removeprefix("models/") for name in names if isinstance(name, str) and name)
