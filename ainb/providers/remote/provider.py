"""Base class of HTTP providers: endpoint and key of a call, one attempt, batches, models, lessons."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from yarl import URL

from ainb import keys
from ainb.clock import Clock
from ainb.errors import ConfigError, PermanentProviderError, ProviderError, TransientProviderError
from ainb.messages import Call, Reply, ReplySchema, Request
from ainb.providers.batch_service import BatchService, no_batch_api
from ainb.providers.http import (
    Answer,
    BatchHttp,
    Exchange,
    Response,
    StoredResponse,
    Target,
    goes_in_the_clear,
    request,
)
from ainb.providers.lessons.learnt import Memory
from ainb.providers.lessons.reading import (
    NO_CACHE_LAYOUT,
    REFUSING_STATUSES,
    Lesson,
    Refused,
    names_missing,
    read_lessons,
    refuses_cache_layout,
)
from ainb.providers.remote.body import Json, Wire, add_limit_notice, add_notices, extra_headers
from ainb.providers.services import Service, base_url_of

MAX_TARGETS = 64
DIGEST_CHARS = 8
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)


class Settings(NamedTuple):
    """Settings of a target from the environment and the caller; one target is cached per set of settings.

    Attributes:
        by_caller: Whether the base URL comes from the call.
        base: Base URL from the call or the environment; None means the service's own.
        key_name: Variable that holds the key, or None.
        key: The key, or None.
        more: Further values of the environment that the protocol sends.
        headers: The user's own headers, with variables replaced.
    """

    by_caller: bool
    base: str | None
    key_name: str | None
    key: str | None
    more: tuple[str | None, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class RemoteProvider:
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

    def __init__(
        self,
        service: Service,
        *,
        clock: Clock,
        allow_insecure_http: bool = False,
        memory: Memory | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._service = service
        self._memory = memory or Memory()
        self._headers = dict(headers or {})
        self._allow_insecure_http = allow_insecure_http
        self._clock = clock
        self._targets: dict[Settings, tuple[Target, str]] = {}
        self._exchange = Exchange(self.answer, clock=clock)

    @property
    def name(self) -> str:
        """Service name, as in ``provider:model``."""
        return self._service.name

    @property
    def free(self) -> bool:
        """Whether calls cost nothing, because the model runs on the user's own machine."""
        return self._service.free

    def endpoint(self, request: Request) -> str:
        """The base URL; it holds no key.

        Raises:
            ConfigError: There is none, or it is invalid.
        """
        return self._place(request.api_base, request.api_key_name)[0].url

    def account(self, request: Request) -> str:
        """The base URL and the first 8 hex digits of the key's SHA-256, or the base URL alone without a key.

        Raises:
            ConfigError: There is no base URL, or it is invalid.
        """
        return self._place(request.api_base, request.api_key_name)[1]

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
        wire = self.wire(request, self._lessons(target, request), flags=flags, purpose="send")
        if wire.notes:
            add_notices(call, wire.notes)
        with self._learning(call, target, wire):
            reply = await self._exchange.send(call, target, wire.body, on_refusal=wire.take_refusal)
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

    def _batches(
        self,
        http: BatchHttp,
        *,
        body: Callable[[Request], Json],
        read: Callable[[Call, StoredResponse], Reply],
    ) -> BatchService:
        """The batch API of the protocol; arguments as of `HttpBatches`."""
        raise NotImplementedError

    def _read_stored(self, call: Call, response: StoredResponse) -> Reply:
        """The reply that a result file of a batch job holds, in the form of the user's schema."""
        request, target = call.request, response.target
        plain = response.ok and request.schema is None and "tools" not in request.parameters
        wire = Wire({}) if plain else self.wire(request, self._lessons(target, request))
        with self._learning(call, target, wire):
            reply = self._exchange.read_stored(call, response, on_refusal=wire.take_refusal)
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

    def _read_schema_lesson(self, refused: Refused, wire: Wire, schema: ReplySchema) -> Lesson | None:
        """How to request a schema next time; None when a refusal is about something else."""
        raise NotImplementedError

    @contextlib.contextmanager
    def _learning(self, call: Call, target: Target, wire: Wire) -> Iterator[None]:
        """Store the lessons of a refusal that is raised inside the block."""
        try:
            yield
        except PermanentProviderError as error:
            self._learn(call, target, wire, error)
            raise

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
        found = None if schema is None or missing else self._read_schema_lesson(refused, wire, schema)
        lessons = [found] if found else []
        if not (missing or lessons):
            lessons = read_lessons(refused, wire.body, kept=self.required)
        for lesson in lessons:
            self._memory.learn(*place, lesson, now)
            if lesson.instead:
                add_notices(call, [lesson.describe(call.request.model)])
        error.adapted += len(lessons)

    def _more(self) -> tuple[str | None, ...]:
        """Further values of the environment that the protocol sends."""
        return ()

    def _target(self, url: str, given: Settings) -> Target:
        """The target of `url`, with the headers of the protocol."""
        raise NotImplementedError

    def _place(
        self, api_base: str | None, api_key_name: str | None, *, send: bool = False
    ) -> tuple[Target, str]:
        # Returns the target and the account, cached per URL and key.
        service = self._service
        variable = service.base_url_variable
        base = api_base or (base_url_of(variable) if variable else None)
        key_name = api_key_name or service.key_variable
        key = keys.get(key_name) if key_name else None
        if key is None and send and (service.key_needed or api_key_name):
            raise ConfigError(
                f"{service.name} needs a key and {key_name} is not set; set it with %ai login "
                f"{service.name if key_name == service.key_variable else key_name}, or in the environment "
                "before Jupyter starts"
            )
        known = Settings(bool(api_base), base, key_name, key, self._more(), self._own_headers(send=send))
        place = self._targets.get(known)
        if place is None:
            if len(self._targets) >= MAX_TARGETS:
                self._targets.clear()
            place = self._targets[known] = self._make(known)
        return place

    def _own_headers(self, *, send: bool) -> tuple[tuple[str, str], ...]:
        if not self._headers:
            return ()
        return tuple((name, _fill(value, name, send=send)) for name, value in self._headers.items())

    def _make(self, given: Settings) -> tuple[Target, str]:
        url = given.base or self._service.base_url
        if url is None:
            raise ConfigError(
                f"{self.name} has no base URL; set {self._service.base_url_variable} or give --api-base"
            )
        if goes_in_the_clear(url) and not self._allow_insecure_http:
            raise ConfigError(
                f"the base URL of {self.name} is plain http to another machine: prompts and keys could be "
                "read on the way; use https, "
                "or set %config Ainb.allow_insecure_http = True (AINB_ALLOW_INSECURE_HTTP=1) on a network "
                "that you trust"
            )
        target = self._target(url, given)
        if given.headers:
            target = target.with_headers(dict(given.headers))
        digest = hashlib.sha256(given.key.encode()).hexdigest()[:DIGEST_CHARS] if given.key else ""
        return target, f"{target.url}#{digest}" if digest else target.url


def _read_back(call: Call, wire: Wire, reply: Reply) -> Reply:
    schema = call.request.schema
    if schema is not None or wire.tools is not None:
        reply.text = wire.read_back(reply.text, schema)
    add_limit_notice(call, reply)
    return reply


def _fill(value: str, name: str, *, send: bool) -> str:
    """The value of a header with its variables replaced."""

    def read(match: re.Match[str]) -> str:
        variable = match.group(1) or match.group(2)
        found = keys.get(variable)
        if found is None and send:
            raise ConfigError(
                f"the header {name} takes its value from {variable}, which is not set; set it in the "
                "environment"
            )
        return found or ""

    return _VARIABLE.sub(read, value)


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
