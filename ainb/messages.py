"""The nouns of the house: what goes out, what comes back (`ainb.replies`), and what is gathered on the way.

A `Request` is what the person asked for; a `Call` is one request on its way through the stages; a `Reply` is the
outcome. A `Provider` turns a request into bytes and bytes into a reply.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, Protocol

from ainb.replies import UNKNOWN_USAGE, Form, Reply, Usage, add_up

__all__ = [
    "DEFAULT_OPTIONS",
    "UNKNOWN_USAGE",
    "Alternative",
    "CacheMode",
    "Call",
    "CallOptions",
    "Effort",
    "Form",
    "Handler",
    "Message",
    "Provider",
    "Reply",
    "ReplySchema",
    "Request",
    "Role",
    "Stage",
    "Usage",
    "add_up",
]

# How a reply travels, and what `Request` holds in fields of its own.
_NOT_ASKED = frozenset({"model", "messages", "stream", "stream_options"})
_SECRET_NAME = re.compile(r"auth|key|token|secret|cookie|password|credential", re.IGNORECASE)
HIDDEN = "***"

Role = Literal["system", "user", "assistant", "tool", "developer"]
CacheMode = Literal["use", "refresh", "off"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: Who speaks.
        content: Text, or the OpenAI protocol's list of content parts (dicts) for pictures.
    """

    role: Role
    content: str | Sequence[Mapping[str, Any]]

    @property
    def text(self) -> str:
        """The textual part of the content, parts joined by a line break."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(part.get("text", "")) for part in self.content if part.get("type") == "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What leaves, before an adapter gives it the provider's shape.

    Attributes:
        provider: Service name, such as "openai" or "local".
        model: The service's own model name.
        messages: The conversation, oldest first.
        parameters: Sampling and other body parameters under OpenAI's names (``temperature``, ``max_tokens``, …).
        api_base: Base URL for this call only; None means the provider's own.
        api_key_name: Name of the environment variable that holds the key, for this call only; None means the provider's own.
        schema: What the reply must be, for providers that can be told; None means anything.
        operation: Operation name of the usage row.
    """

    provider: str
    model: str
    messages: tuple[Message, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    api_base: str | None = None
    api_key_name: str | None = None
    schema: ReplySchema | None = None
    operation: str = "chat"

    def asked(self) -> dict[str, Any]:
        """Parameters and messages as the user gave them, by which cache and cassettes know a request; no secret is in it.

        What an adapter makes of them (defaults, other names, what a model refuses) is not part of it, so that an answer
        stays known when the rules for a model change.
        """
        asked = {name: value for name, value in self.parameters.items() if name not in _NOT_ASKED}
        headers = asked.get("extra_headers")
        if isinstance(headers, Mapping):
            asked["extra_headers"] = {
                str(name).lower(): HIDDEN if _SECRET_NAME.search(str(name)) else value
                for name, value in headers.items()
            }
        asked["messages"] = [{"role": item.role, "content": item.content} for item in self.messages]
        return asked


class ReplySchema(Protocol):
    """What a reply must be; made by ``pipeline.schema.read_schema``."""

    @property
    def name(self) -> str:
        """For messages and for the provider."""
        ...

    @property
    def json_schema(self) -> Mapping[str, Any]:
        """As the provider is told."""
        ...

    @property
    def check(self) -> Callable[[str], Any]:
        """Turns a reply's text into the checked value, or raises ValueError that says what is wrong."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """How one call is treated; nothing of it reaches the provider.

    Attributes:
        timeout_seconds: Total time of this call; None means the session's.
        cache: Use, overwrite ("refresh") or leave aside ("off") the cached answer.
        ttl_seconds: Age up to which a cached answer counts; None means the session's.
        replica: Which of several answers to the same prompt this is; None means the only one.
        budget_usd: Hard limit of this call; None means none of its own.
        user: On whose behalf; has limits and a budget of its own. None means nobody in particular.
        tags: Free labels for the usage row.
        notebook: Notebook name or script path, for the usage row.
        cell_id: The front end's cell id, for the usage row.
        batch_id: The batch run this call belongs to, or None.
        fallback: Models that are asked, in order, when the one before is down.
        values: Texts that were filled into the prompt from elsewhere (a notebook's names, a row's columns), the rest having been
            typed; None means unknown, and then validation takes the whole prompt for one.
        on_text: Called with each piece of a streamed reply on the engine's thread; None means do not stream.
    """

    timeout_seconds: float | None = None
    cache: CacheMode = "use"
    ttl_seconds: float | None = None
    replica: int | None = None
    budget_usd: Decimal | None = None
    user: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict, repr=False)
    notebook: str | None = None
    cell_id: str | None = None
    batch_id: str | None = None
    fallback: tuple[Alternative, ...] = ()
    values: tuple[str, ...] | None = field(default=None, repr=False)
    on_text: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """A model that may answer in the place of another.

    Attributes:
        provider: The adapter of its service.
        model: The service's own model name.
    """

    provider: Provider
    model: str


DEFAULT_OPTIONS = CallOptions()


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way, and what the stages gathered about it.

    Attributes:
        request: What leaves; a stage that changes it puts a new Request here.
        provider: The adapter that will send it.
        options: How it is treated.
        call_id: ULID of the usage row.
        started_at: Monotonic seconds at submit.
        deadline: Monotonic second at which the caller stops waiting; None means never.
        attempts: Provider calls made so far.
        queue_wait_s: Seconds spent in line for permits so far.
        first_text_at: Monotonic second of the first streamed piece, or None.
        duration_s: Seconds that a cassette says the call took, which stand for the measured ones; None where they are measured.
        replayed: Whether a cassette answered it, with a reply or an error.
        shown: Whether a streamed piece was handed to the caller: no attempt may follow.
        cache_key: Digest of what is sent, once somebody has needed it; whoever changes `request` sets it back to None.
        endpoint: What `place` found, or None.
        account: What `payer` found, or None.
        values: Texts filled into the prompt of this call alone, a row's columns; None means that `options` tell.
        row_key: The row of a batch: digest of what it sends; None outside one.
        replies: Every reply that a provider gave to this call, oldest first; more than one when an answer was asked for again.
        errors: The error of every failed attempt, oldest first.
        notes: Lines for the person beside the reply (unfilled names, redactions, fallback).
        placeholders: Placeholder to the personal detail that it stands for in the request; never leaves the process.
    """

    request: Request
    provider: Provider
    options: CallOptions = DEFAULT_OPTIONS
    call_id: str = ""
    started_at: float = 0.0
    deadline: float | None = None
    attempts: int = 0
    queue_wait_s: float = 0.0
    first_text_at: float | None = None
    duration_s: float | None = None
    replayed: bool = False
    shown: bool = False
    cache_key: str | None = None
    endpoint: str | None = None
    account: str | None = None
    values: tuple[str, ...] | None = field(default=None, repr=False)
    row_key: str | None = None
    replies: list[Reply] = field(default_factory=list, repr=False)
    errors: list[Exception] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    placeholders: dict[str, str] = field(default_factory=dict, repr=False)

    def fork(self) -> Call:
        """The same call under way for others too: what it gathers from now on is not seen here."""
        # Written out, because ``dataclasses.replace`` takes three times as long and this runs for every call.
        return Call(
            request=self.request,
            provider=self.provider,
            options=self.options,
            call_id=self.call_id,
            started_at=self.started_at,
            deadline=self.deadline,
            attempts=self.attempts,
            queue_wait_s=self.queue_wait_s,
            first_text_at=self.first_text_at,
            duration_s=self.duration_s,
            replayed=self.replayed,
            shown=self.shown,
            cache_key=self.cache_key,
            endpoint=self.endpoint,
            account=self.account,
            values=self.values,
            row_key=self.row_key,
            replies=self.replies,
            errors=list(self.errors),
            placeholders=self.placeholders,
        )

    def place(self) -> str:
        """The provider's endpoint for this request, looked up once."""
        if self.endpoint is None:
            self.endpoint = self.provider.endpoint(self.request)
        return self.endpoint

    def payer(self) -> str:
        """The account whose limits apply, looked up once."""
        if self.account is None:
            self.account = self.provider.account(self.request)
        return self.account

    def emit(self, text: str, now: float) -> None:
        """Hand a streamed piece to whoever watches; called by adapters only."""
        if self.first_text_at is None:
            self.first_text_at = now
        if self.options.on_text is not None:
            self.shown = True
            self.options.on_text(text)


class Provider(Protocol):
    """An adapter: one protocol, request out, reply in, faults as our errors."""

    @property
    def name(self) -> str:
        """Service name, as in ``provider:model``."""
        ...

    @property
    def free(self) -> bool:
        """Whether calls cost nothing (a model on this machine, a script)."""
        ...

    def body(self, request: Request) -> dict[str, Any]:
        """The whole outgoing body, with nothing secret in it."""
        ...

    def endpoint(self, request: Request) -> str:
        """The base URL (or another name of the place) that this request goes to; no key in it."""
        ...

    def account(self, request: Request) -> str:
        """Names whose rate limits apply: the endpoint and a short digest of the key, never the key."""
        ...

    def send(self, call: Call) -> Awaitable[Reply]:
        """One attempt.

        Raises:
            ProviderError: It failed.
            ConfigError: The key is missing or the model does not exist here.
        """
        ...


Handler = Callable[[Call], Awaitable[Reply]]


class Stage(Protocol):
    """A step of the pipeline: does its part, then lets the call proceed, or does not."""

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Handle the call; `proceed` is everything further in.

        Mostly a coroutine function. A stage that has nothing to do with most calls is a plain one that hands on what `proceed`
        gives: each coroutine that only waits for the next is one more to walk through whenever anything arrives.
        """
        ...
